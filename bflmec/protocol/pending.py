"""Local updates that a client could not send yet (Algorithm 2, line 11): their average, in bounded memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from bflmec.protocol.ports import Anchor

ATTEMPTS = 8
"""Different averages that a client signs under one sequence number; then it repeats the last until a receipt comes."""


@dataclass(frozen=True, eq=False)
class Pending:
    """`count` local updates that were not sent yet: the sum of their contents (P,), float32 for one and float64 for
    more, and the oldest anchor among them."""

    anchor: Anchor
    total: NDArray[np.float32] | NDArray[np.float64] = field(repr=False)
    count: int = 1

    def joined(self, newer: Pending) -> Pending:
        """This and the next newer one as their sum: what their average is computed from anyway, bit for bit."""
        anchor = min(self.anchor, newer.anchor, key=lambda anchor: anchor.number)
        total = self.total.astype(np.float64)
        total += newer.total
        return Pending(anchor, total, self.count + newer.count)

    def average(self) -> NDArray[np.float32]:
        """(P,) float32."""
        return (self.total if self.count == 1 else self.total / self.count).astype(np.float32, copy=False)


class PendingUpdates:
    """Pending local updates, oldest first, in at most `limit` vectors.

    An *attempt* is a signed average of the oldest so many. The receipt for any of them can come at any time and takes
    exactly what it covers, so two neighbours of which an attempt has covered only one are never joined.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._updates: list[Pending] = []
        self._attempts: dict[bytes, int] = {}

    @property
    def updates(self) -> list[Pending]:
        return self._updates.copy()

    @property
    def attempts(self) -> dict[bytes, int]:
        """How many of the oldest local updates each attempt covers, by its gradient digest."""
        return self._attempts.copy()

    def resume(self, updates: Sequence[Pending], attempts: Mapping[bytes, int]) -> None:
        """Goes on with what an earlier process had. Raises ValueError if an attempt ends within a joined update."""
        ends = set(accumulate(update.count for update in updates))
        if not ends.issuperset(attempts.values()):
            raise ValueError("an attempt covers a part of local updates that were joined")
        self._updates, self._attempts = list(updates), dict(attempts)

    @property
    def count(self) -> int:
        """How many local updates there are."""
        return sum(update.count for update in self._updates)

    def anchors(self) -> set[Anchor]:
        return {update.anchor for update in self._updates}

    def add(self, update: Pending) -> None:
        self._updates.append(update)
        if len(self._updates) > self._limit:
            self._join_oldest()

    def _join_oldest(self) -> None:
        before, attempts = 0, set(self._attempts.values())
        for index, (older, newer) in enumerate(pairwise(self._updates)):
            before += older.count
            if before not in attempts:
                self._updates[index : index + 2] = [older.joined(newer)]
                return

    def move(self, gone: Collection[Anchor], to: Anchor) -> None:
        """Puts what was trained from anchors that are `gone` under another one."""
        self._updates = [replace(update, anchor=to) if update.anchor in gone else update for update in self._updates]

    def next_attempt(self) -> int:
        """How many of the oldest local updates the next attempt covers: all, until too many attempts were made."""
        attempts = set(self._attempts.values())
        return self.count if len(attempts) < ATTEMPTS else max(attempts)

    def attempted(self, digest: bytes, count: int) -> None:
        """Remembers an attempt by its gradient digest."""
        self._attempts[digest] = count

    def covered_by(self, digest: bytes) -> int | None:
        return self._attempts.get(digest)

    def forget_attempts(self) -> None:
        self._attempts.clear()

    def oldest(self, count: int) -> Pending:
        """The oldest `count` local updates, which are not none and end where an attempt ends, as one."""
        first, *others = self._updates[: self._end_of(count)]
        return reduce(Pending.joined, others, first)

    def drop(self, count: int) -> None:
        """Removes the oldest `count` local updates, which end where an attempt ends."""
        del self._updates[: self._end_of(count)]

    def _end_of(self, count: int) -> int:
        totals = list(accumulate(update.count for update in self._updates))
        return totals.index(count) + 1
