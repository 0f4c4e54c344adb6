"""The handshake with which one edge node opens a session at another (the responder).

    initiator -> responder   Opening: challenge of the responder, ML-KEM ciphertext for its registered key, ephemeral
                             ML-KEM key, ML-DSA key and signature over all of it
    responder -> initiator   Acceptance: session id, ML-KEM ciphertext for the ephemeral key, confirmation

Both secrets and the transcript give the session's keys. The initiator proves itself by its registered ML-DSA key, the
responder by its registered ML-KEM key, without which there is no confirmation; the ephemeral key, forgotten after the
handshake, keeps earlier sessions closed to whoever learns the registered keys later. The challenge is the responder's
own and lives as long as its process at most, so that an old opening is refused, without any clock.
"""

from __future__ import annotations

import hmac
import os
from hashlib import sha256
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta

from bflmec.crypto.encapsulation import (
    CIPHERTEXT_SIZE,
    PUBLIC_KEY_SIZE,
    DecapsulationKey,
    encapsulate,
    new_decapsulation_key,
)
from bflmec.crypto.schemes import SignatureScheme, SigningKey, Unpicklable
from bflmec.errors import MessageError, SessionError
from bflmec.transport.binding import Binding
from bflmec.transport.cipher import derive

CONTEXT: Final = b"BFL-MEC/v1/session"
CHALLENGE_SIZE: Final = 32
SESSION_ID_SIZE: Final = 16
MAX_OPENING: Final = 2**15
"""Bytes of an opening: the largest ML-DSA key and signature fit."""

_Ciphertext = Annotated[bytes, Meta(min_length=CIPHERTEXT_SIZE, max_length=CIPHERTEXT_SIZE)]
_EdgeNodeId = Annotated[int, Meta(ge=1, lt=2**16)]


class Opening(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the initiator sends; `signature` is over `statement`, under CONTEXT."""

    initiator: _EdgeNodeId
    responder: _EdgeNodeId
    challenge: Annotated[bytes, Meta(min_length=CHALLENGE_SIZE, max_length=CHALLENGE_SIZE)]
    ciphertext: _Ciphertext
    ephemeral_key: Annotated[bytes, Meta(min_length=PUBLIC_KEY_SIZE, max_length=PUBLIC_KEY_SIZE)]
    public_key: Annotated[bytes, Meta(min_length=1, max_length=8192)]
    signature: Annotated[bytes, Meta(min_length=0, max_length=8192)]

    def statement(self, binding: Binding) -> bytes:
        """SHA-256 of everything but the signature, and of the ledger: 32 bytes."""
        return sha256(binding.encode() + encode_opening(msgspec.structs.replace(self, signature=b""))).digest()


class Acceptance(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the responder answers; `confirmation` proves that it has both secrets."""

    session: Annotated[bytes, Meta(min_length=SESSION_ID_SIZE, max_length=SESSION_ID_SIZE)]
    ciphertext: _Ciphertext
    confirmation: Annotated[bytes, Meta(min_length=32, max_length=32)]


class SessionKeys(NamedTuple):
    """A session's id (16 bytes) and the keys (32 bytes) of requests and of answers."""

    session: bytes
    requests: bytes
    answers: bytes


class Initiation(Unpicklable):
    """An opening that waits for its acceptance. `binding` names the responder."""

    __slots__ = ("_binding", "_ephemeral", "_secret", "opening")

    def __init__(
        self, initiator: int, key: SigningKey, binding: Binding, responder_key: bytes, challenge: bytes
    ) -> None:
        """`responder_key` is the responder's ML-KEM key, already compared with the registered digest. Raises
        EncryptionError if it is no key."""
        self._binding = binding
        self._ephemeral = new_decapsulation_key()
        self._secret, ciphertext = encapsulate(responder_key)
        unsigned = Opening(
            initiator,
            binding.edge_node,
            challenge,
            ciphertext,
            self._ephemeral.public_key,
            key.public_key,
            b"",
        )
        signature = key.sign(unsigned.statement(binding), CONTEXT)
        self.opening = msgspec.structs.replace(unsigned, signature=signature)

    def finish(self, answer: bytes) -> SessionKeys:
        """The session's keys. Raises MessageError for malformed bytes, SessionError if the responder could not decrypt
        the opening: somebody else has answered."""
        acceptance: Acceptance = _decode(Acceptance, answer)
        secret = self._secret + self._ephemeral.decapsulate(acceptance.ciphertext)
        keys, confirmation = _schedule(secret, self.opening, acceptance.session, acceptance.ciphertext, self._binding)
        if not hmac.compare_digest(confirmation, acceptance.confirmation):
            raise SessionError("who answered does not hold the registered key of that edge node")
        return keys


def accept(opening: Opening, key: DecapsulationKey, binding: Binding) -> tuple[SessionKeys, bytes]:
    """The keys and the encoded acceptance for a checked opening. Raises EncryptionError if its own key is none."""
    static = key.decapsulate(opening.ciphertext)
    ephemeral, ciphertext = encapsulate(opening.ephemeral_key)
    session = os.urandom(SESSION_ID_SIZE)
    keys, confirmation = _schedule(static + ephemeral, opening, session, ciphertext, binding)
    return keys, msgspec.msgpack.encode(Acceptance(session, ciphertext, confirmation))


def encode_opening(opening: Opening) -> bytes:
    """The canonical msgpack bytes."""
    return msgspec.msgpack.encode(opening)


def decode_opening(data: bytes) -> Opening:
    """Raises MessageError unless `data` is the canonical, bounded encoding of an opening."""
    opening: Opening = _decode(Opening, data)
    return opening


def signature_holds(opening: Opening, binding: Binding, scheme: SignatureScheme) -> bool:
    """Whether the opening was signed with the key that it names, for this responder on this ledger."""
    return scheme.verify(opening.public_key, opening.statement(binding), opening.signature, CONTEXT)


def _schedule(
    secret: bytes, opening: Opening, session: bytes, ciphertext: bytes, binding: Binding
) -> tuple[SessionKeys, bytes]:
    """The session's keys, and the confirmation: HKDF over both secrets, salted with the whole transcript."""
    transcript = sha256(encode_opening(opening) + session + ciphertext).digest()
    material = derive(secret, transcript, CONTEXT + binding.encode(), 96)
    return SessionKeys(session, material[:32], material[32:64]), material[64:]


def _decode(kind: type[Any], data: bytes) -> Any:
    if len(data) > MAX_OPENING:
        raise MessageError(f"a handshake message has at most {MAX_OPENING} bytes, not {len(data)}")
    try:
        message = msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MessageError(f"not a handshake message: {error}") from error
    if msgspec.msgpack.encode(message) != data:
        raise MessageError("the handshake message is not in canonical form")
    return message
