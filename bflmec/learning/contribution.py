"""Contribution identification (Algorithm 4): who contributed much, and with which weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np

from bflmec.learning.clustering import NOISE
from bflmec.learning.fixed_point import Int64
from bflmec.learning.gram import UNIT, Gram
from bflmec.learning.rules import AggregationRules
from bflmec.registry import Registry


class Label(StrEnum):
    """What Algorithm 4 calls a client."""

    HIGH = "high"
    LOW = "low"


class Theta(Protocol):
    """θ of the kept contributions (Algorithm 4, line 5).

    `deterministic` says that it is the same integer on every machine.
    """

    deterministic: bool

    def weigh(self, gram: Gram, kept: Sequence[int]) -> tuple[int, ...]:
        """An integer ≥ 0 for each of the `kept` rows of `gram`, of which there is at least one, in any common unit. The
        last row of `gram` is the global gradient of the clustered set. All zero counts as all equal."""
        ...


class Strategy(Protocol):
    """What becomes of low contributions (Algorithm 4, line 11)."""

    deterministic: bool

    def keep(self, labels: Sequence[Label]) -> tuple[int, ...]:
        """Indices, ascending, of the contributions that are aggregated."""
        ...


thetas: Registry[Callable[[AggregationRules], Theta]] = Registry("thetas")
strategies: Registry[Callable[[AggregationRules], Strategy]] = Registry("strategies")


@thetas.register("mean-cosine")
class MeanCosine:
    """θ = (1 + cos) / 2 to the mean of the kept contributions, in units of 2^-31."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        pass

    def weigh(self, gram: Gram, kept: Sequence[int]) -> tuple[int, ...]:
        return tuple(UNIT + cosine for cosine in gram.cosines_to_sum(kept))


@thetas.register("reference-distance")
class ReferenceDistance:
    """θ = 1 − cos to the global gradient of the clustered set, in units of 2^-30: the paper's cosine distance."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        pass

    def weigh(self, gram: Gram, kept: Sequence[int]) -> tuple[int, ...]:
        return tuple(UNIT - int(gram.cosines[i, -1]) for i in kept)


@thetas.register("uniform")
class Uniform:
    """Every kept contribution weighs the same."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        pass

    def weigh(self, gram: Gram, kept: Sequence[int]) -> tuple[int, ...]:
        return (1,) * len(kept)


@strategies.register("discard")
class Discard:
    """Only high contributions are aggregated."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        pass

    def keep(self, labels: Sequence[Label]) -> tuple[int, ...]:
        return tuple(i for i, label in enumerate(labels) if label is Label.HIGH)


@strategies.register("keep")
class Keep:
    """All contributions are aggregated; rewards still go to the high ones alone."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        pass

    def keep(self, labels: Sequence[Label]) -> tuple[int, ...]:
        return tuple(range(len(labels)))


@dataclass(frozen=True, slots=True)
class Identification:
    """Labels of the new contributions. `accepted` is false if the global gradient's cluster can't be trusted: it is
    noise, or not the majority that the rules ask for; then all are low."""

    labels: tuple[Label, ...]
    accepted: bool


def identify(clusters: Int64, new: int, rules: AggregationRules) -> Identification:
    """Algorithm 4, lines 2-10: a new contribution in the cluster of the global gradient is high.

    `clusters` holds the labels of the `new` contributions, then the history, then the global gradient.
    """
    members, own = clusters[:-1], clusters[-1]
    together = int(np.count_nonzero(members == own))
    accepted = bool(own != NOISE) and (not rules.require_majority or 2 * together > len(members))
    return Identification(
        tuple(Label.HIGH if accepted and cluster == own else Label.LOW for cluster in members[:new]), accepted
    )
