"""The experiments' statistics on cases that were worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bflmec.experiments.statistics import (
    Interval,
    area_under,
    convergence,
    first_reaching,
    growth_exponent,
    holm,
    mean_interval,
    median_time,
    paired_difference,
    rank_correlation,
    rate_interval,
)

some = st.lists(st.floats(-100, 100), min_size=2, max_size=20)


def test_one_value_is_its_own_interval() -> None:
    assert mean_interval([0.5]) == Interval(0.5, 0.5, 0.5)
    assert mean_interval([0.5]).text(100, 1) == "50.0"


def test_interval_holds_the_mean_and_lies_within_the_values() -> None:
    interval = mean_interval([1.0, 2.0, 6.0])
    assert interval.estimate == 3.0
    assert 1.0 <= interval.low < 3.0 < interval.high <= 6.0


def test_interval_of_many_values_is_about_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(size=400)
    interval = mean_interval(values)
    half = 1.96 * values.std() / math.sqrt(400)
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.08)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    intervals = [mean_interval(rng.normal(size=20)) for _ in range(200)]
    covered = np.mean([interval.low <= 0 <= interval.high for interval in intervals])
    assert 0.88 <= covered <= 0.98


def test_rate_counts_all_events_of_all_seeds() -> None:
    interval = rate_interval([1, 3], [2, 8])
    assert interval is not None
    assert interval.estimate == 4 / 10
    assert (interval.low, interval.high) == (3 / 8, 1 / 2)


def test_rate_without_events_is_none_and_a_certain_one_has_no_width() -> None:
    assert rate_interval([0, 0], [0, 0]) is None
    assert rate_interval([5, 5], [5, 5]) == Interval(1.0, 1.0, 1.0)


def test_sign_flip_test_of_three_equal_signs_has_two_of_eight_patterns() -> None:
    assert paired_difference([2, 3, 4], [1, 1, 1]).p == 2 / 8


def test_sign_flip_test_sees_no_difference_where_there_is_none() -> None:
    assert paired_difference([1, 2, 3], [1, 2, 3]).p == 1.0


def test_differences_need_paired_seeds() -> None:
    with pytest.raises(ValueError, match="paired"):
        paired_difference([1.0], [1.0, 2.0])


def test_holm_corrects_as_in_his_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_lowers_nothing_and_keeps_the_order(values: list[float]) -> None:
    corrected = holm(values)
    assert all(before <= after for before, after in zip(values, corrected, strict=True))
    pairs = [(a, b) for a in zip(values, corrected, strict=True) for b in zip(values, corrected, strict=True)]
    assert all(a[1] <= b[1] for a, b in pairs if a[0] < b[0])


def test_convergence_is_the_end_of_the_first_calm_window() -> None:
    assert convergence([0.1, 0.5, 0.80, 0.801, 0.802, 0.803, 0.804, 0.9]) == 7
    assert convergence([0.8, 0.8, 0.8, 0.8, 0.8]) == 5


def test_half_a_percent_is_still_calm_and_more_is_not() -> None:
    assert convergence([0.800, 0.805, 0.800, 0.805, 0.800]) == 5
    assert convergence([0.800, 0.8051, 0.800, 0.8051, 0.800]) is None


def test_what_never_calms_down_is_censored() -> None:
    assert convergence([0.1 * i for i in range(9)]) is None
    assert convergence([0.5] * 4) is None


def test_first_reaching_a_goal() -> None:
    assert first_reaching([0.1, 0.8, 0.7, 0.9], 0.8) == 1
    assert first_reaching([0.1], 0.8) is None


def test_median_without_censoring_is_the_lower_median() -> None:
    assert median_time([1, 2, 3], [True] * 3) == 2
    assert median_time([1, 2, 3, 4], [True] * 4) == 2


def test_median_with_censored_times_follows_kaplan_and_meier() -> None:
    # S(2) = 3/4; S(5) = 3/4 * 1/2 = 3/8, because the third was lost at 3
    assert median_time([2, 3, 5, 6], [True, False, True, True]) == 5


def test_median_is_unknown_when_too_few_happened() -> None:
    assert median_time([1, 9, 9], [True, False, False]) is None
    assert median_time([9], [False]) is None


@given(some)
def test_rank_correlation_is_scipys(values: list[float]) -> None:
    other = [math.sin(value) + 0.1 * index for index, value in enumerate(values)]
    if len(set(values)) > 1 and len(set(other)) > 1:
        assert rank_correlation(values, other) == pytest.approx(stats.spearmanr(values, other).statistic, abs=1e-9)


def test_rank_correlation_with_a_constant_is_zero() -> None:
    assert rank_correlation([1, 2, 3], [5, 5, 5]) == 0.0


def test_growth_exponent_of_a_square_is_two() -> None:
    assert growth_exponent([1, 10, 100], [3, 300, 30_000]) == pytest.approx(2)


def test_area_under_a_curve_is_its_mean_over_time() -> None:
    assert area_under([0, 1, 3], [0, 1, 1]) == pytest.approx((0.5 + 2) / 3)
    assert area_under([4], [0.7]) == 0.7
