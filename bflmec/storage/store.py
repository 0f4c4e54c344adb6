"""The embedded blob store: a folder of blocks and a folder of pins."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from bflmec.errors import StorageError
from bflmec.files import sync_folder
from bflmec.storage import unixfs
from bflmec.storage.cid import Cid
from bflmec.storage.flatfs import FlatfsBlocks, reported
from bflmec.storage.protocol import Buffer, Collected, storages


@storages.register("embedded")
class BlobStore:
    """A `BlobStorage` below one folder; threads and processes may share it.

        blocks/          see bflmec/storage/flatfs.py
        pins/<cid>       an empty file for each pinned blob
        lock             shared while a blob is pinned, exclusive while garbage is collected

    What is put but not yet pinned may be collected by a concurrent `gc`; `pin` then raises StorageError.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open the folder, or create it. Raises StorageError if that can't be done."""
        self._folder = Path(folder)
        self._blocks = FlatfsBlocks(self._folder / "blocks")
        self._pins = self._folder / "pins"
        self._threads = threading.RLock()
        with reported(f"can't open the blob store {folder}"):
            self._pins.mkdir(exist_ok=True)
            sync_folder(self._folder)

    def put(self, data: Buffer) -> Cid:
        root = self._blocks.put_many(unixfs.encode(data))
        assert root is not None
        return root

    def put_blocks(self, blocks: Iterable[tuple[Cid, Buffer]]) -> None:
        """Store blocks that match their ids, in any order. When this returns, they are durable."""
        self._blocks.put_many(blocks)

    def get(self, cid: Cid, limit: int) -> bytes:
        return unixfs.read(cid, self._blocks.get, limit)

    def has(self, cid: Cid) -> bool:
        try:
            return all(self._blocks.has(block) for block in unixfs.blocks(cid, self._blocks.get))
        except StorageError:
            return False

    def block(self, cid: Cid) -> bytes:
        """One block, checked against its digest. Raises StorageError if it is missing or damaged."""
        return self._blocks.get(cid)

    def pin(self, cid: Cid) -> None:
        with self._locked(fcntl.LOCK_SH), reported(f"can't pin {cid}"):
            if not self.has(cid):
                raise StorageError(f"can't pin {cid}: it is not complete in {self._folder}; put it first")
            (self._pins / str(cid)).touch()
            sync_folder(self._pins)

    def unpin(self, cid: Cid) -> None:
        with reported(f"can't unpin {cid}"):
            (self._pins / str(cid)).unlink(missing_ok=True)
            sync_folder(self._pins)

    def pins(self) -> list[Cid]:
        with reported(f"can't list the pins in {self._pins}"):
            return sorted(Cid.parse(name) for name in os.listdir(self._pins))

    def gc(self) -> Collected:
        """Remove every block that no pinned blob needs. Raises StorageError, and removes nothing, if a pinned blob
        is not complete: its other blocks must not go with it."""
        with self._locked(fcntl.LOCK_EX):
            kept = {block.digest for cid in self.pins() for block in unixfs.blocks(cid, self._blocks.get)}
            garbage = [digest for digest in self._blocks.digests() if digest not in kept]
            size = sum(self._blocks.delete(digest) for digest in garbage)
            self._blocks.sweep_abandoned()
        return Collected(len(garbage), size)

    @contextlib.contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        with self._threads, reported(f"can't lock {self._folder}"), (self._folder / "lock").open("ab") as file:
            fcntl.flock(file, kind)
            yield
