"""Transactions that wait for a block, in the order in which they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from bflmec.devchain.transactions import Transaction
from bflmec.errors import ChainError

CAPACITY = 4096
MAX_NONCE_GAP = 1024
_BUMP_PERCENT = 10


@dataclass(frozen=True, slots=True)
class Pending:
    hash: bytes
    transaction: Transaction


class Arrivals:
    """Hashes of the transactions that came last, each under its number."""

    def __init__(self) -> None:
        self.count = 0
        self._newest: deque[bytes] = deque(maxlen=2 * CAPACITY)

    def add(self, transaction_hash: bytes) -> None:
        self._newest.append(transaction_hash)
        self.count += 1

    def since(self, number: int) -> list[bytes]:
        """Those that came after the first `number` ones, as far as they are remembered; oldest first."""
        wanted = min(max(self.count - number, 0), len(self._newest))
        return list(islice(self._newest, len(self._newest) - wanted, None))


class Mempool:
    """One transaction for each (sender, nonce); a later one replaces it if it pays 10 % more."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[bytes, int], Pending] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Pending]:
        """In the order in which senders sent, each sender's transactions by their nonces."""
        by_sender: dict[bytes, list[Pending]] = {}
        for (sender, _), pending in sorted(self._waiting.items(), key=lambda item: -item[0][1]):
            by_sender.setdefault(sender, []).append(pending)
        return iter([by_sender[sender].pop() for sender, _ in self._waiting])

    def add(self, pending: Pending, account_nonce: int) -> None:
        """Raises ChainError if it is here already, too far ahead of the account's nonce, pays too little, or the pool
        is full."""
        transaction = pending.transaction
        key = transaction.sender, transaction.nonce
        current = self._waiting.get(key)
        if current is not None:
            self._check_replacement(current, pending)
        elif transaction.nonce >= account_nonce + MAX_NONCE_GAP:
            raise ChainError(f"nonce too high: {transaction.nonce} given, {account_nonce} is next")
        elif len(self._waiting) >= CAPACITY:
            raise ChainError(f"the mempool is full with {CAPACITY} transactions; mine a block first")
        self._waiting[key] = pending

    def remove(self, pending: Pending) -> None:
        self._waiting.pop((pending.transaction.sender, pending.transaction.nonce), None)

    def find(self, transaction_hash: bytes) -> Transaction | None:
        return next((p.transaction for p in self._waiting.values() if p.hash == transaction_hash), None)

    def next_nonce(self, sender: bytes, account_nonce: int) -> int:
        """The nonce after the ones that wait without a gap."""
        while (sender, account_nonce) in self._waiting:
            account_nonce += 1
        return account_nonce

    @staticmethod
    def _check_replacement(current: Pending, pending: Pending) -> None:
        if current.hash == pending.hash:
            raise ChainError("already known: the transaction waits for a block")
        for name in ("max_fee_per_gas", "max_priority_fee_per_gas"):
            old, new = getattr(current.transaction, name), getattr(pending.transaction, name)
            if 100 * new < (100 + _BUMP_PERCENT) * old:
                raise ChainError(f"replacement transaction underpriced: {name} must be {_BUMP_PERCENT} % above {old}")
