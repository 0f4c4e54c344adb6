"""The execution of one block, the same when it is mined and when it is checked.

The system contracts of EIP-4788, 2935, 7002 and 7251 serve a beacon chain and are not deployed, so a block begins and
ends without system calls, as those EIPs say for a missing contract.
"""

from __future__ import annotations

from collections.abc import Iterable

from eth.exceptions import PyEVMError
from eth.vm.forks.prague import PragueVM
from eth_utils.exceptions import ValidationError

from bflmec.devchain.blocks import Block, list_root
from bflmec.devchain.consensus import BLOCK_REWARD, Header
from bflmec.devchain.state import NodeStore, state_at
from bflmec.devchain.transactions import Transaction
from bflmec.errors import ChainError


class BlockExecution:
    """Transactions applied one after the other on top of `header`, which names the parent's state."""

    def __init__(self, header: Header, store: NodeStore, chain_id: int, ancestors: Iterable[bytes]) -> None:
        self.gas_used = 0
        self._header = header
        self._state = state_at(header, store, chain_id, ancestors)
        self._raw_transactions: list[bytes] = []
        self._raw_receipts: list[bytes] = []
        self._bloom = 0

    def nonce(self, account: bytes) -> int:
        return int(self._state.get_nonce(account))

    def apply(self, transaction: Transaction) -> None:
        """Execute a decoded transaction. Raises ChainError, with nothing changed, if it is not valid here and now."""
        if self.gas_used + transaction.gas > self._header.gas_limit:
            raise ChainError("the block has not enough gas left for the transaction")
        self._state.lock_changes()
        try:
            computation = self._state.apply_transaction(transaction)
        except (ValidationError, PyEVMError) as error:
            raise ChainError(f"the transaction is not valid now: {error}") from error
        receipt = PragueVM.make_receipt(self, transaction, computation, self._state)
        self.gas_used = receipt.gas_used
        self._bloom |= int(receipt.bloom)
        self._raw_transactions.append(transaction.encode())
        self._raw_receipts.append(receipt.encode())

    def finish(self) -> Block:
        """Pay the miner and write the state into the store; returns the block, not sealed yet."""
        self._state.delta_balance(self._header.coinbase, BLOCK_REWARD)
        self._state.persist()
        header = self._header.copy(
            state_root=self._state.state_root,
            transaction_root=list_root(self._raw_transactions),
            receipt_root=list_root(self._raw_receipts),
            bloom=self._bloom,
            gas_used=self.gas_used,
        )
        return Block(header, tuple(self._raw_transactions), tuple(self._raw_receipts))
