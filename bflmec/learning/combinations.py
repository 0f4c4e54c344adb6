"""How kept contributions become one vector: fair aggregation, or a robust statistic in its place. The registry
`combinations`.

A robust combination looks at each coordinate or at all vectors together; weights θ still decide the rewards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from bflmec.errors import ConfigError
from bflmec.learning.fixed_point import Float32, Float64
from bflmec.learning.rules import AggregationRules
from bflmec.registry import Registry

BYZANTINE = 0.3
"""Share of contributions that robust rules expect to be hostile, without the option `byzantine`."""

Vectors = Sequence[Float32 | Float64]


class Combination(Protocol):
    """One vector from the kept ones.

    `deterministic` says that it is the same to the last bit on every machine.
    """

    deterministic: bool

    def combine(self, vectors: Vectors, factors: Sequence[float], clips: Sequence[float]) -> Float64:
        """(P,) float64 from at least one vector (P,). `factors` are p_i · clip factor (Eq. II.4), `clips` the clip
        factors alone."""
        ...


combinations: Registry[Callable[[AggregationRules], Combination]] = Registry("combinations")


def byzantine_count(rules: AggregationRules, members: int) -> int:
    """How many of `members` are expected to be hostile: the option `byzantine`, a share in [0, 0.5), rounded down.

    Raises ConfigError on another value.
    """
    share = rules.options.get("byzantine", BYZANTINE)
    if isinstance(share, str) or not 0 <= share < 0.5:
        raise ConfigError(f"the option byzantine must be at least 0 and below 0.5, not {share!r}")
    return int(share * members)


@combinations.register("fair")
class Fair:
    """Σ factor_i · vector_i (Eq. II.4), in the order given."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        pass

    def combine(self, vectors: Vectors, factors: Sequence[float], clips: Sequence[float]) -> Float64:
        # One ufunc for each operation: no fused multiply-add, no BLAS, so the bits depend on the order alone.
        total = np.zeros(vectors[0].shape)
        term = np.empty_like(total)
        for factor, vector in zip(factors, vectors, strict=True):
            total += np.multiply(vector, factor, out=term, dtype=np.float64)
        return total


def _clipped(vectors: Vectors, clips: Sequence[float]) -> Float64:
    return np.stack([np.multiply(vector, clip, dtype=np.float64) for vector, clip in zip(vectors, clips, strict=True)])


@combinations.register("coordinate-median")
class CoordinateMedian:
    """The median of each coordinate (Yin et al. 2018)."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        pass

    def combine(self, vectors: Vectors, factors: Sequence[float], clips: Sequence[float]) -> Float64:
        ordered = np.sort(_clipped(vectors, clips), axis=0)
        middle: Float64 = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
        return middle


@combinations.register("trimmed-mean")
class TrimmedMean:
    """The mean of each coordinate without its f lowest and f highest values (Yin et al. 2018)."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        self._rules = rules

    def combine(self, vectors: Vectors, factors: Sequence[float], clips: Sequence[float]) -> Float64:
        ordered = np.sort(_clipped(vectors, clips), axis=0)
        cut = byzantine_count(self._rules, len(ordered))
        total = np.zeros(ordered.shape[1])
        for row in ordered[cut : len(ordered) - cut]:
            total += row
        return total / (len(ordered) - 2 * cut)


@combinations.register("geometric-median")
class GeometricMedian:
    """The point with the least sum of distances to all vectors, by Weiszfeld's iteration (Pillutla et al. 2022)."""

    deterministic = False  # norms are sums of floats, whose order is the library's

    ITERATIONS = 50
    SMOOTHING = 1e-6

    def __init__(self, rules: AggregationRules) -> None:
        pass

    def combine(self, vectors: Vectors, factors: Sequence[float], clips: Sequence[float]) -> Float64:
        points = _clipped(vectors, clips)
        centre: Float64 = points.mean(axis=0)
        for _ in range(self.ITERATIONS):
            distances = np.sqrt(np.square(points - centre).sum(axis=1))
            scale = float(distances.max())
            if scale == 0:
                break
            weights = 1 / np.maximum(distances, self.SMOOTHING * scale)
            following: Float64 = (weights[:, None] * points).sum(axis=0) / weights.sum()
            moved = float(np.abs(following - centre).max())
            centre = following
            if moved <= 1e-9 * scale:
                break
        return centre
