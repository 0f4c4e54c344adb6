"""The one file that an edge node must not lose: its cache pool and its journal in one SQLite database.

Both write through one queue. A flush writes everything queued as one transaction and syncs it, so that cache pool and
journal never contradict each other, whenever the process dies. While the disk is full the queue keeps what could not be
written, and whoever wants to add more is refused. In WAL mode with `synchronous=FULL` a transaction that was committed
survives a power cut. Use it from one thread at a time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from bflmec.errors import EdgeStoreError

_APPLICATION_ID = 0x42464C45  # "BFLE"
_FORMAT = 1
_WAL_LIMIT = 64 * 2**20
_SCHEMA = (
    "CREATE TABLE owner (digest BLOB NOT NULL)",
    "CREATE TABLE gradient (position INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, "
    "receiver INTEGER NOT NULL, known_at_block INTEGER NOT NULL, size INTEGER NOT NULL, signed BLOB NOT NULL, "
    "blob BLOB NOT NULL)",
    "CREATE TABLE chain (number INTEGER PRIMARY KEY, hash BLOB NOT NULL, content BLOB)",
    "CREATE TABLE recent (number INTEGER PRIMARY KEY, step BLOB NOT NULL)",
    "CREATE TABLE snapshot (number INTEGER NOT NULL, state BLOB NOT NULL, history BLOB NOT NULL)",
    "CREATE TABLE checkpoint (number INTEGER NOT NULL, hash BLOB NOT NULL, host_block INTEGER NOT NULL, "
    "host_hash BLOB NOT NULL)",
    "CREATE TABLE recorded (hash BLOB PRIMARY KEY, number INTEGER NOT NULL)",
    "CREATE TABLE history (digest BLOB PRIMARY KEY, data BLOB NOT NULL)",
)

Value: TypeAlias = bytes | int | float | str | None


class EdgeStore:
    """One open file, locked for this process and readable by its owner only."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._queue: list[tuple[str, tuple[Value, ...]]] = []
        self._failed = False

    @classmethod
    def open(cls, path: Path, owner: bytes) -> EdgeStore:
        """The file at `path`, made if there is none. `owner` tells which edge node of which ledger it belongs to.

        Raises EdgeStoreError if it is in use, damaged, of another format or of somebody else.
        """
        is_new = _create_private(path)
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1)
        except sqlite3.Error as error:
            raise EdgeStoreError(f"{path} can't be opened: {error}") from error
        store = cls(path, connection)
        try:
            with store._errors():
                store._prepare(owner, is_new)
        except BaseException:
            connection.close()
            raise
        return store

    def _prepare(self, owner: bytes, is_new: bool) -> None:
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
        self._connection.execute("BEGIN EXCLUSIVE")
        if is_new or not self._connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            for statement in _SCHEMA:
                self._connection.execute(statement)
            self._connection.execute("INSERT INTO owner VALUES (?)", (owner,))
            self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            self._connection.execute(f"PRAGMA user_version = {_FORMAT}")
        self._connection.execute("COMMIT")
        application, version = (self._pragma(name) for name in ("application_id", "user_version"))
        if application != _APPLICATION_ID:
            raise EdgeStoreError(f"{self.path} is no file of an edge node; choose another path")
        if version != _FORMAT:
            raise EdgeStoreError(
                f"{self.path} has format {version}, not {_FORMAT}; open it with the version that wrote it"
            )
        if self.rows("SELECT digest FROM owner") != [(owner,)]:
            raise EdgeStoreError(
                f"{self.path} belongs to another edge node, another ledger or other rules; choose another folder"
            )

    def _pragma(self, name: str) -> int:
        (value,) = self._connection.execute(f"PRAGMA {name}").fetchone()
        return int(value)

    def rows(self, sql: str, *parameters: Value) -> list[tuple[Any, ...]]:
        """What the file holds; what is queued is not in it yet."""
        with self._errors():
            return self._connection.execute(sql, parameters).fetchall()

    def iterate(self, sql: str, *parameters: Value) -> Iterator[tuple[Any, ...]]:
        """`rows`, one by one."""
        with self._errors(), closing(self._connection.execute(sql, parameters)) as cursor:
            yield from cursor

    def require_writable(self) -> None:
        """Tries again if the last flush failed. Raises EdgeStoreError if it fails again: nothing may be queued then."""
        if self._failed:
            self.flush()

    def queue(self, sql: str, *parameters: Value) -> None:
        """To be written with the next flush."""
        self._queue.append((sql, parameters))

    def flush(self) -> None:
        """Returns when everything queued is on disk. Raises EdgeStoreError if it can't be written; it stays queued."""
        if not self._queue:
            return
        self._failed = True
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for sql, parameters in self._queue:
                    self._connection.execute(sql, parameters)
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite itself rolls back on some errors
                    self._connection.execute("ROLLBACK")
                raise
        self._queue.clear()
        self._failed = False

    def close(self) -> None:
        """Flushes and closes the file. Raises EdgeStoreError if something can't be written."""
        try:
            self.flush()
        finally:
            self._connection.close()

    def damaged(self, what: str) -> EdgeStoreError:
        """The error to raise for contents that contradict themselves."""
        return EdgeStoreError(
            f"{self.path} is damaged: {what}; put a backup in its place, or move it away and start again: the edge "
            "node then catches up with the ledger and its peers, but local gradients that only it had are lost"
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:
            raise self.damaged(str(error)) from error
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA):
                raise self.damaged(str(error)) from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise EdgeStoreError(f"{self.path} is in use by another process; stop that one first") from error
            raise EdgeStoreError(
                f"{self.path} can't be read or written: {error}; nothing is lost: free some space or repair the disk"
            ) from error


def _create_private(path: Path) -> bool:
    """Makes an empty file that nobody else may read; SQLite gives its log the same permissions."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    except OSError as error:
        raise EdgeStoreError(f"{path} can't be made: {error}") from error
    return True
