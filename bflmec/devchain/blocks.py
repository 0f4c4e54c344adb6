"""A block of the embedded chain in memory, and its form in the chain file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import rlp
from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth.vm.forks.prague.receipts import PragueReceiptBuilder
from eth.vm.forks.prague.transactions import PragueTransactionBuilder
from eth_hash.auto import keccak
from trie import HexaryTrie

from bflmec.devchain.consensus import Header
from bflmec.devchain.database import StoredBlock
from bflmec.devchain.transactions import Transaction
from bflmec.errors import ChainError

Receipt = Any  # eth.abc.ReceiptAPI; py-evm is checked without its types


@dataclass(frozen=True)
class Block:
    """Encoded transactions and receipts (EIP-2718) under a header. Decoded forms are made when first asked for."""

    header: Header
    raw_transactions: tuple[bytes, ...]
    raw_receipts: tuple[bytes, ...]

    @property
    def number(self) -> int:
        return int(self.header.block_number)

    @property
    def hash(self) -> bytes:
        return bytes(self.header.hash)

    @property
    def timestamp(self) -> int:
        return int(self.header.timestamp)

    @cached_property
    def transaction_hashes(self) -> tuple[bytes, ...]:
        return tuple(keccak(raw) for raw in self.raw_transactions)

    @cached_property
    def transactions(self) -> tuple[Transaction, ...]:
        return tuple(PragueTransactionBuilder.decode(raw) for raw in self.raw_transactions)

    @cached_property
    def receipts(self) -> tuple[Receipt, ...]:
        return tuple(PragueReceiptBuilder.decode(raw) for raw in self.raw_receipts)

    def logs(self) -> Iterator[tuple[int, int, Any]]:
        """(index of the transaction, index of the log in the block, log)."""
        log_index = 0
        for position, receipt in enumerate(self.receipts):
            for log in receipt.logs:
                yield position, log_index, log
                log_index += 1

    def stored(self) -> StoredBlock:
        return StoredBlock(
            number=self.number,
            hash=self.hash,
            header=rlp.encode(self.header),
            transactions=rlp.encode(self.raw_transactions),
            receipts=rlp.encode(self.raw_receipts),
        )

    @classmethod
    def from_stored(cls, stored: StoredBlock) -> Block:
        """Raises ChainError unless header, hash and number belong together; `check_lists` looks at the rest."""
        try:
            header = rlp.decode(stored.header, PragueBlockHeader)
            transactions, receipts = _byte_strings(stored.transactions), _byte_strings(stored.receipts)
        except (rlp.exceptions.RLPException, ValueError, TypeError, IndexError) as error:
            raise ChainError(f"block {stored.number} of the chain file is malformed; {_REMEDY}") from error
        if header.hash != stored.hash or header.block_number != stored.number:
            raise ChainError(f"block {stored.number} of the chain file has another hash or number; {_REMEDY}")
        return cls(header, transactions, receipts)

    def check_lists(self) -> None:
        """Raises ChainError unless transactions and receipts are those that the header commits to."""
        roots = list_root(self.raw_transactions), list_root(self.raw_receipts)
        if roots != (self.header.transaction_root, self.header.receipt_root):
            raise ChainError(f"the transactions or receipts of block {self.number} are not its own; {_REMEDY}")


_REMEDY = "restore the file from a copy or start a new chain"


def list_root(items: Sequence[bytes]) -> bytes:
    """Root of the trie that maps each index to its item, as in `transactionsRoot`. 32 bytes."""
    trie = HexaryTrie({})
    for index, item in enumerate(items):
        trie[rlp.encode(index)] = item
    return bytes(trie.root_hash)


def _byte_strings(encoded: bytes) -> tuple[bytes, ...]:
    items = rlp.decode(encoded)
    if not isinstance(items, list | tuple) or not all(isinstance(item, bytes) for item in items):
        raise ValueError("not a list of byte strings")
    return tuple(items)
