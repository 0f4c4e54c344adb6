"""The global gradient that is appended to the clustered set (Algorithm 3, lines 20-21): the registry `references`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from bflmec.learning.fixed_point import Float64, Quantised, quantise
from bflmec.learning.rules import AggregationRules
from bflmec.registry import Registry

COLUMNS = 1 << 13
FRACTION_BITS = 30


class Reference(Protocol):
    """A provisional global gradient of the clustered set; its cluster is that of the high contributions.

    `deterministic` says that it is the same to the last bit on every machine.
    """

    deterministic: bool

    def compute(self, members: Sequence[Quantised]) -> Quantised:
        """One vector of the members' size P. There is at least one member."""
        ...


references: Registry[Callable[[AggregationRules], Reference]] = Registry("references")


@references.register("median")
class ClippedMedian:
    """The coordinate-wise median of the members, each clipped to their median norm, stretched to the median norm: less
    than half of the members can't move it far."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        pass

    def compute(self, members: Sequence[Quantised]) -> Quantised:
        norms = [member.norm for member in members]
        length = statistics.median(norms)
        if length == 0:
            return Quantised(0, np.zeros(members[0].size, np.int16))
        scales = [
            math.ldexp(1 / max(length, norm), member.exponent + FRACTION_BITS)
            for member, norm in zip(members, norms, strict=True)
        ]
        median = _median(members, scales)
        direction = quantise(median)
        return quantise(median * (length / direction.norm)) if direction.square else direction


def _median(members: Sequence[Quantised], scales: Sequence[float]) -> Float64:
    """Twice the median of `values` · scale, in coordinates rounded to integers: they sort faster than floats select."""
    size = members[0].size
    median = np.empty(size)
    block = np.empty((min(COLUMNS, size), len(members)), np.int32)
    low, high = (len(members) - 1) // 2, len(members) // 2
    for start in range(0, size, COLUMNS):
        part = block[: size - start]
        for column, (member, scale) in enumerate(zip(members, scales, strict=True)):
            part[:, column] = np.rint(member.values[start : start + COLUMNS] * scale)
        part.sort(axis=1)
        median[start : start + COLUMNS] = part[:, low].astype(np.float64) + part[:, high]
    return median


@references.register("mean")
class SimpleAverage:
    """w_g = Σ w^i / n, as Algorithm 3, line 20 has it."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        pass

    def compute(self, members: Sequence[Quantised]) -> Quantised:
        total = np.zeros(members[0].size)
        for member in members:
            total += member.values * 2.0**member.exponent
        return quantise(total / len(members))
