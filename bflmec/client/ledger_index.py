"""What a wallet remembers of the ledger's blocks: where its local gradients are recorded, and everybody's rewards.

A reward is claimed by a proof over the cumulative rewards of all accounts, so these are kept, too: 32 bytes for each
account. Of the blocks themselves only those stay that record a local gradient of this client.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from bflmec.client.database import Database
from bflmec.errors import LedgerError, WalletError
from bflmec.ledger.follower import BlockAdded, Change, Checkpoint
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.messages import Proposal, decode, encode

_AMOUNT_SIZE = 16
_NUMBER = "number"
_CHECKPOINT = "checkpoint"
_NEWEST = "newest-block"


class LedgerIndex:
    """Follows the ledger block by block. `account` is the client's; `miner_reward` what each block pays its miner."""

    def __init__(self, database: Database, account: bytes, miner_reward: int) -> None:
        self._database = database
        self._account = account
        self._miner_reward = miner_reward

    @property
    def number(self) -> int:
        """The newest block that is known here."""
        data = self._database.get(_NUMBER)
        return 0 if data is None else int.from_bytes(data, "big")

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Up to where the ledger was followed; None for from its first block on."""
        data = self._database.get(_CHECKPOINT)
        try:
            return None if not data else msgspec.msgpack.decode(data, type=Checkpoint)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WalletError(f"the wallet's place in the ledger is damaged: {error}") from error

    def apply(self, changes: Sequence[Change], checkpoint: Checkpoint | None) -> None:
        """Takes in what a follower has reported, all of it or nothing. Raises LedgerError if it does not fit."""
        with self._database.transaction():
            for change in changes:
                if isinstance(change, BlockAdded):
                    self._add(change.recorded.block)
                else:
                    self._remove(change.recorded.block)
            self._database.put(_CHECKPOINT, b"" if checkpoint is None else msgspec.msgpack.encode(checkpoint))

    def clear(self) -> None:
        """Forgets everything: a reorganisation went deeper than what can be undone; follow from the first block."""
        with self._database.transaction():
            for table in ("records", "blocks", "balances"):
                self._database.run(f"DELETE FROM {table}")
            self._set_number(0)
            self._database.put(_CHECKPOINT, b"")
            self._database.put(_NEWEST, b"")

    # ---------------------------------------------------------------- what it knows

    def balances(self) -> dict[bytes, int]:
        """Cumulative rewards by account, in the token's smallest unit."""
        rows = self._database.rows("SELECT account, amount FROM balances")
        return {account: int.from_bytes(amount, "big") for account, amount in rows}

    def paid(self, block: SealedBlock) -> list[tuple[bytes, int]]:
        """Whom a block pays how much."""
        amounts = [(reward.account, reward.amount) for reward in block.rewards]
        return [*amounts, (block.header.edge_node, self._miner_reward)] if self._miner_reward else amounts

    def earned(self) -> int:
        """The client's cumulative reward."""
        return self._balance(self._account)

    @property
    def newest(self) -> SealedBlock | None:
        """The newest block that is known here; None right after a reorganisation took one away."""
        data = self._database.get(_NEWEST)
        return None if not data else decode(Proposal, data).block()

    def is_recorded(self, digest: bytes) -> bool:
        """Whether a block records that local gradient of this client."""
        return bool(self._database.rows("SELECT 1 FROM records WHERE digest = ?", digest))

    def block(self, number: int) -> SealedBlock | None:
        """A block that records a local gradient of this client."""
        rows = self._database.rows("SELECT content FROM blocks WHERE number = ?", number)
        return None if not rows else decode(Proposal, rows[0][0]).block()

    def recording_blocks(self) -> Iterator[SealedBlock]:
        """The blocks that record local gradients of this client, newest first."""
        for (number,) in self._database.rows("SELECT number FROM blocks ORDER BY number DESC"):
            block = self.block(number)
            if block is not None:
                yield block

    # ---------------------------------------------------------------- block by block

    def _add(self, block: SealedBlock) -> None:
        header = block.header
        if header.number != self.number + 1:
            raise LedgerError(f"block {header.number} does not follow block {self.number}; follow the ledger anew")
        self._pay(block, 1)
        own = [entry.gradient for entry in block.transactions if entry.client == self._account]
        for gradient in own:
            self._database.run("INSERT OR REPLACE INTO records VALUES (?, ?)", gradient, header.number)
        content = encode(Proposal.of(block))
        self._database.put(_NEWEST, content)
        if own:
            self._database.run("INSERT OR REPLACE INTO blocks VALUES (?, ?)", header.number, content)
        self._set_number(header.number)

    def _remove(self, block: SealedBlock) -> None:
        number = block.header.number
        if number != self.number:
            raise LedgerError(f"block {number} is not the newest known, which is {self.number}; follow the ledger anew")
        self._pay(block, -1)
        self._database.run("DELETE FROM records WHERE block = ?", number)
        self._database.run("DELETE FROM blocks WHERE number = ?", number)
        self._database.put(_NEWEST, b"")
        self._set_number(number - 1)

    def _pay(self, block: SealedBlock, sign: int) -> None:
        for account, amount in self.paid(block):
            self._set_balance(account, self._balance(account) + sign * amount)

    def _balance(self, account: bytes) -> int:
        rows = self._database.rows("SELECT amount FROM balances WHERE account = ?", account)
        return 0 if not rows else int.from_bytes(rows[0][0], "big")

    def _set_balance(self, account: bytes, amount: int) -> None:
        if amount == 0:
            self._database.run("DELETE FROM balances WHERE account = ?", account)
        else:
            value = amount.to_bytes(_AMOUNT_SIZE, "big")
            self._database.run("INSERT OR REPLACE INTO balances VALUES (?, ?)", account, value)

    def _set_number(self, number: int) -> None:
        self._database.put(_NUMBER, number.to_bytes(8, "big"))
