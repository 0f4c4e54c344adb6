"""The blocks of an open chain file: found by number, hash, transaction or log; the newest ones are kept in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

from bflmec.devchain.blocks import Block, Receipt
from bflmec.devchain.database import ChainFile
from bflmec.devchain.logs import MAX_BLOCK_RANGE, MAX_LOGS, FoundLog, LogFilter, logs_in
from bflmec.devchain.transactions import Transaction
from bflmec.errors import ChainError

_CACHED_BLOCKS = 256


@dataclass(frozen=True, slots=True)
class Position:
    """Where a mined transaction stands."""

    block: Block
    index: int

    @property
    def transaction(self) -> Transaction:
        return self.block.transactions[self.index]

    @property
    def receipt(self) -> Receipt:
        return self.block.receipts[self.index]


class BlockHistory:
    """What the file holds is trusted here: it was checked when it was opened, and it is locked.

    Safe to use from several threads.
    """

    def __init__(self, file: ChainFile) -> None:
        self._file = file
        self._cache: dict[int, Block] = {}
        self._lock = Lock()

    def block(self, number: int) -> Block | None:
        block = self._cache.get(number)
        if block is None:
            stored = self._file.block(number) if number >= 0 else None
            if stored is None:
                return None
            block = self.remember(Block.from_stored(stored))
        return block

    def block_by_hash(self, block_hash: bytes) -> Block | None:
        number = self._file.number_of(block_hash)
        return None if number is None else self.block(number)

    def newest(self) -> Block:
        """The newest block, read from the file. Raises ChainError if there is none."""
        stored = self._file.block(self._file.height())
        if stored is None:
            raise ChainError(f"{self._file.name} holds no block; restore it from a copy or start a new chain")
        return Block.from_stored(stored)

    def position(self, transaction_hash: bytes) -> Position | None:
        """Where a transaction was mined, None if it wasn't."""
        place = self._file.position_of(transaction_hash)
        if place is None:
            return None
        block = self.block(place[0])
        if block is None or place[1] >= len(block.raw_transactions):
            raise ChainError(f"the index of transactions in {self._file.name} is damaged; restore it from a copy")
        return Position(block, place[1])

    def logs(self, wanted: LogFilter, first: int, last: int) -> list[FoundLog]:
        """Matching logs of blocks `first` to `last`, both included, as far as there are blocks.

        Raises ChainError for more than MAX_BLOCK_RANGE blocks or MAX_LOGS logs.
        """
        if last - first >= MAX_BLOCK_RANGE:
            raise ChainError(f"a query for logs spans at most {MAX_BLOCK_RANGE} blocks; ask for a smaller range")
        found: list[FoundLog] = []
        for number in range(first, last + 1):
            block = self.block(number)
            if block is None:
                break
            found.extend(logs_in(block, wanted))
            if len(found) > MAX_LOGS:
                raise ChainError(f"more than {MAX_LOGS} logs match; ask for a smaller range")
        return found

    def hashes_down_from(self, number: int) -> Iterator[bytes]:
        """Block hashes from `number` down to 0, read when they are asked for."""
        for below in range(number, -1, -1):
            block_hash = self._file.hash_of(below)
            if block_hash is None:
                return
            yield block_hash

    def remember(self, block: Block) -> Block:
        """Keep a block in memory; returns it."""
        with self._lock:
            if len(self._cache) >= _CACHED_BLOCKS:
                del self._cache[next(iter(self._cache))]
            self._cache[block.number] = block
        return block
