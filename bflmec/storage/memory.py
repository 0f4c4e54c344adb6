"""A blob storage in memory, for tests and for measurements that leave the disk out."""

from __future__ import annotations

from collections.abc import Iterable

from bflmec.errors import StorageError
from bflmec.storage import unixfs
from bflmec.storage.cid import Cid
from bflmec.storage.protocol import Buffer, Collected, storages


@storages.register("memory")
class MemoryStore:
    """A `BlobStorage` of one process, gone with it. The location is not used."""

    def __init__(self, location: str = "") -> None:
        self._blocks: dict[bytes, bytes] = {}
        self._pins: set[Cid] = set()

    def put(self, data: Buffer) -> Cid:
        blocks = [*unixfs.encode(data)]
        self.put_blocks(blocks)
        return blocks[-1][0]

    def put_blocks(self, blocks: Iterable[tuple[Cid, Buffer]]) -> None:
        for cid, block in blocks:
            self._blocks[cid.digest] = bytes(block)

    def get(self, cid: Cid, limit: int) -> bytes:
        return unixfs.read(cid, self.block, limit)

    def has(self, cid: Cid) -> bool:
        try:
            return all(block.digest in self._blocks for block in unixfs.blocks(cid, self.block))
        except StorageError:
            return False

    def pin(self, cid: Cid) -> None:
        if not self.has(cid):
            raise StorageError(f"can't pin {cid}: it is not complete in memory; put it first")
        self._pins.add(cid)

    def unpin(self, cid: Cid) -> None:
        self._pins.discard(cid)

    def pins(self) -> list[Cid]:
        return sorted(self._pins)

    def gc(self) -> Collected:
        kept = {block.digest for cid in self._pins for block in unixfs.blocks(cid, self.block)}
        garbage = self._blocks.keys() - kept
        return Collected(len(garbage), sum(len(self._blocks.pop(digest)) for digest in garbage))

    def block(self, cid: Cid) -> bytes:
        try:
            return self._blocks[cid.digest]
        except KeyError:
            raise StorageError(f"block {cid} is not in memory; put the blob again") from None
