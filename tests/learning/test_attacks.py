"""Attacks do what their papers say."""

from __future__ import annotations

import numpy as np
import pytest

from bflmec.learning.attacks import View, attacks, patched
from bflmec.learning.contribution import Label
from bflmec.learning.global_update import Contribution, global_update
from bflmec.learning.rules import DEFAULT_RULES

DELTA = np.array([3, 4, 0, 0], np.float32)


def view(seed: int = 0, size: int = 4) -> View:
    rng = np.random.default_rng(seed)
    honest = [(np.ones(size) + 0.3 * rng.standard_normal(size)).astype(np.float32) for _ in range(12)]
    return View(rng, DEFAULT_RULES, clients=10, attackers=3, honest=honest, step=np.full(size, 2, np.float32))


def craft(name: str, delta: np.ndarray = DELTA, known: View | None = None) -> np.ndarray:
    return attacks.get(name)().craft(delta, known or view(size=len(delta)))


@pytest.mark.parametrize("name", attacks.names())
def test_every_attack_sends_finite_float32_and_leaves_the_honest_delta_alone(name: str) -> None:
    crafted = craft(name)
    assert (crafted.dtype, crafted.shape) == (np.float32, DELTA.shape)
    assert np.isfinite(crafted).all()
    assert DELTA.tolist() == [3, 4, 0, 0]


def test_scaling_and_flipping() -> None:
    assert craft("scale-up").tolist() == [15, 20, 0, 0]
    assert craft("sign-flip").tolist() == [-3, -4, 0, 0]
    assert craft("reverse").tolist() == [-15, -20, 0, 0]


def test_noise_has_the_delta_s_length() -> None:
    assert np.linalg.norm(craft("noise")) == pytest.approx(5, rel=1e-5)


def test_attackers_push_in_one_direction() -> None:
    known = view()
    first, second = craft("push", DELTA, known) - DELTA, craft("push", 2 * DELTA, known) - 2 * DELTA
    assert 2 * first == pytest.approx(second, rel=1e-4)
    assert np.linalg.norm(first) == pytest.approx(15, rel=1e-4)


def test_a_free_rider_has_nothing_before_the_first_step_and_echoes_the_last() -> None:
    known = view()
    assert craft("free-rider", DELTA, known) == pytest.approx(known.step, abs=0.3)
    known.step = None
    assert not craft("free-rider", DELTA, known).any()


def test_colluders_send_the_same_against_the_mean() -> None:
    known = view()
    assert np.array_equal(craft("collusion", DELTA, known), craft("collusion", -DELTA, known))
    assert craft("collusion", DELTA, known) @ known.mean < 0


def test_a_little_is_enough_stays_within_the_deviations_of_a_majority() -> None:
    known = view()
    moved = (known.mean - craft("alie", DELTA, known)) / np.std(known.honest, axis=0)
    # 10 clients, 3 attackers: 3 more are needed for a majority, so 4 of 7 honest ones lie above: z = Φ⁻¹(4/7)
    assert moved == pytest.approx(0.18, abs=0.002)


def test_inner_product_manipulation_reverses_half_of_the_mean() -> None:
    known = view()
    assert craft("ipm", DELTA, known) == pytest.approx(-0.5 * known.mean)


def test_min_max_goes_as_far_as_two_honest_deltas_are_apart_and_no_further() -> None:
    known = view()
    crafted = craft("min-max", DELTA, known)
    honest = np.stack(known.honest)
    farthest = np.linalg.norm(honest - crafted, axis=1).max()
    spread = np.linalg.norm(honest[:, None] - honest, axis=2).max()
    assert farthest == pytest.approx(spread, rel=1e-5)


def test_label_flip_and_backdoor_change_samples_and_nothing_else() -> None:
    x, y = np.zeros((4, 64), np.float32), np.array([0, 1, 8, 9])
    flipped_x, flipped_y = attacks.get("label-flip")().poison(x, y, 10)
    assert (flipped_x is x, flipped_y.tolist()) == (True, [9, 8, 1, 0])
    bad_x, bad_y = attacks.get("backdoor")().poison(x, y, 10)
    assert bad_y.tolist() == [7, 1, 7, 9]
    assert np.array_equal(bad_x[0], patched(x)[0])
    assert bad_x[0].sum() == 9
    assert not bad_x[1].any()
    assert not x.any()


def test_the_adaptive_attacker_is_called_high_and_goes_against_the_mean() -> None:
    rng = np.random.default_rng(3)
    honest = [(1 + 2 * rng.standard_normal(200)).astype(np.float32) for _ in range(14)]
    known = View(rng, DEFAULT_RULES, clients=10, attackers=3, honest=honest)
    delta = honest[0]
    crafted = craft("adaptive", delta, known)
    contributions = [Contribution(bytes([i]) * 20, [own]) for i, own in enumerate([*honest[-12:], crafted])]
    update = global_update(np.zeros(200, np.float32), contributions, (), DEFAULT_RULES)
    assert update.labels[-1] is Label.HIGH
    assert crafted @ known.mean < delta @ known.mean
