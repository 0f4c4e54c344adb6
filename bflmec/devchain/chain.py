"""The embedded chain: one miner, one file, no forks."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, RLock
from types import TracebackType
from typing import Self

from eth_hash.auto import keccak

from bflmec.devchain import calls
from bflmec.devchain.blocks import Block
from bflmec.devchain.calls import CallRequest
from bflmec.devchain.consensus import child_header, seal
from bflmec.devchain.database import ChainFile
from bflmec.devchain.execution import BlockExecution
from bflmec.devchain.genesis import Genesis
from bflmec.devchain.history import BlockHistory, Position
from bflmec.devchain.logs import FoundLog, LogFilter
from bflmec.devchain.mempool import Arrivals, Mempool, Pending
from bflmec.devchain.state import NodeStore, State, state_at, write_genesis
from bflmec.devchain.transactions import Transaction, decode_transaction
from bflmec.devchain.verification import check_file, execute_again
from bflmec.errors import ChainError

Clock = Callable[[], int]


def system_clock() -> int:
    return int(time.time())


def never() -> bool:
    return False


class DevChain:
    """Made by `create` or `open`; a context manager. Safe to use from several threads; reading goes on while a nonce
    is searched and while calls are executed.

    While `auto_mine` is set each transaction gets a block of its own when it is sent, and one that can't be mined is
    refused; else transactions wait for `mine`, and `arrived` is set by each one that comes. `clock` gives seconds; a
    block is never older than its parent.
    """

    def __init__(self, file: ChainFile, genesis: Genesis, head: Block, clock: Clock, auto_mine: bool) -> None:
        self.genesis = genesis
        self.auto_mine = auto_mine
        self.arrived = Event()
        self.lock = RLock()  # of the mempool, the head and its state; held for moments only
        self._writer = RLock()  # of whoever makes the next block; always taken before `lock`
        self._closing = Event()
        self._file = file
        self._clock = clock
        self._store = NodeStore(file)
        self._mempool = Mempool()
        self._arrivals = Arrivals()
        self._head = head
        self._head_state: tuple[bytes, State] | None = None
        self._history = BlockHistory(file)

    @classmethod
    def create(
        cls, path: Path | None, genesis: Genesis, *, clock: Clock = system_clock, auto_mine: bool = True
    ) -> DevChain:
        """A new chain in a new file, or in memory if `path` is None. Raises ChainError if the file is used already."""
        store = NodeStore(None)
        head = Block(write_genesis(genesis, store), (), ())
        file = ChainFile.create(path, genesis.to_json(), head.stored(), store.pending)
        return cls(file, genesis, head, clock, auto_mine)

    @classmethod
    def open(
        cls, path: Path, genesis: Genesis | None = None, *, clock: Clock = system_clock, auto_mine: bool = True
    ) -> DevChain:
        """An existing chain. Raises ChainError if the file is missing, in use, foreign, damaged or forged, or if its
        genesis is not the one that is expected."""
        file = ChainFile.open(path)
        try:
            own = Genesis.from_json(file.genesis())
            if genesis is not None:
                _check_expected(path, own, genesis)
            return cls(file, own, check_file(file, own), clock, auto_mine)
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        """Ends a search for a nonce; the transactions of that block are not mined."""
        self._closing.set()
        with self._writer, self.lock:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def chain_id(self) -> int:
        return self.genesis.chain_id

    @property
    def head(self) -> Block:
        return self._head

    @property
    def next_base_fee(self) -> int:
        """Base fee per gas of the next block, in wei."""
        return int(child_header(self._head.header, self._head.timestamp).base_fee_per_gas)

    def block(self, number: int) -> Block | None:
        return self._history.block(number)

    def block_by_hash(self, block_hash: bytes) -> Block | None:
        return self._history.block_by_hash(block_hash)

    def position(self, transaction_hash: bytes) -> Position | None:
        """Where a transaction was mined, None if it wasn't."""
        return self._history.position(transaction_hash)

    def logs(self, wanted: LogFilter, first: int, last: int) -> list[FoundLog]:
        """Matching logs of blocks `first` to `last`, both included. Raises ChainError if that is too much to ask."""
        return self._history.logs(wanted, first, last)

    def pending(self, transaction_hash: bytes) -> Transaction | None:
        """A transaction that waits for a block."""
        with self.lock:
            return self._mempool.find(transaction_hash)

    def arrivals(self, after: int) -> tuple[list[bytes], int]:
        """Hashes of the transactions that were taken after the first `after` ones, the newest 8,192 at most, and how
        many were taken in all since the chain was opened."""
        with self.lock:
            return self._arrivals.since(after), self._arrivals.count

    def send(self, raw: bytes) -> bytes:
        """Take a signed transaction; returns its hash. Raises ChainError, with nothing changed, if it is refused."""
        transaction = decode_transaction(raw, self.chain_id)
        pending = Pending(bytes(keccak(raw)), transaction)
        if self.auto_mine:
            with self._writer:
                with self.lock:
                    self._check_minable(transaction, self._check_affordable(pending))
                self._append(self._execute([pending], BlockExecution.apply))
        else:
            with self.lock:
                self._mempool.add(pending, self._check_affordable(pending))
            self.arrived.set()
        with self.lock:
            self._arrivals.add(pending.hash)
        return pending.hash

    def mine(self, cancelled: Callable[[], bool] = never) -> Block:
        """Seal a block of all waiting transactions that are valid now and fit, in the order in which they came.

        Raises ChainError, with nothing changed, if it can't be written, or soon after `cancelled`.
        """
        with self._writer:
            return self._append(self._execute(self._waiting(), self._try), cancelled)

    def mine_waiting(self, cancelled: Callable[[], bool] = never) -> Block | None:
        """Like `mine`, but seals no empty block: None if no waiting transaction is valid now."""
        with self._writer:
            unsealed = self._execute(self._waiting(), self._try)
            if unsealed.raw_transactions:
                return self._append(unsealed, cancelled)
            self._store.clear()
            return None

    def call(self, request: CallRequest, number: int | None = None) -> bytes:
        """Execute without a transaction on the state after block `number` (None: the newest).

        Raises CallRevertedError with the contract's revert data, ChainError if there is no such block.
        """
        return calls.call(self._costless_state(number), request)

    def estimate_gas(self, request: CallRequest, number: int | None = None) -> int:
        """Gas that a transaction like `request` needs. Raises like `call`."""
        return calls.estimate_gas(self._costless_state(number), request)

    def balance(self, account: bytes, number: int | None = None) -> int:
        """Wei of an account after block `number` (None: the newest)."""
        with self.lock:
            return int(self._state(number).get_balance(account))

    def nonce(self, account: bytes, number: int | None = None) -> int:
        with self.lock:
            return int(self._state(number).get_nonce(account))

    def next_nonce(self, account: bytes) -> int:
        """The nonce after the transactions that wait."""
        with self.lock:
            return self._mempool.next_nonce(account, self.nonce(account))

    def code(self, account: bytes, number: int | None = None) -> bytes:
        with self.lock:
            return bytes(self._state(number).get_code(account))

    def storage(self, account: bytes, slot: int, number: int | None = None) -> int:
        with self.lock:
            return int(self._state(number).get_storage(account, slot))

    def verify(self, progress: Callable[[int], None] = lambda number: None) -> int:
        """Execute the whole chain again from the genesis parameters; returns the number of blocks after genesis.

        Raises ChainError at the first block that is not what execution gives. `progress` is told each block's number.
        """
        with self._writer:
            return execute_again(self._file, self.genesis, progress)

    def _waiting(self) -> list[Pending]:
        with self.lock:
            return list(self._mempool)

    def _execute(self, candidates: list[Pending], apply: Callable[[BlockExecution, Transaction], None]) -> Block:
        """The next block, not sealed yet; what it wrote waits in the store."""
        header = child_header(self._head.header, max(self._head.timestamp, self._clock()))
        execution = BlockExecution(
            header, self._store, self.chain_id, self._history.hashes_down_from(self._head.number)
        )
        try:
            for pending in candidates:
                apply(execution, pending.transaction)
            return execution.finish()
        except BaseException:
            self._store.clear()
            raise

    def _append(self, unsealed: Block, cancelled: Callable[[], bool] = never) -> Block:
        try:
            header = seal(unsealed.header, lambda: cancelled() or self._closing.is_set())
            block = Block(header, unsealed.raw_transactions, unsealed.raw_receipts)
            with self.lock:
                self._file.append(block.stored(), block.transaction_hashes, self._store.pending)
                self._store.appended()
                self._head = self._history.remember(block)
                self._drop_mined()
        except BaseException:
            self._store.clear()
            with self.lock:
                self._head = self._history.newest()  # an interrupt may come just after the commit
            raise
        return block

    @staticmethod
    def _try(execution: BlockExecution, transaction: Transaction) -> None:
        with suppress(ChainError):  # it waits for a lower fee, more gas, the nonce before it or more money
            execution.apply(transaction)

    def _drop_mined(self) -> None:
        for pending in self._mempool:
            if pending.transaction.nonce < self.nonce(pending.transaction.sender):
                self._mempool.remove(pending)

    def _check_affordable(self, pending: Pending) -> int:
        """The sender's nonce. Raises ChainError if the transaction's is behind it or the balance does not suffice."""
        transaction = pending.transaction
        if self._history.position(pending.hash) is not None:
            raise ChainError("already known: the transaction is in a block")
        state = self._state(None)
        nonce = int(state.get_nonce(transaction.sender))
        if transaction.nonce < nonce:
            raise ChainError(f"nonce too low: {transaction.nonce} given, {nonce} is next")
        cost = transaction.gas * transaction.max_fee_per_gas + transaction.value
        balance = state.get_balance(transaction.sender)
        if balance < cost:
            raise ChainError(f"insufficient funds for gas * price + value: {balance} wei there, {cost} needed")
        return nonce

    def _check_minable(self, transaction: Transaction, nonce: int) -> None:
        if transaction.nonce > nonce:
            raise ChainError(f"nonce too high: {transaction.nonce} given, {nonce} is next")
        if transaction.max_fee_per_gas < self.next_base_fee:
            raise ChainError(
                f"max fee per gas less than block base fee: {transaction.max_fee_per_gas} wei given, "
                f"{self.next_base_fee} needed"
            )

    def _state(self, number: int | None) -> State:
        """For reading only: the newest one is kept."""
        block = self._block_at(number)
        if self._head_state is not None and self._head_state[0] == block.hash:
            return self._head_state[1]
        state = state_at(block.header, self._store, self.chain_id)
        if block is self._head:
            self._head_state = block.hash, state
        return state

    def _costless_state(self, number: int | None) -> State:
        block = self._block_at(number)
        header = block.header.copy(base_fee_per_gas=0)
        return state_at(header, self._store, self.chain_id, self._history.hashes_down_from(block.number - 1))

    def _block_at(self, number: int | None) -> Block:
        block = self._head if number is None else self.block(number)
        if block is None:
            raise ChainError(f"there is no block {number}; the newest is {self._head.number}")
        return block


def _check_expected(path: Path, own: Genesis, expected: Genesis) -> None:
    for name in ("chain_id", "difficulty", "miner", "timestamp", "balances"):
        if getattr(own, name) != getattr(expected, name):
            raise ChainError(
                f"{path} was created with another {name} than expected; "
                "open it with its own genesis or choose another path for a new chain"
            )
