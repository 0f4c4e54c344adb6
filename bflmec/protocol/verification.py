"""What makes a local gradient acceptable to an edge node (Algorithm 3, lines 3-4, and everything around them)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bflmec.errors import GradientRejectedError, SignatureRejectedError
from bflmec.learning.blob import decode_blob
from bflmec.learning.tensors import TensorSpec
from bflmec.protocol.ledger_state import LedgerState
from bflmec.protocol.messages import (
    GRADIENT_CONTEXT,
    Envelope,
    GradientHeader,
    SignedHeader,
    decode,
    encode,
)
from bflmec.protocol.ports import Participants, Verifier
from bflmec.protocol.rules import Rules


class LocalGradient(Protocol):
    """A local gradient whose signature, origin and blob were checked, wherever its bytes lie."""

    @property
    def header(self) -> GradientHeader: ...

    @property
    def signed(self) -> SignedHeader: ...

    @property
    def vector(self) -> NDArray[np.float32]:
        """(P,) float32, finite."""
        ...

    @property
    def envelope(self) -> bytes: ...

    @property
    def digest(self) -> bytes:
        """The gradient digest."""
        ...


@dataclass(frozen=True)
class VerifiedGradient:
    """A local gradient in memory. `vector` is (P,) float32, finite."""

    header: GradientHeader
    signed: SignedHeader
    vector: NDArray[np.float32]
    envelope: bytes

    @property
    def digest(self) -> bytes:
        return self.header.digest


def has_registered_key(participants: Participants, gradient: LocalGradient) -> bool:
    """Whether the local gradient's key is still its client's. Once it is not, no other edge node takes the local
    gradient any more: it is neither recorded nor missed."""
    return participants.client_key_digest(gradient.header.client) == sha256(gradient.signed.public_key).digest()


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise GradientRejectedError(message)


class GradientVerifier:
    """Checks uploads against the ledger and the registry, the cheapest test first."""

    def __init__(
        self, state: LedgerState, participants: Participants, rules: Rules, spec: TensorSpec, verify: Verifier
    ) -> None:
        self._state = state
        self._participants = participants
        self._rules = rules
        self._spec = spec
        self._verify = verify

    def __call__(self, envelope: bytes) -> VerifiedGradient:
        """The local gradient in the bytes of an Envelope. Whether its sequence is still free is for the caller to say.

        Raises MessageError, BlobError or GradientRejectedError; the edge node's state does not change. Until the
        signature holds, nothing is done that costs more than checking it.
        """
        upload, header = self.parse(envelope)
        return self.verified(envelope, upload, header)

    def parse(self, envelope: bytes) -> tuple[Envelope, GradientHeader]:
        """An upload that nobody has vouched for yet. Raises MessageError unless it is canonical."""
        upload = decode(Envelope, envelope)
        return upload, GradientHeader.decode(upload.signed.header)

    def verified(self, envelope: bytes, upload: Envelope, header: GradientHeader) -> VerifiedGradient:
        """The local gradient of a parsed upload. Raises BlobError or GradientRejectedError."""
        self.check_header(header)
        _require(len(upload.blob) == header.blob_length, "the blob has another length than was signed")
        self.check_signature(header, upload.signed)
        _require(sha256(upload.blob).digest() == header.blob_digest, "the blob is not the one that was signed")
        return VerifiedGradient(header, upload.signed, decode_blob(self._spec, upload.blob), envelope)

    def resigned(self, gradient: LocalGradient, signed: SignedHeader) -> VerifiedGradient:
        """The same local gradient under another signature of its client. Raises GradientRejectedError."""
        _require(signed.header == gradient.signed.header, "the signature is for another local gradient")
        self.check_signature(gradient.header, signed)
        blob = decode(Envelope, gradient.envelope).blob
        return VerifiedGradient(gradient.header, signed, gradient.vector, encode(Envelope(signed, blob)))

    def check_header(self, header: GradientHeader) -> None:
        """Network, ledger, mode and anchor. Raises GradientRejectedError."""
        parameters = self._state.parameters
        _require(header.chain_id == parameters.chain_id, f"signed for chain {header.chain_id}, not for this one")
        _require(header.ledger == parameters.ledger, f"signed for ledger 0x{header.ledger.hex()}, not for this one")
        _require(header.mode == self._rules.mode, f"this ledger takes {self._rules.mode.name.lower()} local gradients")
        anchor = self._state.anchors.get(header.anchor)
        _require(anchor is not None, f"block {header.anchor} is no anchor of this ledger")
        _require(anchor is not None and anchor.hash == header.anchor_hash, "the anchor has another hash on this ledger")

    def check_signature(self, header: GradientHeader, signed: SignedHeader) -> None:
        """Scheme, registration, key and signature. Raises GradientRejectedError, SignatureRejectedError among them."""
        _require(signed.scheme in self._rules.schemes, f"signature scheme {signed.scheme!r} is not allowed here")
        registered = self._participants.client_key_digest(header.client)
        if registered is None:
            raise SignatureRejectedError(f"0x{header.client.hex()} is not registered as a client")
        if sha256(signed.public_key).digest() != registered:
            raise SignatureRejectedError("the public key is not the registered one")
        if not self._verify(signed.scheme, signed.public_key, header.digest, signed.signature, GRADIENT_CONTEXT):
            raise SignatureRejectedError("the signature does not hold")
