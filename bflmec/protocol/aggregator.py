"""The global gradient and the history, moved on by one global update after the other (Algorithm 3, lines 19-24)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bflmec.learning.global_update import Contribution, GlobalUpdate, global_update
from bflmec.learning.history import HistoryEntry, advance
from bflmec.protocol.manifest import history_digest
from bflmec.protocol.rules import Rules
from bflmec.protocol.verification import VerifiedGradient


def contributions(gradients: Sequence[VerifiedGradient]) -> list[Contribution]:
    """One contribution a client, in the order of its first local gradient: a client counts once."""
    vectors: dict[bytes, list[NDArray[np.float32]]] = {}
    for gradient in gradients:
        vectors.setdefault(gradient.header.client, []).append(gradient.vector)
    return [Contribution(client, tuple(parts)) for client, parts in vectors.items()]


class Aggregator:
    """Current global gradient `weights` (P,) float32 and the history of quantised deltas."""

    def __init__(self, rules: Rules, weights: NDArray[np.float32]) -> None:
        self.weights = weights
        self.history: tuple[HistoryEntry, ...] = ()
        self._rules = rules.aggregation
        self._computed: dict[tuple[bytes, ...], GlobalUpdate] = {}

    def update(self, gradients: Sequence[VerifiedGradient]) -> GlobalUpdate:
        """The global update over `gradients`, which are in ledger order. Computed once for the same ones."""
        key = tuple(gradient.digest for gradient in gradients)
        if key not in self._computed:
            self._computed[key] = global_update(self.weights, contributions(gradients), self.history, self._rules)
        return self._computed[key]

    def digest_after(self, update: GlobalUpdate) -> bytes:
        """The history digest once `update` is the current one."""
        return history_digest(advance(self.history, update.entries, self._rules.history))

    def advance(self, update: GlobalUpdate) -> None:
        """Makes `update` the current one."""
        self.weights = update.weights
        self.history = advance(self.history, update.entries, self._rules.history)
        self._computed.clear()
