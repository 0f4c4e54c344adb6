"""The messages between clients and edge nodes, and among edge nodes: the one place where their bytes are made.

Whatever is decoded here is bounded in size, strictly typed and canonical (decoding and encoding again gives the same
bytes); anything else raises MessageError before it is looked at further.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from hashlib import sha256
from struct import Struct
from typing import Annotated, Any, TypeVar

import msgspec

from bflmec.errors import MessageError
from bflmec.protocol.blocks import (
    Header,
    SealedBlock,
    Transaction,
    decode_rewards,
    decode_transactions,
    encode_rewards,
    encode_transactions,
)

VERSION = 1
GRADIENT_CONTEXT = b"BFL-MEC/v1/local-gradient"
RECEIPT_CONTEXT = b"BFL-MEC/v1/receipt"

MAX_BLOB = 64 * 2**20
MAX_BODY = 2**20
MAX_TRANSACTIONS = 4096

_gradient_header = Struct(">BQ20s20sQQ32sB32sIH")


class Mode(IntEnum):
    """What a local gradient carries: w_local - w_anchor, or w_local itself (the paper's literal reading)."""

    DELTA = 0
    WEIGHTS = 1


@dataclass(frozen=True)
class GradientHeader:
    """What a client signs. It binds the network, the ledger, the client, the anchor and the blob, so that a signature
    can be neither replayed nor moved.

    `anchor_hash` is the hash of the block `anchor`; `blob_digest` the SHA-256 of the gradient blob of `blob_length`
    bytes; `updates` the number of pending local updates whose average the blob is (Algorithm 2, line 11).
    """

    chain_id: int
    ledger: bytes
    client: bytes
    sequence: int
    anchor: int
    anchor_hash: bytes
    mode: Mode
    blob_digest: bytes
    blob_length: int
    updates: int

    def encode(self) -> bytes:
        """136 bytes, fields in order, integers big-endian, led by the protocol version."""
        return _gradient_header.pack(
            VERSION,
            self.chain_id,
            self.ledger,
            self.client,
            self.sequence,
            self.anchor,
            self.anchor_hash,
            self.mode,
            self.blob_digest,
            self.blob_length,
            self.updates,
        )

    @classmethod
    def decode(cls, data: bytes) -> GradientHeader:
        if len(data) != _gradient_header.size:
            raise MessageError(f"a local gradient header has {_gradient_header.size} bytes, not {len(data)}")
        version, chain_id, ledger, client, sequence, anchor, anchor_hash, mode, digest, length, updates = (
            _gradient_header.unpack(data)
        )
        if version != VERSION:
            raise MessageError(f"protocol version {version} is not spoken here; this is version {VERSION}")
        if mode not in (Mode.DELTA, Mode.WEIGHTS):
            raise MessageError(f"{mode} is no mode of a local gradient")
        if not 0 < length <= MAX_BLOB:
            raise MessageError(f"a gradient blob has 1 to {MAX_BLOB} bytes, not {length}")
        if updates == 0:
            raise MessageError("a local gradient is the average of at least one local update")
        return cls(chain_id, ledger, client, sequence, anchor, anchor_hash, Mode(mode), digest, length, updates)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes: what is signed, and the gradient digest that a transaction records."""
        return sha256(self.encode()).digest()


_Scheme = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
_Signature = Annotated[bytes, msgspec.Meta(min_length=1, max_length=65536)]
_PublicKey = Annotated[bytes, msgspec.Meta(min_length=1, max_length=65536)]
_GradientHeaderBytes = Annotated[
    bytes, msgspec.Meta(min_length=_gradient_header.size, max_length=_gradient_header.size)
]


class SignedHeader(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A local gradient header with the signature over its digest: one entry of a block body."""

    header: _GradientHeaderBytes
    scheme: _Scheme
    signature: _Signature
    public_key: _PublicKey

    @property
    def signature_digest(self) -> bytes:
        return sha256(self.signature).digest()


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An upload (Algorithm 2, line 16): signed header and gradient blob."""

    signed: SignedHeader
    blob: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_BLOB)]


class Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a block's transactions stand for, signatures and public keys included, in the order of the set.

    `history` is the history digest (`manifest.history_digest`) after the block if it carries a global update, else 32
    zero bytes: by it an edge node that was away checks the history that a peer hands it.
    """

    number: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    entries: Annotated[tuple[SignedHeader, ...], msgspec.Meta(min_length=1, max_length=MAX_TRANSACTIONS)]
    history: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Receipt(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An edge node's signed promise that a local gradient is durable."""

    edge_node: Annotated[int, msgspec.Meta(ge=1, lt=2**16)]
    gradient: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    signature: _Signature

    @staticmethod
    def statement(edge_node: int, gradient: bytes) -> bytes:
        """The 34 bytes that the edge node signs, under RECEIPT_CONTEXT."""
        return edge_node.to_bytes(2, "big") + gradient


class Announcement(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A local gradient passed on to another edge node (Algorithm 3, line 5); `receiver` is the one that took it in."""

    receiver: Annotated[int, msgspec.Meta(ge=1, lt=2**16)]
    envelope: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_BLOB + 2**18)]


class Proposal(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A sealed block sent to the other edge nodes (Algorithm 3, line 13)."""

    header: Annotated[bytes, msgspec.Meta(max_length=1024)]
    nonce: Annotated[int, msgspec.Meta(ge=0)]
    transactions: Annotated[bytes, msgspec.Meta(max_length=86 * MAX_TRANSACTIONS)]
    rewards: Annotated[bytes, msgspec.Meta(max_length=32 * MAX_TRANSACTIONS)]

    @classmethod
    def of(cls, block: SealedBlock) -> Proposal:
        return cls(
            block.header.encode(), block.nonce, encode_transactions(block.transactions), encode_rewards(block.rewards)
        )

    def block(self) -> SealedBlock:
        """The sealed block. Raises MessageError if a part of it is not canonical."""
        return SealedBlock(
            Header.decode(self.header),
            self.nonce,
            tuple(decode_transactions(self.transactions)),
            tuple(decode_rewards(self.rewards)),
        )


class Approval(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One edge node's certificate entry for a block: "valid, and I hold its body and global blob"."""

    block: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    account: Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
    entry: Annotated[bytes, msgspec.Meta(min_length=1, max_length=65536)]


Message = SignedHeader | Envelope | Body | Receipt | Announcement | Proposal | Approval
M = TypeVar("M", SignedHeader, Envelope, Body, Receipt, Announcement, Proposal, Approval)

_LIMITS: dict[type[Any], int] = {
    SignedHeader: 2**18,
    Envelope: MAX_BLOB + 2**18,
    Body: MAX_BODY,
    Receipt: 2**17,
    Announcement: MAX_BLOB + 2**19,
    Proposal: 2**20,
    Approval: 2**17,
}
_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type[Any], msgspec.msgpack.Decoder[Any]] = {kind: msgspec.msgpack.Decoder(kind) for kind in _LIMITS}


def encode(message: Message) -> bytes:
    """The canonical msgpack bytes of a message."""
    return _encoder.encode(message)


def decode(kind: type[M], data: bytes) -> M:
    """The message of that kind in `data`. Raises MessageError unless `data` is its canonical, bounded encoding."""
    name = kind.__name__.lower()
    if len(data) > _LIMITS[kind]:
        raise MessageError(f"{name} of {len(data)} bytes is over the limit of {_LIMITS[kind]}")
    try:
        message: M = _decoders[kind].decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"not a {name}: {error}") from error
    if _encoder.encode(message) != data:
        raise MessageError(f"the {name} is not in canonical form")
    return message


def transaction(signed: SignedHeader, header: GradientHeader, receiver: int) -> Transaction:
    """The ledger's entry for a signed local gradient header (Algorithm 3, line 11)."""
    return Transaction(header.client, receiver, header.digest, signed.signature_digest)
