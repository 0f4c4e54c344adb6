"""The ledger for the account that decides who takes part."""

from __future__ import annotations

from pathlib import Path

from eth_utils.address import to_checksum_address

from bflmec.cli.connection import open_account, open_ledger
from bflmec.errors import LedgerError
from bflmec.ledger.client import LedgerClient


def as_owner(record: Path, network: str, networks: Path | None, key: Path, password_file: Path | None) -> LedgerClient:
    """The ledger, for the account that may change its registry. Raises LedgerError if that is another one."""
    account = open_account(key, password_file)
    ledger = open_ledger(record, network, networks, account)
    owner = ledger.participants.owner()
    if owner == ledger.deployment.government:
        raise LedgerError("the set-up has ended: who takes part is decided by the quorum of edge nodes")
    if owner != ledger.sender.address:
        raise LedgerError(f"{to_checksum_address(owner)} decides until the set-up ends, not {account.address}")
    return ledger
