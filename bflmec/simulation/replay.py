"""Going on with a run that was interrupted: the simulation starts again from its seed and retraces what is recorded.

Everything but randomised signatures follows from the seed. So a resumed run takes the signatures of recorded local
gradients from the block bodies; then each block comes out with the hash that it has in the ledger, or the run is not
the one that was recorded. From the first block that the ledger lacks, it appends for real.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from bflmec.errors import RunDirectoryError, StorageError
from bflmec.ledger.client import LedgerClient
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.messages import GRADIENT_CONTEXT, MAX_BLOB, MAX_BODY, Body, GradientHeader, decode
from bflmec.protocol.ports import Anchor, Blobs, Signer
from bflmec.simulation.gateway import LedgerGateway
from bflmec.storage import RAW, Cid


@dataclass(frozen=True)
class RecordedBlock:
    """What a retraced block is compared with, and what is read from the ledger as of that block."""

    hash: bytes
    gas: int
    anchor: Anchor | None


@dataclass(frozen=True)
class Recording:
    """The ledger as a resumed run finds it: its blocks by number, genesis included, and the signatures that they
    record by the digest that was signed."""

    blocks: Mapping[int, RecordedBlock]
    signatures: Mapping[bytes, bytes]

    @property
    def height(self) -> int:
        """Number of the newest block."""
        return len(self.blocks) - 1

    @classmethod
    def of(cls, ledger: LedgerClient, blobs: Blobs) -> Recording:
        """Raises StorageError or MessageError if a block's body is not in the blob store as it was recorded.

        A global gradient may be missing or damaged: it is stored again when its block is retraced.
        """
        blocks = {0: RecordedBlock(ledger.genesis_hash, 0, ledger.anchor_at(0))}
        signatures = {}
        for recorded in ledger.blocks(1, ledger.head_number()):
            header = recorded.block.header
            content = Cid(header.global_codec, header.global_digest) if header.is_global_update else None
            anchor = Anchor(header.number, header.hash, content) if content else None
            if content:
                with suppress(StorageError):  # reading removes a damaged one, in whose place it can be stored
                    blobs.get(content, MAX_BLOB)
            blocks[header.number] = RecordedBlock(header.hash, ledger.gas_used(recorded), anchor)
            body = decode(Body, blobs.get(Cid(RAW, header.body_digest), MAX_BODY))
            for entry in body.entries:
                signatures[GradientHeader.decode(entry.header).digest] = entry.signature
        return cls(blocks, signatures)

    def gateway(self, real: LedgerGateway) -> LedgerGateway:
        """`real`, behind the recorded blocks if there are any."""
        return RetracingGateway(real, self.blocks) if self.height else real


class RememberingSigner:
    """Signs as before what was recorded before, and anew what was not."""

    def __init__(self, signer: Signer, remembered: Mapping[bytes, bytes]) -> None:
        self._signer = signer
        self._remembered = remembered

    @property
    def public_key(self) -> bytes:
        return self._signer.public_key

    def sign(self, message: bytes, context: bytes) -> bytes:
        if context == GRADIENT_CONTEXT and message in self._remembered:
            return self._remembered[message]
        return self._signer.sign(message, context)


class RetracingGateway:
    """The ledger as it was block by block, then the real one."""

    def __init__(self, real: LedgerGateway, recorded: Mapping[int, RecordedBlock]) -> None:
        self._real = real
        self._recorded = recorded
        self._number = 0

    def append(self, block: SealedBlock, certificate: bytes, time: float) -> int:
        number = block.header.number
        known = self._recorded.get(number)
        gas = self._real.append(block, certificate, time) if known is None else known.gas
        if known is not None and known.hash != block.header.hash:
            raise RunDirectoryError(
                f"block {number} comes out differently than it was recorded: the run was made by another version of "
                "the software, or its configuration was changed; start a new run directory"
            )
        self._number = number
        return gas

    def head_number(self) -> int:
        return self._number

    def latest_anchor(self) -> Anchor:
        if self._number not in self._recorded:
            return self._real.latest_anchor()
        return next(anchor for number in range(self._number, -1, -1) if (anchor := self._recorded[number].anchor))

    def anchor_at(self, number: int) -> Anchor | None:
        return self._recorded[number].anchor if number in self._recorded else self._real.anchor_at(number)
