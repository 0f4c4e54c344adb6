"""Fair aggregation (Eq. II.4), its guards, and reward lists."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.learning.aggregation import applied, clip_factors, weights_of
from bflmec.learning.combinations import Fair
from bflmec.learning.rewards import apportion
from bflmec.learning.rules import DEFAULT_RULES, Mode

THETAS = st.lists(st.integers(0, 2**31), min_size=1, max_size=30)


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def fair_aggregation(
    anchor: np.ndarray, vectors: list[np.ndarray], factors: list[float], mode: Mode
) -> np.ndarray | None:
    combined = Fair(DEFAULT_RULES).combine(vectors, factors, [1.0] * len(vectors))
    return applied(anchor, combined, mode)


@given(THETAS)
def test_weights_sum_to_one_exactly(thetas: list[int]) -> None:
    assert sum(weights_of(thetas)) == 1


def test_weights_are_equal_if_all_thetas_are_zero() -> None:
    assert weights_of([0, 0, 0]) == (Fraction(1, 3),) * 3


@given(THETAS, st.integers(0, 2**96))
def test_amounts_sum_to_exactly_the_total(thetas: list[int], total: int) -> None:
    assert sum(apportion(total, weights_of(thetas))) == total


@given(THETAS, st.integers(0, 10**6))
def test_an_amount_is_its_exact_share_rounded_down_or_up(thetas: list[int], total: int) -> None:
    shares = weights_of(thetas)
    for amount, share in zip(apportion(total, shares), shares, strict=True):
        assert math.floor(total * share) <= amount <= math.ceil(total * share)


def test_the_remainder_goes_to_the_largest_fractions_and_among_equals_to_the_first() -> None:
    assert apportion(10, [Fraction(1, 3)] * 3) == (4, 3, 3)
    assert apportion(1, weights_of([1, 2, 2])) == (0, 1, 0)


def test_norms_are_clipped_to_a_multiple_of_the_accepted_median() -> None:
    assert clip_factors([1.0, 6.0, 0.0], [1.0, 2.0, 100.0], 1.5) == (1.0, 0.5, 1.0)


def test_without_clip_or_accepted_norms_nothing_is_clipped() -> None:
    assert clip_factors([1.0, 1e9], [1.0], None) == (1.0, 1.0)
    assert clip_factors([1.0, 1e9], [], 1.5) == (1.0, 1.0)


def test_deltas_are_added_to_the_anchor_and_weights_replace_it() -> None:
    anchor, vectors = f32(10, 20), [f32(1, 2), f32(3, 6)]
    assert fair_aggregation(anchor, vectors, [0.5, 0.5], "delta").tolist() == [12, 24]
    assert fair_aggregation(anchor, vectors, [0.5, 0.5], "weights").tolist() == [2, 4]


def test_sums_are_formed_in_float64() -> None:
    vectors = [f32(2.0**30), f32(1), f32(-(2.0**30))]
    assert fair_aggregation(f32(0), vectors, [1.0, 1.0, 1.0], "weights").tolist() == [1]


def test_a_sum_out_of_the_range_of_float32_is_no_result() -> None:
    huge = float(np.finfo(np.float32).max)
    assert fair_aggregation(f32(huge), [f32(huge)], [1.0], "delta") is None


def test_inputs_are_left_as_they_are() -> None:
    anchor, vector = f32(1, 2), f32(3, 4)
    fair_aggregation(anchor, [vector], [2.0], "delta")
    assert (anchor.tolist(), vector.tolist()) == ([1, 2], [3, 4])


@pytest.mark.parametrize("mode", ["delta", "weights"])
@given(seed=st.integers(0, 2**32))
def test_the_result_is_that_of_exact_arithmetic_up_to_float64_rounding(mode: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    anchor = rng.standard_normal(5).astype(np.float32)
    vectors = rng.standard_normal((4, 5)).astype(np.float32)
    factors = rng.dirichlet(np.ones(4)).tolist()
    result = fair_aggregation(anchor, list(vectors), factors, mode)
    for k, value in enumerate(result):
        exact = sum(Fraction(f) * Fraction(float(v[k])) for f, v in zip(factors, vectors, strict=True))
        exact += Fraction(float(anchor[k])) if mode == "delta" else 0
        assert float(value) == pytest.approx(float(exact), rel=2e-7, abs=1e-14)
