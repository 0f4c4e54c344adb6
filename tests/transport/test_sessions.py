"""Sessions between edge nodes: who gets one, that nothing counts twice, and that nobody else can read or forge."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.crypto.encapsulation import DecapsulationKey
from bflmec.crypto.schemes import SigningKey, signature_scheme
from bflmec.errors import EncryptionError, MessageError, SessionError
from bflmec.transport.binding import Binding, Purpose
from bflmec.transport.challenges import Challenges
from bflmec.transport.handshake import Initiation, Opening, encode_opening
from bflmec.transport.sessions import (
    LIFE_SECONDS,
    MAX_MESSAGES,
    REPLAY_WINDOW,
    SESSIONS_PER_PEER,
    PeerKeys,
    Responder,
    Session,
    SessionMessage,
)

SCHEME = signature_scheme("ML-DSA-44")
INITIATOR, RESPONDER = 3, 7


def signing_key(number: int) -> SigningKey:
    return SCHEME.from_seed(bytes([number]) * 32)


def decapsulation_key(number: int) -> DecapsulationKey:
    return DecapsulationKey(bytes([number]) * 64)


def keys(number: int) -> PeerKeys:
    return PeerKeys(
        sha256(signing_key(number).public_key).digest(), sha256(decapsulation_key(number).public_key).digest()
    )


@dataclass
class Registry:
    active: dict[int, PeerKeys] = field(
        default_factory=lambda: {INITIATOR: keys(INITIATOR), RESPONDER: keys(RESPONDER)}
    )

    def active_peer(self, edge_node: int) -> PeerKeys | None:
        return self.active.get(edge_node)


BINDING = Binding(1337, bytes(20), RESPONDER, Purpose.SESSION)


@dataclass
class Pair:
    registry: Registry = field(default_factory=Registry)

    def __post_init__(self) -> None:
        self.responder = Responder(decapsulation_key(RESPONDER), BINDING, self.registry, SCHEME)

    def initiation(self, initiator: int = INITIATOR, signer: int = INITIATOR, binding: Binding = BINDING) -> Initiation:
        responder_key = decapsulation_key(RESPONDER).public_key
        return Initiation(initiator, signing_key(signer), binding, responder_key, self.responder.challenge)

    def open(self, now: float = 0.0) -> Session:
        initiation = self.initiation()
        answer = self.responder.open(encode_opening(initiation.opening), now)
        return Session(initiation.finish(answer), now)


def test_request_and_answer_come_through() -> None:
    pair = Pair()
    session = pair.open()
    for text in (b"first", b"second"):
        counter, message = session.encrypt(text)
        incoming = pair.responder.decrypt(message, 0.0)
        assert (incoming.peer, incoming.request) == (INITIATOR, text)
        assert session.decrypt(counter, incoming.encrypt(b"answer to " + text)) == b"answer to " + text


def test_messages_may_overtake_each_other() -> None:
    pair = Pair()
    session = pair.open()
    messages = [session.encrypt(bytes([number]))[1] for number in range(20)]
    assert sorted(pair.responder.decrypt(message, 0.0).request[0] for message in reversed(messages)) == list(range(20))


def test_a_repeated_message_is_refused() -> None:
    pair = Pair()
    _, message = pair.open().encrypt(b"once")
    pair.responder.decrypt(message, 0.0)
    with pytest.raises(SessionError, match="before"):
        pair.responder.decrypt(message, 0.0)


@given(st.lists(st.integers(0, 3 * REPLAY_WINDOW), max_size=60))
def test_no_counter_ever_counts_twice(order: list[int]) -> None:
    pair = Pair()
    session = pair.open()
    messages = [session.encrypt(b"")[1] for _ in range(max(order, default=0) + 1)]
    taken: set[int] = set()
    for index in order:
        must = index not in taken and index > max(taken, default=-1) - REPLAY_WINDOW
        try:
            pair.responder.decrypt(messages[index], 0.0)
        except SessionError:
            assert not must
        else:
            assert must
            taken.add(index)


def test_an_answer_belongs_to_its_own_question() -> None:
    pair = Pair()
    session = pair.open()
    first, second = session.encrypt(b"1"), session.encrypt(b"2")
    answer = pair.responder.decrypt(first[1], 0.0).encrypt(b"to 1")
    with pytest.raises(EncryptionError):
        session.decrypt(second[0], answer)


def test_a_request_sent_back_is_no_answer() -> None:
    session = Pair().open()
    counter, message = session.encrypt(b"mirror")
    with pytest.raises(EncryptionError):
        session.decrypt(counter, msgspec.msgpack.decode(message, type=SessionMessage).ciphertext)


@given(st.integers(0, 10_000))
def test_an_altered_message_is_refused_and_its_counter_stays_free(position: int) -> None:
    pair = Pair()
    _, message = pair.open().encrypt(b"to be altered")
    altered = bytearray(message)
    altered[position % len(altered)] ^= 1
    with pytest.raises((SessionError, EncryptionError, MessageError)):
        pair.responder.decrypt(bytes(altered), 0.0)
    assert pair.responder.decrypt(message, 0.0).request == b"to be altered"


@pytest.mark.parametrize(("initiator", "signer"), [(4, 4), (RESPONDER, RESPONDER), (INITIATOR, 4)])
def test_only_another_active_edge_node_with_its_registered_key_gets_a_session(initiator: int, signer: int) -> None:
    pair = Pair()
    with pytest.raises(SessionError):
        pair.responder.open(encode_opening(pair.initiation(initiator, signer).opening), 0.0)
    assert len(pair.responder) == 0


def test_a_handshake_counts_once() -> None:
    pair = Pair()
    opening = encode_opening(pair.initiation().opening)
    pair.responder.open(opening, 0.0)
    with pytest.raises(SessionError, match="before"):
        pair.responder.open(opening, 0.0)
    assert len(pair.responder) == 1


def test_a_handshake_of_before_a_restart_is_refused() -> None:
    pair = Pair()
    opening = encode_opening(pair.initiation().opening)
    with pytest.raises(SessionError, match="old challenge"):
        Pair().responder.open(opening, 0.0)


def test_the_challenge_changes_before_the_memory_of_handshakes_grows() -> None:
    challenges = Challenges()
    first = challenges.current
    for number in range(1024):
        challenges.use(number.to_bytes(32, "big"))
    assert challenges.current != first
    with pytest.raises(SessionError):
        challenges.check(first, bytes(32))


@pytest.mark.parametrize("field_", ["initiator", "responder", "ciphertext", "ephemeral_key", "public_key", "signature"])
def test_an_altered_handshake_is_refused(field_: str) -> None:
    pair = Pair()
    opening = pair.initiation().opening
    value = getattr(opening, field_)
    changed = value + 1 if isinstance(value, int) else bytes([value[0] ^ 1]) + value[1:]
    with pytest.raises((SessionError, EncryptionError)):
        pair.responder.open(encode_opening(msgspec.structs.replace(opening, **{field_: changed})), 0.0)
    assert len(pair.responder) == 0


def test_a_handshake_for_another_ledger_is_refused() -> None:
    pair = Pair()
    other = Binding(1337, b"\x01" * 20, RESPONDER, Purpose.SESSION)
    with pytest.raises(SessionError):
        pair.responder.open(encode_opening(pair.initiation(binding=other).opening), 0.0)


def test_who_can_not_open_the_encapsulation_can_not_answer() -> None:
    pair = Pair()
    initiation = pair.initiation()
    impostor = Responder(decapsulation_key(9), BINDING, pair.registry, SCHEME)
    impostor._challenges.current = pair.responder.challenge
    with pytest.raises(SessionError, match="does not hold the registered key"):
        initiation.finish(impostor.open(encode_opening(initiation.opening), 0.0))


def test_a_retired_edge_node_loses_its_session() -> None:
    pair = Pair()
    session = pair.open()
    del pair.registry.active[INITIATOR]
    with pytest.raises(SessionError):
        pair.responder.decrypt(session.encrypt(b"still here?")[1], 0.0)
    assert len(pair.responder) == 0


def test_new_keys_end_the_sessions_of_the_old_ones() -> None:
    pair = Pair()
    session = pair.open()
    pair.registry.active[INITIATOR] = keys(5)
    with pytest.raises(SessionError):
        pair.responder.decrypt(session.encrypt(b"")[1], 0.0)


def test_a_session_ends_with_its_time() -> None:
    pair = Pair()
    session = pair.open(now=100.0)
    assert not session.is_over(100.0)
    assert session.is_over(100.0 + LIFE_SECONDS)
    with pytest.raises(SessionError):
        pair.responder.decrypt(session.encrypt(b"")[1], 100.0 + LIFE_SECONDS)


def test_a_session_ends_with_its_last_counter() -> None:
    message = SessionMessage(bytes(16), MAX_MESSAGES + 1, b"")
    with pytest.raises(MessageError):
        Pair().responder.decrypt(msgspec.msgpack.encode(message), 0.0)


def test_an_edge_node_holds_few_sessions_of_each_other_one() -> None:
    pair = Pair()
    sessions = [pair.open() for _ in range(SESSIONS_PER_PEER + 2)]
    assert len(pair.responder) == SESSIONS_PER_PEER
    pair.responder.decrypt(sessions[-1].encrypt(b"")[1], 0.0)
    with pytest.raises(SessionError):
        pair.responder.decrypt(sessions[0].encrypt(b"")[1], 0.0)


@given(st.binary(max_size=300))
def test_any_bytes_get_a_typed_error(data: bytes) -> None:
    pair = Pair()
    for entrance in (pair.responder.open, pair.responder.decrypt):
        with pytest.raises((MessageError, SessionError, EncryptionError)):
            entrance(data, 0.0)
    assert len(pair.responder) == 0


def test_the_statement_covers_every_field() -> None:
    opening = Pair().initiation().opening
    for name in Opening.__struct_fields__:
        value = getattr(opening, name)
        if name == "signature":
            continue
        changed = value + 1 if isinstance(value, int) else bytes([value[0] ^ 1]) + value[1:]
        assert msgspec.structs.replace(opening, **{name: changed}).statement(BINDING) != opening.statement(BINDING)
