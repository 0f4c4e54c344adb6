"""What stays of local gradients after their global update: the history that the next ones are clustered with.

A client counts once in it, with its newest entry: however often some clients upload, they are no majority of a
clustered set unless they are one of its clients.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from bflmec.errors import BlobError
from bflmec.learning.fixed_point import Quantised

_CLIENT = 20


@dataclass(frozen=True)
class HistoryEntry:
    """A contribution of an earlier global update; `accepted` if it was high. `client` is an account of 20 bytes."""

    client: bytes
    delta: Quantised
    accepted: bool

    def encode(self) -> bytes:
        """Client (20 bytes), 1 or 0 for accepted (1 byte), then the quantised delta."""
        return self.client + bytes([self.accepted]) + self.delta.encode()

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes."""
        return sha256(self.encode()).digest()

    @classmethod
    def decode(cls, data: bytes, size: int) -> HistoryEntry:
        """Inverse of `encode` for a model of `size` parameters. Raises BlobError on anything but canonical bytes."""
        if len(data) <= _CLIENT or data[_CLIENT] > 1:
            raise BlobError("a history entry begins with a client of 20 bytes and a flag of 0 or 1; fetch it again")
        return cls(data[:_CLIENT], Quantised.decode(data[_CLIENT + 1 :], size), bool(data[_CLIENT]))


def advance(history: Sequence[HistoryEntry], entries: Sequence[HistoryEntry], limit: int) -> tuple[HistoryEntry, ...]:
    """The history after a global update that brought `entries`: the newest of each client, at most `limit`, oldest
    first."""
    newest: dict[bytes, HistoryEntry] = {}
    for entry in (*history, *entries):
        newest.pop(entry.client, None)
        newest[entry.client] = entry
    return tuple(newest.values())[max(len(newest) - limit, 0) :]


def of_others(history: Sequence[HistoryEntry], clients: Collection[bytes], limit: int) -> tuple[HistoryEntry, ...]:
    """The part of the history that is clustered with new contributions of `clients`: that of all other clients."""
    present = frozenset(clients)
    return advance([entry for entry in history if entry.client not in present], (), limit)
