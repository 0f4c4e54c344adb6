"""How far two local gradients are from each other: the registry `features`, and distances as exact integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bflmec.errors import ConfigError
from bflmec.learning.fixed_point import Float64, Int64
from bflmec.learning.gram import UNIT, Gram
from bflmec.learning.rules import AggregationRules
from bflmec.registry import Registry

VALUE_BITS = 33
MEMBER_LIMIT = 2048
"""With so many members the sum of all distances between two clusters stays below 2^53."""


@dataclass(frozen=True)
class Distances:
    """Distances `values[i, j]` · 2^`exponent` between n members: int64 of shape (n, n), symmetric, zero on the
    diagonal, below 2^33, so that sums over pairs are exact in int64 and float64."""

    values: Int64
    exponent: int

    def __len__(self) -> int:
        return len(self.values)


def round_distances(distances: Float64) -> Distances:
    """Float64 distances of shape (n, n) as integers of a power-of-two unit that the greatest of them sets.

    Raises ConfigError beyond 2048 members.
    """
    if len(distances) > MEMBER_LIMIT:
        raise ConfigError(f"{len(distances)} local gradients to cluster; lower history so that {MEMBER_LIMIT} suffice")
    peak = float(distances.max())
    exponent = int(np.frexp(peak)[1]) - VALUE_BITS + 1 if peak else 0
    return Distances(np.rint(np.ldexp(distances, -exponent)).astype(np.int64), exponent)


class Features(Protocol):
    """A distance between local gradients.

    A quorum recomputes it: `deterministic` says that the result is the same to the last bit on every machine. Integers
    and elementwise + − × ÷ √ on float64 are; logarithms, dot products and sums of floats are not.
    """

    deterministic: bool

    def distances(self, gram: Gram) -> Float64:
        """Finite distances ≥ 0 of shape (n, n), symmetric, with a zero diagonal."""
        ...


features: Registry[Callable[[AggregationRules], Features]] = Registry("features")


@features.register("direction-and-norm")
class DirectionAndNorm:
    """√(1 − cos + norm_weight · (ln ‖Δi‖ − ln ‖Δj‖)²): what points another way or is out of scale is far."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        self.norm_weight = float(rules.norm_weight)
        self.norm_cap = np.inf if rules.norm_cap is None else rules.norm_cap

    def distances(self, gram: Gram) -> Float64:
        turn = (UNIT - gram.cosines) / UNIT
        stretch = np.minimum(np.abs(gram.log_norms[:, None] - gram.log_norms) / UNIT, self.norm_cap)
        distances: Float64 = np.sqrt(turn + self.norm_weight * (stretch * stretch))
        return distances


@features.register("euclidean")
class Euclidean:
    """‖w_i − w_j‖, the paper's reading: clusters the vectors themselves."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        pass

    def distances(self, gram: Gram) -> Float64:
        exponents = np.array(gram.exponents)
        dots = np.ldexp(gram.values.astype(np.float64), exponents[:, None] + exponents)
        squares = dots.diagonal()
        distances: Float64 = np.sqrt(np.maximum(squares[:, None] + squares - 2 * dots, 0))
        return distances


@features.register("cosine")
class Cosine:
    """1 − cos: the direction alone."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        pass

    def distances(self, gram: Gram) -> Float64:
        return (UNIT - gram.cosines) / UNIT
