"""What an observer can compute, on cases with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bflmec.experiments.observers import (
    Observation,
    alignment,
    area_under_roc,
    best_match,
    epsilon,
    gradient,
    inverted,
    relative_error,
    seen_by,
)
from bflmec.learning.models import create_model

RNG = np.random.default_rng(7)
ACCOUNTS = [bytes([number]) * 20 for number in range(4)]
DELTAS = {account: RNG.standard_normal(6).astype(np.float32) for account in ACCOUNTS}
SHARES = dict(zip(ACCOUNTS, (0.1, 0.2, 0.3, 0.4), strict=True))
STEP = sum(SHARES[account] * DELTAS[account] for account in ACCOUNTS).astype(np.float32)
FOUND = Observation(np.zeros(6, np.float32), STEP, SHARES, DELTAS, {})


def test_all_kept_clients_but_one_solve_for_the_last_one_exactly() -> None:
    estimate = seen_by("all but one", ACCOUNTS[2], FOUND)
    assert estimate is not None
    assert relative_error(estimate, DELTAS[ACCOUNTS[2]]) < 1e-5


def test_the_public_has_the_mean_and_one_client_the_mean_of_the_others() -> None:
    assert np.allclose(seen_by("public", ACCOUNTS[2], FOUND), STEP)
    rest = (STEP - 0.1 * DELTAS[ACCOUNTS[0]]) / 0.9
    assert np.allclose(seen_by("curious client", ACCOUNTS[2], FOUND), rest, atol=1e-6)


def test_an_edge_node_has_the_delta_itself_and_nobody_one_that_was_not_kept() -> None:
    assert np.array_equal(seen_by("edge node", ACCOUNTS[1], FOUND), DELTAS[ACCOUNTS[1]])
    assert seen_by("edge node", b"\xff" * 20, FOUND) is None


def test_roc_area_of_known_scores() -> None:
    assert area_under_roc([3, 2], [1, 0]) == 1.0
    assert area_under_roc([1], [1]) == 0.5
    assert area_under_roc([3, 0], [1, 2]) == 0.5


def test_a_single_sample_is_read_off_its_gradient() -> None:
    model = create_model("logistic", 64, 10)
    x = RNG.random((1, 64), np.float32)
    weights = 0.01 * RNG.standard_normal(model.spec.size).astype(np.float32)
    delta = (-0.1 * gradient(model, weights, x, np.array([3]))).astype(np.float32)
    assert best_match(inverted(delta, 10, 64), x, np.zeros(64)) == pytest.approx(1, abs=1e-3)


def test_a_step_on_a_sample_is_aligned_with_that_sample() -> None:
    model = create_model("logistic", 64, 10)
    x, y = RNG.random((2, 64), np.float32), np.array([3, 5])
    weights = np.zeros(model.spec.size, np.float32)
    delta = (-gradient(model, weights, x[:1], y[:1])).astype(np.float32)
    own, other = alignment(model, weights, delta, x, y)
    assert own == pytest.approx(1, abs=1e-5)
    assert other < 0.5


def test_noise_gives_less_privacy_with_every_upload_and_none_gives_none() -> None:
    assert epsilon(0.0, 1) == math.inf
    assert 0 < epsilon(5.0, 1) < epsilon(5.0, 10) < epsilon(1.0, 10)
    # One Gaussian release with noise 1: ε is known to be about 4.9 for δ = 1e-5 by Rényi accounting.
    assert epsilon(1.0, 1) == pytest.approx(4.9, abs=0.5)
