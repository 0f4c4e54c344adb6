"""What an edge node says about itself, and what it says about a gradient."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bflmec.crypto.schemes import SignatureScheme
from bflmec.errors import GradientRejectedError, SessionError
from bflmec.protocol.messages import RECEIPT_CONTEXT, Receipt
from bflmec.transport.binding import Binding, Purpose

_Account = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{40}\Z")]
_Digest = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{64}\Z")]
_Bytes = Annotated[str, Meta(pattern=r"\A0x([0-9a-f]{2}){1,8192}\Z")]
_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Recipient(msgspec.Struct, frozen=True):
    """An edge node that a client seals uploads for, its keys compared with the registry."""

    chain_id: int
    ledger: bytes
    edge_node: int
    encapsulation_key: bytes
    signature_key: bytes

    @property
    def binding(self) -> Binding:
        return Binding(self.chain_id, self.ledger, self.edge_node, Purpose.UPLOAD)

    def check(self, receipt: Receipt, gradient: bytes, scheme: SignatureScheme) -> None:
        """Raises GradientRejectedError unless the receipt is this edge node's promise for that gradient digest."""
        if receipt.edge_node != self.edge_node or receipt.gradient != gradient:
            raise GradientRejectedError("the receipt is another edge node's, or for another local gradient")
        statement = Receipt.statement(self.edge_node, gradient)
        if not scheme.verify(self.signature_key, statement, receipt.signature, RECEIPT_CONTEXT):
            raise GradientRejectedError("the signature of the receipt does not hold")


class NodeInfo(msgspec.Struct, frozen=True):
    """`GET /v1/node`. Keys, digests and accounts are in hex with 0x. `anchor` and `head` are numbers of blocks;
    `blob_limit` is what a gradient blob of the ledger's model takes in bytes, `upload_limit` what a sealed upload takes
    at most, `challenge` what a handshake has to contain."""

    edge_node: Annotated[int, Meta(ge=1, lt=2**16)]
    account: _Account
    chain_id: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    ledger: _Account
    scheme: Annotated[str, Meta(min_length=1, max_length=32)]
    signature_key: _Bytes
    encapsulation_key: _Bytes
    head: _Count
    anchor: _Count
    blob_limit: _Count
    upload_limit: _Count
    challenge: _Digest

    def recipient(self, signature_digest: bytes, encapsulation_digest: bytes) -> Recipient:
        """The edge node as a recipient, if its keys have the digests that the ledger registers for it, else
        SessionError: whoever answered is somebody else."""
        signature, encapsulation = _raw(self.signature_key), _raw(self.encapsulation_key)
        if sha256(signature).digest() != signature_digest or sha256(encapsulation).digest() != encapsulation_digest:
            raise SessionError(f"who answers has other keys than the ledger registers for edge node {self.edge_node}")
        return Recipient(self.chain_id, _raw(self.ledger), self.edge_node, encapsulation, signature)

    @property
    def challenge_bytes(self) -> bytes:
        return _raw(self.challenge)


class GradientState(msgspec.Struct, frozen=True, omit_defaults=True):
    """`GET /v1/gradients/{digest}`. A gradient waits until block `block` records it, and is aggregated by the global
    update in block `anchor`, as a high contribution if its client was paid there."""

    state: Literal["waiting", "recorded", "aggregated"]
    block: _Count | None = None
    anchor: _Count | None = None
    contribution: Literal["high", "low"] | None = None


class NextSequence(msgspec.Struct, frozen=True):
    """`GET /v1/clients/{account}/next-sequence`."""

    next_sequence: Annotated[int, Meta(ge=1, le=2**63 - 1)]


def _raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])
