"""The chain file: blocks, an index of transactions and the state's trie nodes in one SQLite database.

A block and the trie nodes that it wrote are one SQLite transaction. In WAL mode every frame of the log carries a
checksum and a salt, and recovery replays it up to the last whole transaction, so neither a killed process nor a torn
tail can leave half a block; `synchronous=NORMAL` syncs the log before it is copied into the database. What a power cut
can take is the newest blocks, whole. The exclusive lock makes this process the only one that has the file open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from bflmec.errors import ChainError

_APPLICATION_ID = 0x42464C43  # "BFLC"
_FORMAT = 1
_SCHEMA = (
    "CREATE TABLE genesis (parameters TEXT NOT NULL)",
    "CREATE TABLE block (number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, header BLOB NOT NULL, "
    "transactions BLOB NOT NULL, receipts BLOB NOT NULL)",
    "CREATE TABLE transaction_position (hash BLOB PRIMARY KEY, number INTEGER NOT NULL, position INTEGER NOT NULL) "
    "WITHOUT ROWID",
    "CREATE TABLE node (key BLOB PRIMARY KEY, value BLOB NOT NULL)",
)


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """RLP of a header, and of the lists of encoded transactions and encoded receipts."""

    number: int
    hash: bytes
    header: bytes
    transactions: bytes
    receipts: bytes


class ChainFile:
    """One open chain file, locked for this process. `path` None keeps everything in memory. Safe to use from several
    threads."""

    def __init__(self, path: Path | None, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = RLock()

    @classmethod
    def create(cls, path: Path | None, genesis: str, block: StoredBlock, nodes: Mapping[bytes, bytes]) -> ChainFile:
        """A new file that holds the genesis. Raises ChainError if there is a chain or something else already."""
        file = cls(path, _connect(path, "rwc"))
        with file._closed_on_error(), file._errors():
            if file._pragma("application_id") or file._sql("SELECT 1 FROM sqlite_schema").fetchone():
                raise ChainError(f"{file.name} exists; open it, or choose another path for a new chain")
            file._take()
            with file._transaction():
                for statement in _SCHEMA:
                    file._sql(statement)
                file._sql("INSERT INTO genesis VALUES (?)", (genesis,))
                file._insert(block, (), nodes)
                file._sql(f"PRAGMA application_id = {_APPLICATION_ID}")
                file._sql(f"PRAGMA user_version = {_FORMAT}")
        return file

    @classmethod
    def open(cls, path: Path) -> ChainFile:
        """An existing file. Raises ChainError if it is missing, in use, foreign, of another format or damaged."""
        if not path.is_file():
            raise ChainError(f"there is no chain file {path}; create a chain first")
        file = cls(path, _connect(path, "rw"))
        with file._closed_on_error(), file._errors():
            if file._pragma("application_id") != _APPLICATION_ID:
                raise ChainError(f"{path} is not a chain file, or its creation was interrupted; choose another path")
            if file._pragma("user_version") != _FORMAT:
                raise ChainError(f"{path} has another format than {_FORMAT}; open it with the version that wrote it")
            file._take()
            schema = [row[0] for row in file._sql("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")]
            if schema != list(_SCHEMA):
                raise ChainError(f"{path} has foreign tables; restore it from a copy")
            if file._sql("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise ChainError(f"{path} is damaged; restore it from a copy or start a new chain")
        return file

    @property
    def name(self) -> str:
        return str(self.path or "the chain in memory")

    def genesis(self) -> str:
        with self._errors():
            row = self._sql("SELECT parameters FROM genesis").fetchone()
        if row is None or not isinstance(row[0], str):
            raise ChainError(f"{self.name} has no genesis; restore it from a copy or start a new chain")
        return row[0]

    def append(self, block: StoredBlock, transactions: tuple[bytes, ...], nodes: Mapping[bytes, bytes]) -> None:
        """Add a block, the positions of its transactions (hashes, in order) and the trie nodes that it wrote."""
        with self._errors(), self._transaction():
            self._insert(block, transactions, nodes)

    def height(self) -> int:
        """The number of the newest block. Raises ChainError if there is none."""
        with self._errors():
            number = self._sql("SELECT max(number) FROM block").fetchone()[0]
        if not isinstance(number, int):
            raise ChainError(f"{self.name} holds no block; restore it from a copy or start a new chain")
        return number

    def block(self, number: int) -> StoredBlock | None:
        with self._errors():
            row = self._sql(f"SELECT {_COLUMNS} FROM block WHERE number = ?", (number,)).fetchone()
        return None if row is None else self._stored(row)

    def blocks(self) -> Iterator[StoredBlock]:
        """All blocks, oldest first. Raises ChainError when one is missing."""
        for number in range(self.height() + 1):
            block = self.block(number)
            if block is None:
                raise ChainError(f"block {number} is missing in {self.name}; restore it from a copy")
            yield block

    def number_of(self, block_hash: bytes) -> int | None:
        with self._errors():
            row = self._sql("SELECT number FROM block WHERE hash = ?", (block_hash,)).fetchone()
        return None if row is None else self._number(row[0])

    def hash_of(self, number: int) -> bytes | None:
        with self._errors():
            row = self._sql("SELECT hash FROM block WHERE number = ?", (number,)).fetchone()
        return None if row is None else self._blob(row[0])

    def position_of(self, transaction_hash: bytes) -> tuple[int, int] | None:
        """(block number, index in the block) of a transaction."""
        with self._errors():
            row = self._sql(
                "SELECT number, position FROM transaction_position WHERE hash = ?", (transaction_hash,)
            ).fetchone()
        return None if row is None else (self._number(row[0]), self._number(row[1]))

    def transaction_count(self) -> int:
        """How many transactions have a position."""
        with self._errors():
            return int(self._sql("SELECT count(*) FROM transaction_position").fetchone()[0])

    def node(self, key: bytes) -> bytes | None:
        with self._errors():
            row = self._sql("SELECT value FROM node WHERE key = ?", (key,)).fetchone()
        return None if row is None else self._blob(row[0])

    def close(self) -> None:
        with self._errors():
            self._connection.close()

    def _take(self) -> None:
        """Lock the file until it is closed; only now that it is known to be ours, since this writes to it."""
        self._sql("PRAGMA journal_mode = WAL")
        self._sql("PRAGMA synchronous = NORMAL")
        with self._transaction():
            pass

    def _insert(self, block: StoredBlock, transactions: tuple[bytes, ...], nodes: Mapping[bytes, bytes]) -> None:
        self._sql(
            f"INSERT INTO block ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",
            (block.number, block.hash, block.header, block.transactions, block.receipts),
        )
        self._connection.executemany(
            "INSERT INTO transaction_position VALUES (?, ?, ?)",
            [(transaction, block.number, position) for position, transaction in enumerate(transactions)],
        )
        # A state that was left and reached again has the same nodes.
        self._connection.executemany("INSERT OR IGNORE INTO node VALUES (?, ?)", nodes.items())

    def _stored(self, row: tuple[object, ...]) -> StoredBlock:
        number, *blobs = row
        return StoredBlock(self._number(number), *map(self._blob, blobs))

    def _number(self, value: object) -> int:
        if not isinstance(value, int):
            raise self._wrong_type()
        return value

    def _blob(self, value: object) -> bytes:
        if not isinstance(value, bytes):
            raise self._wrong_type()
        return value

    def _wrong_type(self) -> ChainError:
        return ChainError(f"{self.name} holds values of the wrong types; restore it from a copy or start a new chain")

    def _sql(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def _pragma(self, name: str) -> int:
        return int(self._sql(f"PRAGMA {name}").fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._sql("BEGIN IMMEDIATE")
        try:
            yield
            self._sql("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._sql("ROLLBACK")
            raise

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """One operation: alone on the connection, and with typed errors."""
        try:
            with self._lock:
                yield
        except sqlite3.Error as error:
            raise _explained(error, self.name) from error
        except UnicodeDecodeError as error:  # sqlite3 decodes its messages, which may quote a damaged file
            raise ChainError(f"{self.name} is damaged; restore it from a copy or start a new chain") from error


def is_chain(path: Path) -> bool:
    """Whether there is a file that holds a chain: a creation that was interrupted leaves one that does not."""
    if not path.is_file():
        return False
    file = ChainFile(path, _connect(path, "rw"))
    with closing(file), file._errors():
        return file._pragma("application_id") == _APPLICATION_ID


_COLUMNS = "number, hash, header, transactions, receipts"


def _connect(path: Path | None, mode: str) -> sqlite3.Connection:
    name = str(path or "the chain in memory")
    try:
        if path is None:
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        else:
            uri = f"{path.absolute().as_uri()}?mode={mode}"
            connection = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise _explained(error, name) from error
    try:
        for pragma in ("locking_mode = EXCLUSIVE", "trusted_schema = OFF", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error as error:
        connection.close()
        raise _explained(error, name) from error
    return connection


def _explained(error: sqlite3.Error, name: str) -> ChainError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return ChainError(f"{name} is in use; a chain has one writer: close the other one first")
    if code == sqlite3.SQLITE_NOTADB:
        return ChainError(f"{name} is not a chain file; choose another path")
    if code == sqlite3.SQLITE_CORRUPT:
        return ChainError(f"{name} is damaged; restore it from a copy or start a new chain")
    if code == sqlite3.SQLITE_FULL:
        return ChainError(f"the disk of {name} is full; the block was not appended: free some space and try again")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return ChainError(f"{name} can't be opened for writing; check that its folder exists and is writable")
    return ChainError(f"{name} can't be read or written: {error}")
