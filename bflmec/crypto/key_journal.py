"""Which one-time key signed what: on disk before the signature exists.

Two messages signed with one key would let anybody sign a third. So a key is given out for one message only, recorded
and synchronised to disk first; after a crash at any moment the next message gets a later key. A journal that is copied
back from a backup forgets what was signed since: enrol another tree then, instead.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bflmec.errors import KeysExhaustedError, KeystoreError
from bflmec.files import sync_folder, write_all

MESSAGE_SIZE: Final = 32
_CHECK_SIZE = 4
_RECORD_SIZE = 4 + MESSAGE_SIZE + _CHECK_SIZE
_MAX_RECORDS = 1 << 20
_UNKNOWN = bytes(MESSAGE_SIZE)


class KeyJournal:
    """The used keys of one tree of `keys` one-time keys, in ascending order; several processes may share it.

    Raises KeystoreError if the file is damaged, readable by others or can't be written.
    """

    def __init__(self, path: Path, keys: int) -> None:
        self._path, self._keys = path, keys
        self._indices: dict[bytes, int] = {}
        self._next = 0
        self._end = 0
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise KeystoreError(f"can't open the journal of one-time keys {path}: {error.strerror}") from error
        try:
            with self._locked():
                sync_folder(path.parent)
        except BaseException:
            os.close(self._file)
            raise

    @property
    def next_index(self) -> int:
        """The lowest key that was never given out."""
        return self._next

    def reserve(self, message: bytes, least: int, spare: int = 0) -> int:
        """The key for a message (32 bytes) from `least` on: the one that it got before, or the next, on disk by now.

        Raises KeysExhaustedError when only `spare` keys are left, KeystoreError if the disk refuses.
        """
        if len(message) != MESSAGE_SIZE or message == _UNKNOWN:
            raise KeystoreError(f"a one-time key is given to a digest of {MESSAGE_SIZE} bytes")
        with self._locked():
            known = self._indices.get(message, -1)
            if known >= least:
                self._synchronise()
                return known
            index = max(self._next, least)
            if index >= self._keys - spare:
                left = max(self._keys - index, 0)
                raise KeysExhaustedError(f"{left} of {self._keys} one-time keys are left: replace the tree")
            self._append(index, message)
            return index

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, index: int, message: bytes) -> None:
        try:
            os.lseek(self._file, self._end, os.SEEK_SET)
            write_all(self._file, _record(index, message))
        except OSError as error:
            # Nothing is signed. What may be left of the record is a used key to whoever reads it next.
            raise KeystoreError(f"can't record a one-time key in {self._path}: {error.strerror}") from error
        self._synchronise()
        self._take(index, message)
        self._end += _RECORD_SIZE

    def _synchronise(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as error:
            raise KeystoreError(f"can't record a one-time key in {self._path}: {error.strerror}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else gives out a key meanwhile; what others gave out before is known."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as error:
            raise KeystoreError(f"can't lock {self._path}: {error.strerror}") from error
        try:
            if stat.S_IMODE(os.fstat(self._file).st_mode) & 0o077:
                raise KeystoreError(f"{self._path} can be read or changed by others; run: chmod 600 {self._path}")
            self._read()
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _read(self) -> None:
        """What was recorded since the last look."""
        data = os.pread(self._file, _RECORD_SIZE * _MAX_RECORDS, self._end)
        for start in range(0, len(data), _RECORD_SIZE):
            record = data[start : start + _RECORD_SIZE]
            index, message = int.from_bytes(record[:4], "big"), record[4 : 4 + MESSAGE_SIZE]
            if record != _record(index, message):
                self._repair(len(data) - start)
                return
            self._take(index, message)
            self._end += _RECORD_SIZE

    def _repair(self, unreadable: int) -> None:
        """A crash cut the last record off, before its key signed anything. The key counts as used all the same."""
        if unreadable > _RECORD_SIZE:
            raise KeystoreError(f"{self._path} is damaged; enrol another tree, for nobody knows which keys were used")
        os.ftruncate(self._file, self._end)
        self._append(self._next, _UNKNOWN)

    def _take(self, index: int, message: bytes) -> None:
        if index < self._next or index >= self._keys:
            raise KeystoreError(f"{self._path} does not list the keys of this tree in ascending order")
        self._next = index + 1
        if message != _UNKNOWN:
            self._indices[message] = index


def _record(index: int, message: bytes) -> bytes:
    content = index.to_bytes(4, "big") + message
    return content + sha256(content).digest()[:_CHECK_SIZE]
