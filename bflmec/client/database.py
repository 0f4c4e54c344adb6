"""The wallet's SQLite file: one transaction for everything that belongs together, on disk when it returns."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bflmec.errors import WalletError

if TYPE_CHECKING:
    from bflmec.ledger.deployment import Deployment

_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS gradients (
    digest BLOB PRIMARY KEY,
    sequence INTEGER NOT NULL,
    signed BLOB NOT NULL,
    envelope BLOB,
    superseded INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS receipts (
    gradient BLOB NOT NULL,
    edge_node INTEGER NOT NULL,
    receipt BLOB NOT NULL,
    public_key BLOB NOT NULL,
    PRIMARY KEY (gradient, edge_node)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (digest BLOB PRIMARY KEY, block INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS balances (account BLOB PRIMARY KEY, amount BLOB NOT NULL) WITHOUT ROWID;
"""


class Database:
    """One connection, which threads may share. `ledger` is what the file is bound to.

    Every method raises WalletError when the file is damaged, of another ledger, or can't be written; what was durable
    before is durable still.
    """

    def __init__(self, path: Path, ledger: bytes) -> None:
        self._path = path
        self._threads = threading.RLock()
        with self._errors():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite's own files get the same mode
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
        try:
            with self._errors():
                self._connection.executescript(_SCHEMA)
            self._bind(ledger)
        except BaseException:
            self._connection.close()
            raise

    def _bind(self, ledger: bytes) -> None:
        bound = _FORMAT.to_bytes(2, "big") + ledger
        known = self.get("ledger")
        if known is None:
            self.put("ledger", bound)
        elif known[:2] != bound[:2]:
            raise WalletError(f"{self._path} has another format; open it with the version that wrote it")
        elif known != bound:
            raise WalletError(f"{self._path} belongs to another ledger; make a wallet of its own for this one")

    def get(self, name: str) -> bytes | None:
        """A named value."""
        rows = self.rows("SELECT value FROM meta WHERE name = ?", name)
        return None if not rows else bytes(rows[0][0])

    def put(self, name: str, value: bytes) -> None:
        self.run("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._threads, self._errors():
            return self._connection.execute(query, values).fetchall()

    def run(self, statement: str, *values: object) -> None:
        with self._threads, self._errors():
            self._connection.execute(statement, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing of it; durable when it ends."""
        with self._threads, self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        with self._threads:
            self._connection.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            hint = "free some space" if "full" in str(error) else "restore it from a backup if it is damaged"
            raise WalletError(f"{self._path} can't be used ({error}); {hint}") from error
        except OSError as error:
            if isinstance(error, WalletError):
                raise
            raise WalletError(f"{self._path} can't be opened: {error.strerror}") from error


def binding_of(deployment: Deployment) -> bytes:
    """What tells one ledger from another, also where a development chain gives both the same address."""
    parameters = deployment.parameters
    identity = deployment.chain_id.to_bytes(32, "big") + deployment.ledger
    return identity + parameters.rules_digest + bytes(parameters.genesis)
