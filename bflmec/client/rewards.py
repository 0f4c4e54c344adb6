"""What a client has earned: read from the ledger, claimed by Merkle proof."""

from __future__ import annotations

from typing import Final

from bflmec.client.ledger_access import LedgerAccess
from bflmec.errors import LedgerError, LedgerRevertedError

_ATTEMPTS: Final = 8
_STALE: Final = "RewardTokenInvalidProof"
_NOTHING: Final = "RewardTokenAlreadyClaimed"


class Rewards:
    """Amounts are in the token's smallest unit. Every method raises LedgerError if the chain does not answer."""

    def __init__(self, access: LedgerAccess, account: bytes) -> None:
        self._access = access
        self._account = account

    def balance(self) -> int:
        """Tokens that the account holds."""
        return self._access.client.token.balance(self._account)

    def earned(self) -> int:
        """All that the ledger has recorded for the account, claimed or not."""
        return self._access.newest_balances().get(self._account, 0)

    def claimable(self) -> int:
        return self.earned() - self._access.client.token.claimed(self._account)

    def claim(self) -> int:
        """Mints what is owed to the account; returns how much that was, 0 if there was nothing.

        A block that pays somebody between proof and claim makes the proof stale: it is made again, a few times.
        """
        token = self._access.client.token
        for _ in range(_ATTEMPTS):
            balances = self._access.newest_balances()
            if balances.get(self._account, 0) <= token.claimed(self._account):
                return 0
            try:
                return token.claim(balances, self._account)
            except LedgerRevertedError as error:
                if error.name == _NOTHING:
                    return 0  # somebody else, who may, has claimed for this account
                if error.name != _STALE:
                    raise
        raise LedgerError(f"{_ATTEMPTS} claims in turn came too late: the ledger grows too fast just now; try again")
