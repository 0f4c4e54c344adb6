"""The statistics of the experiments. The unit is the seed: a run with all that happened in it is one observation.

Nothing here looks at the clock or at global randomness: equal figures give equal intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = Sequence[float] | NDArray[np.float64]

RESAMPLES = 4000
EXACT_PAIRS = 14
"""Up to so many pairs all sign patterns are tried; beyond, `RESAMPLES` random ones."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the ends of its confidence interval; they are equal where one observation tells nothing."""

    estimate: float
    low: float
    high: float

    def text(self, scale: float = 1.0, digits: int = 2) -> str:
        """As in "0.89 (0.88 … 0.90)", after multiplying with `scale`."""
        estimate, low, high = (f"{scale * value:.{digits}f}" for value in (self.estimate, self.low, self.high))
        return estimate if low == high == estimate else f"{estimate} ({low} … {high})"


def mean_interval(values: Values, level: float = 0.95) -> Interval:
    """The mean of at least one value, with its percentile bootstrap interval."""
    observed = np.asarray(values, np.float64)
    means = observed[_resamples(len(observed))].mean(axis=1)
    return _interval(float(observed.mean()), means, level)


def rate_interval(counts: Values, totals: Values, level: float = 0.95) -> Interval | None:
    """Σ counts / Σ totals, with a percentile bootstrap interval over the seeds that the counts come from.

    Events of one seed are not independent of each other, so seeds are drawn and not events. None without any event.
    """
    hits, cases = np.asarray(counts, np.float64), np.asarray(totals, np.float64)
    if not cases.sum():
        return None
    chosen = _resamples(len(hits))
    drawn = cases[chosen].sum(axis=1)
    rates = (hits[chosen].sum(axis=1) / np.maximum(drawn, 1))[drawn > 0]
    return _interval(float(hits.sum() / cases.sum()), rates, level)


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of paired differences with its interval, and the p-value of the sign-flip test that it is zero."""

    interval: Interval
    p: float


def paired_difference(first: Values, second: Values) -> Difference:
    """first − second, seed by seed. Raises ValueError if the numbers of seeds differ."""
    if len(first) != len(second) or not len(first):
        raise ValueError(f"paired seeds are needed, not {len(first)} and {len(second)}")
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    return Difference(mean_interval(differences), _sign_flip(differences))


def _sign_flip(differences: NDArray[np.float64]) -> float:
    """How often a mean at least as far from zero comes about when the signs are as good as random."""
    count = len(differences)
    if count <= EXACT_PAIRS:
        signs = np.array(list(product((-1.0, 1.0), repeat=count)))
        extra = 0
    else:
        signs = np.random.default_rng(0x5167).choice((-1.0, 1.0), (RESAMPLES, count))
        extra = 1  # the pattern that was observed is one of the possible ones
    means = np.abs((signs * differences).mean(axis=1))
    reached = int(np.count_nonzero(means >= abs(differences.mean()) * (1 - 1e-12)))
    return (reached + extra) / (len(signs) + extra)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of many comparisons at once, corrected by Holm's step-down method, in the order given."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def convergence(accuracies: Values, tolerance: float = 0.005, window: int = 5) -> int | None:
    """The paper's criterion (§IV-A): how many global updates it took until the accuracy of the last `window` of them
    was within `tolerance` of each other; None if that never happened, which is a censored observation."""
    for end in range(window, len(accuracies) + 1):
        recent = accuracies[end - window : end]
        # A tolerance that is met exactly must not be missed by the last bit of a subtraction.
        if max(recent) - min(recent) <= tolerance + 1e-12:
            return end
    return None


def first_reaching(accuracies: Values, goal: float) -> int | None:
    """Index of the first accuracy of at least `goal`; None if there is none."""
    return next((index for index, accuracy in enumerate(accuracies) if accuracy >= goal), None)


def median_time(times: Sequence[float], happened: Sequence[bool]) -> float | None:
    """The Kaplan-Meier median of times of which some are censored (`happened` is false: not by then).

    None if the estimated share of those that it has not happened to never falls to one half.
    """
    at_risk, surviving = len(times), 1.0
    for time in sorted(set(times)):
        here = [event for moment, event in zip(times, happened, strict=True) if moment == time]
        surviving *= 1 - sum(here) / at_risk
        if surviving <= 0.5 + 1e-12:
            return time
        at_risk -= len(here)
    return None


def rank_correlation(first: Values, second: Values) -> float:
    """Spearman's rank correlation, ties given their mean rank; 0 if one side is constant."""
    ranks = _ranks(first), _ranks(second)
    a, b = (own - own.mean() for own in ranks)
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale else 0.0


def growth_exponent(sizes: Values, costs: Values) -> float:
    """The slope of log cost over log size: costs grow like size to this power. Needs two different sizes."""
    x, y = np.log(np.asarray(sizes, np.float64)), np.log(np.asarray(costs, np.float64))
    x = x - x.mean()
    return float(x @ (y - y.mean()) / (x @ x))


def area_under(times: Values, values: Values) -> float:
    """The mean of a step-wise constant-slope curve over its span of time."""
    pieces = [(b - a) * (u + v) / 2 for (a, u), (b, v) in pairwise(zip(times, values, strict=True))]
    return sum(pieces) / (times[-1] - times[0]) if len(times) > 1 else float(values[0])


def _ranks(values: Values) -> NDArray[np.float64]:
    observed = np.asarray(values, np.float64)
    below = (observed[:, None] > observed).sum(axis=1)
    equal = (observed[:, None] == observed).sum(axis=1)
    ranks: NDArray[np.float64] = below + (equal + 1) / 2
    return ranks


def _resamples(count: int) -> NDArray[np.int64]:
    return np.random.default_rng([0xB007, count]).integers(0, count, (RESAMPLES, count))


def _interval(estimate: float, resampled: NDArray[np.float64], level: float) -> Interval:
    tail = (1 - level) / 2
    low, high = np.quantile(resampled, (tail, 1 - tail))
    return Interval(estimate, float(min(low, estimate)), float(max(high, estimate)))
