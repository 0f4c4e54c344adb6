"""What encrypted bytes are bound to: made for one edge node of one ledger and one purpose, they open nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

_binding = Struct(">16sBQ20sHB")
_LABEL = b"BFL-MEC/v1/bytes"
VERSION = 1


class Purpose(IntEnum):
    """What the bytes are for."""

    UPLOAD = 1
    SESSION = 2


@dataclass(frozen=True, slots=True)
class Binding:
    """The ledger (chain id, address of 20 bytes), the receiving edge node's id there, and the purpose."""

    chain_id: int
    ledger: bytes
    edge_node: int
    purpose: Purpose

    def encode(self) -> bytes:
        """48 bytes: a label (16), transport version (1), chain id (8), ledger (20), edge node (2), purpose (1)."""
        return _binding.pack(_LABEL, VERSION, self.chain_id, self.ledger, self.edge_node, self.purpose)
