"""The cache pool: verified local gradients until the global update that took them in can't be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from bflmec.protocol.verification import LocalGradient


@dataclass(frozen=True, slots=True)
class PooledGradient:
    """A local gradient, the id of the edge node that received it, and since when (block number, seconds) it is here."""

    gradient: LocalGradient
    receiver: int
    known_at_block: int
    known_at: float


class CachePool(Protocol):
    """Keeps pooled gradients by gradient digest, in the order of arrival; they are durable once `flush` returns."""

    @property
    def size(self) -> int:
        """Bytes of all envelopes in the pool."""
        ...

    def add(self, item: PooledGradient) -> None:
        """Adds a local gradient; one of the same digest is replaced and keeps its place."""
        ...

    def flush(self) -> None:
        """Returns when everything that was added and removed so far is durable. Raises EdgeStoreError if it can't be
        written now; nothing is lost then, and the next flush tries again."""
        ...

    def get(self, digest: bytes) -> PooledGradient | None: ...

    def of_client(self, client: bytes) -> list[PooledGradient]:
        """All local gradients of a client, in the order of arrival."""
        ...

    def of_sequence(self, client: bytes, sequence: int) -> list[PooledGradient]:
        """All that a client signed under one sequence number, in the order of arrival."""
        ...

    def remove(self, digest: bytes) -> object:
        """Removes a local gradient, or does nothing if it isn't there."""
        ...

    def __iter__(self) -> Iterator[PooledGradient]: ...

    def __len__(self) -> int: ...


class PoolIndex:
    """Pooled gradients by digest, client and sequence, in the order of arrival: what any cache pool has in memory."""

    def __init__(self) -> None:
        self._items: dict[bytes, PooledGradient] = {}
        self._clients: dict[bytes, dict[bytes, int]] = {}

    def add(self, item: PooledGradient) -> None:
        header = item.gradient.header
        self._items[header.digest] = item
        self._clients.setdefault(header.client, {})[header.digest] = header.sequence

    def remove(self, digest: bytes) -> PooledGradient | None:
        item = self._items.pop(digest, None)
        if item is not None:
            client = item.gradient.header.client
            del self._clients[client][digest]
            if not self._clients[client]:
                del self._clients[client]
        return item

    def get(self, digest: bytes) -> PooledGradient | None:
        return self._items.get(digest)

    def of_client(self, client: bytes) -> list[PooledGradient]:
        return [self._items[digest] for digest in self._clients.get(client, ())]

    def of_sequence(self, client: bytes, sequence: int) -> list[PooledGradient]:
        known = self._clients.get(client, {})
        return [self._items[digest] for digest, taken in known.items() if taken == sequence]

    def __iter__(self) -> Iterator[PooledGradient]:
        return iter(list(self._items.values()))

    def __len__(self) -> int:
        return len(self._items)


class MemoryCachePool(PoolIndex):
    """A cache pool that lives as long as its process."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def add(self, item: PooledGradient) -> None:
        replaced = self.get(item.gradient.digest)
        self.size += len(item.gradient.envelope) - (len(replaced.gradient.envelope) if replaced else 0)
        super().add(item)

    def remove(self, digest: bytes) -> PooledGradient | None:
        item = super().remove(digest)
        if item is not None:
            self.size -= len(item.gradient.envelope)
        return item

    def flush(self) -> None:
        """Nothing to do: durable here means as long as the process."""
