"""Typed client of RewardToken.sol: what was recorded for an account, claimed by Merkle proof."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bflmec.ledger.interface import interface
from bflmec.ledger.sender import Sender
from bflmec.protocol import merkle


class RewardTokenClient:
    """Amounts are in the token's smallest unit. Every method raises LedgerRevertedError when the contract refuses."""

    def __init__(self, sender: Sender, address: bytes) -> None:
        self.address = address
        self._sender = sender
        self._interface = interface("RewardToken")

    def claim(self, balances: Mapping[bytes, int], account: bytes) -> int:
        """Mint to `account` what it is owed and has not claimed; returns how much that was.

        `balances` are the cumulative rewards of all accounts as of the newest block, from which the proof is made.
        """
        before = self.claimed(account)
        arguments = account, balances.get(account, 0), merkle.proof(balances, account)
        data = self._interface.encode("claim", *arguments)
        self._sender.send(self.address, data, self._sender.estimate(self.address, data))
        return self.claimed(account) - before

    def claimed(self, account: bytes) -> int:
        """What the account has claimed in all."""
        return int(self._read("claimed", account)[0])

    def balance(self, account: bytes) -> int:
        return int(self._read("balanceOf", account)[0])

    def supply(self) -> int:
        return int(self._read("totalSupply")[0])

    def _read(self, function: str, *arguments: object) -> tuple[Any, ...]:
        data = self._interface.encode(function, *arguments)
        return self._interface.decode(function, self._sender.call(self.address, data))
