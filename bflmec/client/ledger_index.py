"""What a wallet remembers of the ledger's blocks: where its local gradients are recorded, and everybody's rewards.

A reward is claimed by a proof over the cumulative rewards of all accounts, so these are kept, too: 32 bytes for each
account. Of the blocks themselves only those stay that record or pay this client.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bflmec.client.database import Database
from bflmec.errors import LedgerError
from bflmec.ledger.events import RecordedBlock
from bflmec.protocol import merkle
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.messages import Proposal, decode, encode

_AMOUNT_SIZE = 16
_NUMBER = "number"


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

    def add(self, blocks: Sequence[RecordedBlock], checkpoint: bytes) -> None:
        """Takes in the next blocks, and remembers up to where the ledger was followed."""
        with self._database.transaction():
            for recorded in blocks:
                self._add(recorded.block)
            self._database.put("checkpoint", checkpoint)

    def remove(self, recorded: RecordedBlock, checkpoint: bytes) -> None:
        """Forgets the newest block, which a host reorganisation took away."""
        with self._database.transaction():
            self._remove(recorded.block)
            self._database.put("checkpoint", checkpoint)

    @property
    def checkpoint(self) -> bytes | None:
        """What the last call brought along."""
        return self._database.get("checkpoint")

    # ---------------------------------------------------------------- what it knows

    def balances(self) -> dict[bytes, int]:
        """Cumulative rewards by account, in the token's smallest unit."""
        rows = self._database.rows("SELECT account, amount FROM balances")
        return {account: int.from_bytes(amount, "big") for account, amount in rows}

    def earned(self) -> int:
        """The client's cumulative reward."""
        return self._balance(self._account)

    def proof(self, root: bytes) -> tuple[int, list[bytes]]:
        """The client's cumulative reward and its Merkle proof under `root`. Raises LedgerError if these are the rewards
        of another block, or the client was never paid."""
        balances = self.balances()
        if merkle.root(balances) != root:
            raise LedgerError("the ledger has moved on; follow it and make the proof again")
        return balances.get(self._account, 0), merkle.proof(balances, self._account)

    def block(self, number: int) -> SealedBlock | None:
        """A block that records or pays this client."""
        rows = self._database.rows("SELECT content FROM blocks WHERE number = ?", number)
        return None if not rows else decode(Proposal, rows[0][0]).block()

    def own_blocks(self) -> Iterable[SealedBlock]:
        """The blocks that record or pay this client, newest first."""
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
        if own or any(reward.account == self._account for reward in block.rewards):
            content = encode(Proposal.of(block))
            self._database.run("INSERT OR REPLACE INTO blocks VALUES (?, ?)", header.number, content)
        self._set_number(header.number)

    def _remove(self, block: SealedBlock) -> None:
        number = block.header.number
        if number != self.number:
            raise LedgerError(f"block {number} is not the newest known, which is {self.number}; follow the ledger anew")
        self._pay(block, -1)
        self._database.run("DELETE FROM records WHERE block = ?", number)
        self._database.run("DELETE FROM blocks WHERE number = ?", number)
        self._set_number(number - 1)

    def _pay(self, block: SealedBlock, sign: int) -> None:
        amounts = [(reward.account, reward.amount) for reward in block.rewards]
        if self._miner_reward:
            amounts.append((block.header.edge_node, self._miner_reward))
        for account, amount in amounts:
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
