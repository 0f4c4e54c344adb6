"""A wallet's way to its ledger: connected when it is first needed, so that a client without a connection can train."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import TYPE_CHECKING

from bflmec.client.ledger_index import LedgerIndex
from bflmec.errors import LedgerError
from bflmec.ledger.sender import ledger_errors

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from web3 import Web3

    from bflmec.ledger.client import LedgerClient
    from bflmec.ledger.deployment import Deployment
    from bflmec.ledger.fees import FeePolicy
    from bflmec.ledger.follower import Follower


class LedgerAccess:
    """Threads may share it. `connect` makes a Web3; `confirmations` are host blocks after which a block is trusted,
    `fees` is how the account pays.

    Every method raises LedgerError while the chain can't be reached, and can be called again.
    """

    def __init__(
        self,
        connect: Callable[[], Web3],
        deployment: Deployment,
        account: LocalAccount,
        index: LedgerIndex,
        confirmations: int,
        fees: FeePolicy | None = None,
    ) -> None:
        self._connect = connect
        self._deployment = deployment
        self._account = account
        self._index = index
        self._confirmations = confirmations
        self._fees = fees
        self._threads = RLock()
        self._w3: Web3 | None = None
        self._client: LedgerClient | None = None
        self._follower: Follower | None = None

    @property
    def client(self) -> LedgerClient:
        """Reads what is confirmed, and sends transactions of the client's account."""
        from bflmec.ledger.client import LedgerClient

        with self._threads:
            if self._client is None:
                self._client = LedgerClient(
                    self._chain(),
                    self._deployment,
                    self._account,
                    confirmations=self._confirmations,
                    fees=self._fees,
                )
            return self._client

    def _chain(self) -> Web3:
        if self._w3 is None:
            self._w3 = self._connect()
        return self._w3

    def follow(self) -> None:
        """Brings the wallet's index up to the newest confirmed block."""
        from bflmec.ledger.follower import Follower

        with self._threads:
            if self._follower is None:
                chain, checkpoint = self.client.sender.w3, self._index.checkpoint
                self._follower = Follower(chain, self._deployment, checkpoint, confirmations=self._confirmations)
            try:
                while changes := self._follower.poll():
                    self._index.apply(changes, self._follower.checkpoint)
            except BaseException:
                self._follower = None  # it may be ahead of what the index has
                self._leave_lost_place()
                raise

    def _leave_lost_place(self) -> None:
        """If the chain no longer has the block up to which it was followed, it is followed anew."""
        checkpoint = self._index.checkpoint
        if checkpoint is None:
            return
        try:
            with ledger_errors():
                present = bytes(self._chain().eth.get_block(checkpoint.host_block)["hash"])
        except LedgerError:
            return
        if present != checkpoint.host_hash:
            self._index.clear()

    def newest_balances(self) -> dict[bytes, int]:
        """Cumulative rewards by account as of the newest block, confirmed or not: what a claim is checked against."""
        from bflmec.ledger.follower import BlockAdded, Follower

        self.follow()
        balances = self._index.balances()
        follower = Follower(self._chain(), self._deployment, self._index.checkpoint)
        while changes := follower.poll():
            for change in changes:
                if not isinstance(change, BlockAdded):
                    raise LedgerError("the chain is being reorganised; try again")
                for account, amount in self._index.paid(change.recorded.block):
                    balances[account] = balances.get(account, 0) + amount
        return balances
