"""Encrypted sessions between edge nodes: who may have one, how long it lasts, and that nothing in it counts twice.

A message is `SessionMessage`: session id, counter, ciphertext. Request and answer of one counter are encrypted under
keys of their own, so that a nonce is used once; a counter counts once, in any order within a window. Times are seconds
of a clock that never jumps; they only end a session early, never keep it alive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final, NamedTuple, Protocol

import msgspec
from msgspec import Meta

from bflmec.crypto.encapsulation import DecapsulationKey
from bflmec.crypto.schemes import SignatureScheme
from bflmec.errors import MessageError, SessionError
from bflmec.transport import handshake
from bflmec.transport.binding import Binding
from bflmec.transport.challenges import Challenges
from bflmec.transport.cipher import Cipher
from bflmec.transport.handshake import SESSION_ID_SIZE, SessionKeys

MAX_MESSAGES: Final = 2**20
"""Messages after which a session is over."""
LIFE_SECONDS: Final = 3600.0
REPLAY_WINDOW: Final = 1024
"""How far an older message may lag behind the newest one."""
SESSIONS_PER_PEER: Final = 4


class SessionMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    session: Annotated[bytes, Meta(min_length=SESSION_ID_SIZE, max_length=SESSION_ID_SIZE)]
    counter: Annotated[int, Meta(ge=1, le=MAX_MESSAGES)]
    ciphertext: bytes


class PeerKeys(NamedTuple):
    """SHA-256 of an edge node's registered ML-DSA and ML-KEM public keys."""

    signature: bytes
    encapsulation: bytes


class PeerRegistry(Protocol):
    def active_peer(self, edge_node: int) -> PeerKeys | None:
        """The keys of an active edge node; None for one that is retired or was never admitted."""
        ...


class Session:
    """The initiator's end."""

    def __init__(self, keys: SessionKeys, now: float) -> None:
        self._id = keys.session
        self._requests, self._answers = Cipher(keys.requests), Cipher(keys.answers)
        self._ends = now + LIFE_SECONDS
        self._counter = 0

    def is_over(self, now: float) -> bool:
        return now >= self._ends or self._counter >= MAX_MESSAGES

    def encrypt(self, request: bytes) -> tuple[int, bytes]:
        """The counter and the bytes of the next message."""
        self._counter += 1
        counter = self._counter
        ciphertext = self._requests.encrypt(_nonce(counter), request, self._id)
        return counter, msgspec.msgpack.encode(SessionMessage(self._id, counter, ciphertext))

    def decrypt(self, counter: int, answer: bytes) -> bytes:
        """The answer to the message of that counter. Raises EncryptionError if it is none."""
        return self._answers.decrypt(_nonce(counter), answer, self._id)


@dataclass(slots=True)
class _Accepted:
    """The responder's end of a session."""

    id: bytes
    peer: int
    keys: PeerKeys
    requests: Cipher
    answers: Cipher
    ends: float
    newest: int = 0
    seen: int = 0
    """Bit i stands for the counter `newest` - i."""

    def take(self, counter: int) -> None:
        """Raises SessionError for a counter that was there before, or that is too old to tell."""
        if counter > self.newest:
            self.seen = (self.seen << (counter - self.newest) | 1) & ((1 << REPLAY_WINDOW) - 1)
            self.newest = counter
            return
        bit = 1 << (self.newest - counter)
        if self.newest - counter >= REPLAY_WINDOW or self.seen & bit:
            raise SessionError("the message was there before, or is too old to tell")
        self.seen |= bit


class Incoming(NamedTuple):
    """A peer's request, and what encrypts the answer to it (once)."""

    peer: int
    request: bytes
    encrypt: Callable[[bytes], bytes]


class Responder:
    """Opens sessions for active edge nodes, and keeps them in bounds."""

    def __init__(
        self, key: DecapsulationKey, binding: Binding, registry: PeerRegistry, scheme: SignatureScheme
    ) -> None:
        self._key = key
        self._binding = binding
        self._registry = registry
        self._scheme = scheme
        self._challenges = Challenges()
        self._sessions: dict[bytes, _Accepted] = {}
        self._opened: dict[int, list[bytes]] = {}

    @property
    def challenge(self) -> bytes:
        """What an opening has to contain now: 32 bytes, public."""
        return self._challenges.current

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, data: bytes, now: float) -> bytes:
        """The acceptance of an opening.

        Raises MessageError if it is malformed, EncryptionError if its keys are, and SessionError unless it answers the
        challenge for the first time and comes from an active edge node. Costs a signature check, and nothing for one
        that is known already.
        """
        opening = handshake.decode_opening(data)
        self._challenges.check(opening.challenge, sha256(data).digest())
        if opening.responder != self._binding.edge_node:
            raise SessionError(f"the session is meant for edge node {opening.responder}, not for this one")
        keys = self._registry.active_peer(opening.initiator)
        if keys is None or opening.initiator == self._binding.edge_node:
            raise SessionError(f"{opening.initiator} is no other active edge node")
        if sha256(opening.public_key).digest() != keys.signature:
            raise SessionError(f"the key is not the registered one of edge node {opening.initiator}")
        if not handshake.signature_holds(opening, self._binding, self._scheme):
            raise SessionError("the signature over the handshake does not hold")
        session_keys, acceptance = handshake.accept(opening, self._key, self._binding)
        self._challenges.use(sha256(data).digest())
        self._enter(session_keys, opening.initiator, keys, now)
        return acceptance

    def decrypt(self, data: bytes, now: float) -> Incoming:
        """A peer's request. Raises MessageError if it is malformed, EncryptionError if it does not decrypt, and
        SessionError if the session is unknown or over, its edge node no longer active, or the message a repetition."""
        try:
            message = msgspec.msgpack.decode(data, type=SessionMessage)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise MessageError(f"not a message of a session: {error}") from error
        session = self._live(message.session, now)
        nonce = _nonce(message.counter)
        request = session.requests.decrypt(nonce, message.ciphertext, session.id)
        session.take(message.counter)
        return Incoming(session.peer, request, lambda answer: session.answers.encrypt(nonce, answer, session.id))

    def _live(self, id_: bytes, now: float) -> _Accepted:
        session = self._sessions.get(id_)
        if session is None:
            raise SessionError("no such session; open a new one")
        if now >= session.ends or self._registry.active_peer(session.peer) != session.keys:
            self._forget(session)
            raise SessionError("the session is over; an edge node that is active can open a new one")
        return session

    def _enter(self, keys: SessionKeys, peer: int, registered: PeerKeys, now: float) -> None:
        own = self._opened.setdefault(peer, [])
        if len(own) == SESSIONS_PER_PEER:
            self._forget(self._sessions[own[0]])
        self._sessions[keys.session] = _Accepted(
            keys.session, peer, registered, Cipher(keys.requests), Cipher(keys.answers), now + LIFE_SECONDS
        )
        own.append(keys.session)

    def _forget(self, session: _Accepted) -> None:
        del self._sessions[session.id]
        self._opened[session.peer].remove(session.id)


def _nonce(counter: int) -> bytes:
    return counter.to_bytes(12, "big")
