"""The cache pool: verified local gradients that no global update has taken in yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from bflmec.protocol.verification import VerifiedGradient


@dataclass(frozen=True, slots=True)
class PooledGradient:
    """A local gradient, the id of the edge node that received it, and since when (block number, seconds) it is here."""

    gradient: VerifiedGradient
    receiver: int
    known_at_block: int
    known_at: float


class CachePool(Protocol):
    """Keeps pooled gradients by gradient digest, in the order of arrival; they are durable once `flush` returns."""

    def add(self, item: PooledGradient) -> None: ...

    def flush(self) -> None:
        """Returns when everything that was added and removed so far is durable."""
        ...

    def get(self, digest: bytes) -> PooledGradient | None: ...

    def of_sequence(self, client: bytes, sequence: int) -> PooledGradient | None: ...

    def remove(self, digest: bytes) -> None: ...

    def __iter__(self) -> Iterator[PooledGradient]: ...

    def __len__(self) -> int: ...


class MemoryCachePool:
    """A cache pool that lives as long as its process."""

    def __init__(self) -> None:
        self._items: dict[bytes, PooledGradient] = {}
        self._sequences: dict[tuple[bytes, int], bytes] = {}

    def add(self, item: PooledGradient) -> None:
        header = item.gradient.header
        self._items[header.digest] = item
        self._sequences.setdefault((header.client, header.sequence), header.digest)

    def flush(self) -> None:
        """Nothing to do: durable here means as long as the process."""

    def get(self, digest: bytes) -> PooledGradient | None:
        return self._items.get(digest)

    def of_sequence(self, client: bytes, sequence: int) -> PooledGradient | None:
        digest = self._sequences.get((client, sequence))
        return None if digest is None else self._items[digest]

    def remove(self, digest: bytes) -> None:
        item = self._items.pop(digest, None)
        if item is None:
            return
        key = (item.gradient.header.client, item.gradient.header.sequence)
        if self._sequences.get(key) == digest:
            del self._sequences[key]

    def __iter__(self) -> Iterator[PooledGradient]:
        return iter(list(self._items.values()))

    def __len__(self) -> int:
        return len(self._items)
