"""What a blob storage must do, and the registry of those that exist."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from bflmec.registry import Registry
from bflmec.storage.cid import Cid

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Collected:
    """What a garbage collection removed: `blocks`, and their `size` in bytes."""

    blocks: int
    size: int


class BlobStorage(Protocol):
    """A store of immutable blobs under the content ids of Kubo's `unixfs-v1-2025` profile.

    Every method raises StorageError, and leaves the storage usable, when it can't do its work.
    """

    def put(self, data: Buffer) -> Cid:
        """Store a blob. When this returns, the blob is durable."""
        ...

    def get(self, cid: Cid, limit: int) -> bytes:
        """The blob of that id, every block checked against its digest. Raises StorageError if it is missing, damaged
        or larger than `limit` bytes."""
        ...

    def has(self, cid: Cid) -> bool:
        """Whether every block of the blob is there."""
        ...

    def pin(self, cid: Cid) -> None:
        """Keep the blob over garbage collections. When this returns, it is complete and stays."""
        ...

    def unpin(self, cid: Cid) -> None:
        """Allow garbage collections to remove the blob. Unpinning what is not pinned does nothing."""
        ...

    def pins(self) -> list[Cid]:
        """Ids of all pinned blobs, in ascending order."""
        ...

    def gc(self) -> Collected:
        """Remove every block that no pinned blob needs."""
        ...


@runtime_checkable
class BlockSource(Protocol):
    """What blobs can be exported from, block by block."""

    def block(self, cid: Cid) -> bytes:
        """One block, checked against its digest. Raises StorageError if it is missing or damaged."""
        ...


@runtime_checkable
class BlockSink(Protocol):
    """What blobs can be imported into, block by block."""

    def put_blocks(self, blocks: Iterable[tuple[Cid, Buffer]]) -> None:
        """Store blocks that match their ids, in any order. When this returns, they are durable."""
        ...

    def has(self, cid: Cid) -> bool:
        """As in `BlobStorage.has`."""
        ...


storages: Registry[Callable[[str], BlobStorage]] = Registry("storages")
"""Name to factory; the factory takes the location: a folder, or the address of a daemon."""
