"""Counting approvals: a block is final once more than half of the active edge nodes certify it."""

from __future__ import annotations

from bflmec.errors import BlockRejectedError
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.messages import Approval
from bflmec.protocol.ports import Certifier, Participants


class Ballot:
    """The approvals that a miner collects for its sealed block, its own among them."""

    def __init__(self, block: SealedBlock, participants: Participants, certifier: Certifier) -> None:
        self.block = block
        self._hash = block.header.hash
        self._participants = participants
        self._certifier = certifier
        self._entries: dict[bytes, bytes] = {}

    def add(self, approval: Approval) -> None:
        """Counts an approval. Raises BlockRejectedError if it is foreign, for another block or does not hold."""
        if approval.block != self._hash:
            raise BlockRejectedError("the approval is for another block")
        if approval.account not in self._participants.edge_nodes().values():
            raise BlockRejectedError(f"0x{approval.account.hex()} is no active edge node")
        if not self._certifier.holds(self._hash, approval.account, approval.entry):
            raise BlockRejectedError(f"the certificate entry of 0x{approval.account.hex()} does not hold")
        self._entries[approval.account] = approval.entry

    @property
    def is_complete(self) -> bool:
        entries = self._active_entries()
        active = len(self._participants.edge_nodes())
        return 2 * len(entries) > active and self.block.header.edge_node in entries

    def certificate(self) -> bytes:
        """The certificate over the entries counted. Raises BlockRejectedError without a majority."""
        entries = self._active_entries()
        if not self.is_complete:
            raise BlockRejectedError(f"{len(entries)} approvals are no majority of the active edge nodes")
        return self._certifier.assemble(entries)

    def _active_entries(self) -> dict[bytes, bytes]:
        """Entries of edge nodes that are still active: the ledger refuses a certificate that has any other."""
        active = set(self._participants.edge_nodes().values())
        return {account: entry for account, entry in self._entries.items() if account in active}
