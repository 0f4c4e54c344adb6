"""The global gradient and the history, moved on by one global update after the other (Algorithm 3, lines 19-24)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bflmec.errors import MissingHistoryError
from bflmec.learning.global_update import Contribution, GlobalUpdate, global_update
from bflmec.learning.history import HistoryEntry, advance
from bflmec.protocol.manifest import history_digest
from bflmec.protocol.rules import Rules
from bflmec.protocol.verification import LocalGradient

_REMEMBERED = 4
"""Global updates kept until one is recorded: rival blocks of one height are reviewed, and a liar can seal many."""


def contributions(gradients: Sequence[LocalGradient]) -> list[Contribution]:
    """One contribution a client, in the order of its first local gradient: a client counts once."""
    vectors: dict[bytes, list[NDArray[np.float32]]] = {}
    for gradient in gradients:
        vectors.setdefault(gradient.header.client, []).append(gradient.vector)
    return [Contribution(client, tuple(parts)) for client, parts in vectors.items()]


@dataclass(frozen=True, eq=False)
class Basis:
    """What the next global update starts from: the global gradient `weights`, (P,) float32, and the history."""

    weights: NDArray[np.float32] = field(repr=False)
    history: tuple[HistoryEntry, ...] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Standing:
    """Where the ledger's newest global update has left an edge node: the history digest that the block body names and,
    unless they have to be fetched first, the global gradient and the history themselves."""

    history_digest: bytes
    basis: Basis | None

    @classmethod
    def on(cls, basis: Basis) -> Standing:
        return cls(history_digest(basis.history), basis)


class Aggregator:
    """Computes global updates from where the ledger stands."""

    def __init__(self, rules: Rules, weights: NDArray[np.float32]) -> None:
        self.standing = Standing.on(Basis(weights, ()))
        self._rules = rules.aggregation
        self._computed: dict[tuple[bytes, ...], GlobalUpdate] = {}

    @property
    def basis(self) -> Basis:
        """Raises MissingHistoryError while it is not at hand."""
        if self.standing.basis is None:
            raise MissingHistoryError(
                "the global gradient and the history that this block starts from are not at hand yet; fetch them"
            )
        return self.standing.basis

    @property
    def weights(self) -> NDArray[np.float32]:
        """The newest global gradient (P,) float32. Raises MissingHistoryError while it is not at hand."""
        return self.basis.weights

    @property
    def history(self) -> tuple[HistoryEntry, ...]:
        """Quantised deltas of earlier contributions. Raises MissingHistoryError while they are not at hand."""
        return self.basis.history

    def update(self, gradients: Sequence[LocalGradient]) -> GlobalUpdate:
        """The global update over `gradients`, which are in ledger order. Computed once for the same ones."""
        key = tuple(gradient.digest for gradient in gradients)
        if key not in self._computed:
            update = global_update(self.weights, contributions(gradients), self.history, self._rules)
            if len(self._computed) == _REMEMBERED:
                del self._computed[next(iter(self._computed))]
            self._computed[key] = update
        return self._computed[key]

    def after(self, update: GlobalUpdate) -> Standing:
        """Where `update` leads to from here."""
        return Standing.on(Basis(update.weights, advance(self.history, update.entries, self._rules.history)))

    def move(self, standing: Standing) -> None:
        """Goes on from `standing`."""
        self.standing = standing
        self._computed.clear()
