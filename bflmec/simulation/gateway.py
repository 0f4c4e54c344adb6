"""How a simulation reaches its ledger."""

from __future__ import annotations

from typing import Protocol

from bflmec.errors import LedgerError
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.ledger_state import LedgerState
from bflmec.protocol.ports import Anchor, LedgerView


class LedgerGateway(LedgerView, Protocol):
    """A ledger that blocks are appended to and that clients read anchors from."""

    def append(self, block: SealedBlock, certificate: bytes, time: float) -> int:
        """Appends a certified block at that virtual time; the gas that it took. Raises LedgerError if refused."""
        ...


class StateGateway:
    """A ledger that is nothing but an edge node's state: for tests, and for measuring what a real one costs."""

    def __init__(self, state: LedgerState) -> None:
        self._state = state

    def append(self, block: SealedBlock, certificate: bytes, time: float) -> int:
        if block.header.parent != self._state.head:
            raise LedgerError(f"block {block.header.number} does not follow the head of the ledger")
        return 0

    def head_number(self) -> int:
        return self._state.number

    def latest_anchor(self) -> Anchor:
        return self._state.anchors[self._state.anchor]

    def anchor_at(self, number: int) -> Anchor | None:
        return self._state.anchors.get(number)
