"""Blocks as files, in the layout of Kubo's flatfs datastore, so that a folder moves to a Kubo repository as it is.

    blocks/SHARDING             /repo/flatfs/shard/v1/next-to-last/2
    blocks/<shard>/<key>.data   key: multihash in upper-case base32 without padding; shard: key[-3:-1]
    blocks/.temp/               files that are being written, and damaged ones

A block appears under its name complete and durable, or not at all: written aside, synced, renamed, folder synced.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from bflmec.errors import StorageError
from bflmec.files import sync_folder, write_all, write_atomically
from bflmec.storage.cid import Cid
from bflmec.storage.protocol import Buffer
from bflmec.storage.unixfs import MAX_BLOCK_SIZE

_SHARDING: Final = b"/repo/flatfs/shard/v1/next-to-last/2\n"
_SUFFIX: Final = ".data"
_MULTIHASH_PREFIX: Final = b"\x12\x20"
_BATCH_BYTES: Final = 32 << 20
_BATCH_BLOCKS: Final = 64
_ABANDONED_SECONDS: Final = 3600


class FlatfsBlocks:
    """The blocks below one folder. Several processes may use the folder at once."""

    def __init__(self, folder: Path) -> None:
        """Open the folder, or create it. Raises StorageError if it is laid out in another way."""
        self._folder = folder
        self._temp = folder / ".temp"
        with reported(f"can't open the block store {folder}"):
            self._temp.mkdir(parents=True, exist_ok=True)
            sharding = folder / "SHARDING"
            if not sharding.exists():
                write_atomically(sharding, _SHARDING)
            with sharding.open("rb") as file:
                found = file.read(len(_SHARDING) + 1)
        if found.strip() != _SHARDING.strip():
            raise StorageError(f"{sharding} says {found!r}; only {_SHARDING!r} is supported, choose another folder")

    def put_many(self, blocks: Iterable[tuple[Cid, Buffer]]) -> Cid | None:
        """Store blocks, and return the id of the last, None if there was none; all are durable when this returns. One
        that is there already costs a look at its size."""
        cid = None
        batch: dict[Path, Buffer] = {}
        size = 0
        for cid, block in blocks:
            path = self._path(cid.digest)
            if path in batch or _size(path) == len(block):
                continue
            batch[path] = block
            size += len(block)
            if size >= _BATCH_BYTES or len(batch) >= _BATCH_BLOCKS:
                self._write(batch)
                batch, size = {}, 0
        self._write(batch)
        return cid

    def get(self, cid: Cid) -> bytes:
        """The block, checked against its digest. Raises StorageError if it is missing or damaged; a damaged file is
        set aside, so that the next put of the block heals it, and is kept as evidence until garbage is collected."""
        path = self._path(cid.digest)
        try:
            with path.open("rb", buffering=0) as file:
                block = file.read(MAX_BLOCK_SIZE + 1) or b""
        except FileNotFoundError:
            raise StorageError(f"block {cid} is not in {self._folder}; fetch the blob again from a peer") from None
        except OSError as error:
            raise StorageError(f"can't read block {cid} in {self._folder}: {error}") from error
        if len(block) > MAX_BLOCK_SIZE or sha256(block).digest() != cid.digest:
            aside = self._temp / f"damaged-{path.stem}"
            with reported(f"can't set the damaged block {path} aside"), contextlib.suppress(FileNotFoundError):
                os.replace(path, aside)
            raise StorageError(f"block {cid} was damaged and is now set aside as {aside}; fetch the blob again")
        return block

    def has(self, cid: Cid) -> bool:
        return self._path(cid.digest).exists()

    def delete(self, digest: bytes) -> int:
        """Remove a block and return how many bytes that freed: none if it is not there."""
        path = self._path(digest)
        with reported(f"can't remove {path}"):
            size = _size(path)
            path.unlink(missing_ok=True)
        return max(size, 0)

    def digests(self) -> Iterator[bytes]:
        """Digests of all blocks, in no order. Files of other names are passed over."""
        for path in self._folder.glob(f"*/*{_SUFFIX}"):
            digest = _digest(path.name.removesuffix(_SUFFIX))
            if digest is not None and path == self._path(digest):
                yield digest

    def sweep_abandoned(self) -> None:
        """Remove what was damaged, or left half-written by a killed process, more than an hour ago."""
        before = time.time() - _ABANDONED_SECONDS
        for path in self._temp.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _path(self, digest: bytes) -> Path:
        key = base64.b32encode(_MULTIHASH_PREFIX + digest).decode().rstrip("=")
        return self._folder / key[-3:-1] / (key + _SUFFIX)

    def _write(self, batch: dict[Path, Buffer]) -> None:
        """Write everything, then sync everything: the disk sees one long write instead of many short ones."""
        written: list[tuple[int, str, Path]] = []
        with reported(f"can't store blocks in {self._folder}"):
            try:
                for path, block in batch.items():
                    descriptor, name = tempfile.mkstemp(prefix="put-", dir=self._temp)
                    written.append((descriptor, name, path))
                    write_all(descriptor, block)
                for descriptor, _, _ in written:
                    os.fsync(descriptor)
                self._publish([(name, path) for _, name, path in written])
            except BaseException:
                for _, name, _ in written:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name)
                raise
            finally:
                for descriptor, _, _ in written:
                    os.close(descriptor)

    def _publish(self, files: list[tuple[str, Path]]) -> None:
        shards = {path.parent for _, path in files}
        for shard in shards:
            shard.mkdir(exist_ok=True)
        for name, path in files:
            os.rename(name, path)
        for folder in [*shards, self._folder]:
            sync_folder(folder)


@contextlib.contextmanager
def reported(what: str) -> Iterator[None]:
    """Turn an OSError into a StorageError that says `what` could not be done, and what to do about a full disk."""
    try:
        yield
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        advice = ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "; free some space, or unpin blobs and collect garbage"
        raise StorageError(f"{what}: {error.strerror or error}{advice}") from error


def _size(path: Path) -> int:
    """Size of a file in bytes, -1 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _digest(key: str) -> bytes | None:
    try:
        multihash = base64.b32decode(key + "=" * (-len(key) % 8))
    except binascii.Error:
        return None
    return multihash.removeprefix(_MULTIHASH_PREFIX) if len(multihash) == 34 else None
