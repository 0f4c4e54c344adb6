"""How an edge node takes local gradients in (Algorithm 3, lines 2-9): what it accepts, repeats and refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pytest
from dictionary_world import verify
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol_world import SCHEME, SPEC, ProtocolWorld, participant, snapshot, some_vector

from bflmec.crypto.keys import Role, key_digest
from bflmec.errors import (
    BFLMECError,
    BlobError,
    ClientQuotaError,
    GradientRejectedError,
    MessageError,
    PoolFullError,
    RulesMismatchError,
    SignatureRejectedError,
)
from bflmec.learning.blob import encode_blob
from bflmec.learning.tensors import TensorSpec
from bflmec.protocol.intake import MAX_ANNOUNCED, MAX_WAITING
from bflmec.protocol.messages import (
    MAX_BLOB,
    RECEIPT_CONTEXT,
    Announcement,
    Envelope,
    GradientHeader,
    Mode,
    Receipt,
    decode,
    encode,
)
from bflmec.protocol.ports import Anchor
from bflmec.protocol.verification import GradientVerifier

STRANGER = 9
"""Number of a client that has a key and no registration."""


@pytest.fixture
def world() -> ProtocolWorld:
    return ProtocolWorld()


def digest_of(envelope: bytes) -> bytes:
    return GradientHeader.decode(decode(Envelope, envelope).signed.header).digest


# ---------------------------------------------------------------- accepted


def test_an_upload_gets_a_signed_receipt(world: ProtocolWorld) -> None:
    envelope = world.envelope()
    receipt, _ = world.nodes[0].receive(envelope, 0.0)
    key = participant(Role.EDGE_NODE, 1)[1].public_key
    assert (receipt.edge_node, receipt.gradient) == (1, digest_of(envelope))
    assert verify(SCHEME, key, Receipt.statement(1, receipt.gradient), receipt.signature, RECEIPT_CONTEXT)


def test_an_upload_is_pooled_before_its_receipt(world: ProtocolWorld) -> None:
    receipt, _ = world.nodes[0].receive(world.envelope(vector=some_vector(5, 5)), 3.5)
    item = world.nodes[0].pool.get(receipt.gradient)
    assert item is not None
    assert (item.receiver, item.known_at_block, item.known_at) == (1, 0, 3.5)
    assert item.gradient.vector.tolist() == some_vector(5, 5).tolist()


def test_a_new_upload_is_announced_as_it_came(world: ProtocolWorld) -> None:
    envelope = world.envelope()
    _, announcement = world.nodes[0].receive(envelope, 0.0)
    assert announcement == Announcement(1, envelope)


def test_an_announced_local_gradient_keeps_its_receiver(world: ProtocolWorld) -> None:
    _, announcement = world.nodes[0].receive(world.envelope(), 0.0)
    assert announcement is not None
    world.nodes[1].exchange(announcement, 1.0)
    assert [(item.receiver, item.known_at) for item in world.nodes[1].pool] == [(1, 1.0)]


def test_a_repeated_announcement_changes_nothing(world: ProtocolWorld) -> None:
    _, announcement = world.nodes[0].receive(world.envelope(), 0.0)
    assert announcement is not None
    world.nodes[1].exchange(announcement, 1.0)
    before = snapshot(world.nodes[1])
    world.nodes[1].exchange(announcement, 2.0)
    assert snapshot(world.nodes[1]) == before


def test_a_repeated_upload_gets_its_receipt_again_and_is_not_announced(world: ProtocolWorld) -> None:
    envelope = world.envelope()
    first = world.nodes[0].receive(envelope, 0.0)
    before = snapshot(world.nodes[0])
    again = world.nodes[0].receive(envelope, 5.0)
    assert again.receipt.gradient == first.receipt.gradient
    assert again.announcement is None
    assert snapshot(world.nodes[0]) == before


def test_the_receipt_of_a_taken_sequence_names_what_took_it(world: ProtocolWorld) -> None:
    first = world.nodes[0].receive(world.envelope(vector=some_vector(1, 1)), 0.0)
    second = world.nodes[0].receive(world.envelope(vector=some_vector(2, 2)), 0.0)
    assert second.receipt.gradient == first.receipt.gradient
    assert second.announcement is None
    assert len(world.nodes[0].pool) == 1


def test_a_replay_after_recording_gets_a_receipt_and_is_not_recorded_again(world: ProtocolWorld) -> None:
    envelope = world.envelope()
    world.run_block(envelope)
    before = snapshot(world.nodes[0])
    replayed = world.nodes[0].receive(envelope, 9.0)
    assert replayed.receipt.gradient == digest_of(envelope)
    assert replayed.announcement is None
    world.nodes[1].exchange(Announcement(1, envelope), 9.0)
    assert snapshot(world.nodes[0]) == before
    assert world.nodes[1].due_at() is None


def test_a_gradient_older_than_the_window_gets_no_receipt(world: ProtocolWorld) -> None:
    world.run_block(world.envelope(0, 100))
    with pytest.raises(GradientRejectedError, match="older than the window"):
        world.nodes[0].receive(world.envelope(0, 36), 0.0)


def test_a_sequence_just_inside_the_window_is_accepted(world: ProtocolWorld) -> None:
    world.run_block(world.envelope(0, 100))
    assert world.nodes[0].receive(world.envelope(0, 37), 0.0).announcement is not None


def test_sequence_0_gets_no_receipt(world: ProtocolWorld) -> None:
    with pytest.raises(GradientRejectedError):
        world.nodes[0].receive(world.envelope(0, 0), 0.0)


def test_a_client_can_only_let_so_many_local_gradients_wait(world: ProtocolWorld) -> None:
    for sequence in range(1, MAX_WAITING + 1):
        world.nodes[0].receive(world.envelope(0, sequence), 0.0)
    before = snapshot(world.nodes[0])
    with pytest.raises(GradientRejectedError, match="send the average later"):
        world.nodes[0].receive(world.envelope(0, MAX_WAITING + 1), 0.0)
    assert snapshot(world.nodes[0]) == before
    assert world.nodes[0].receive(world.envelope(1, 1), 0.0).announcement is not None


def test_what_is_recorded_does_not_count_as_waiting() -> None:
    world = ProtocolWorld(threshold=40, per_client=40, max_transactions=40)
    for sequence in range(1, MAX_WAITING + 1):
        world.nodes[0].receive(world.envelope(0, sequence), 0.0)
    world.nodes[0].record(world.mine(0))
    assert world.nodes[0].receive(world.envelope(0, MAX_WAITING + 1), 0.0).announcement is not None


def test_no_edge_node_can_fill_the_pool_of_another_with_what_one_client_signs() -> None:
    world = ProtocolWorld()
    for sequence in range(1, MAX_ANNOUNCED + 1):
        world.nodes[1].exchange(Announcement(1, world.envelope(0, sequence)), 0.0)
    rival = Announcement(1, world.envelope(0, 1, some_vector(0, 99)))
    before = snapshot(world.nodes[1])
    with pytest.raises(ClientQuotaError):
        world.nodes[1].exchange(rival, 0.0)
    assert snapshot(world.nodes[1]) == before
    world.nodes[1].supplied(rival, {digest_of(rival.envelope)}, 0.0)
    assert len(world.nodes[1].pool) == MAX_ANNOUNCED + 1


def test_a_full_pool_takes_nothing_more_but_what_a_block_needs() -> None:
    world = ProtocolWorld(pool_limit=len(ProtocolWorld().envelope()) * 2 + 100)
    announced = Announcement(1, world.envelope(2))
    world.nodes[1].receive(world.envelope(0), 0.0)
    world.nodes[1].receive(world.envelope(1), 0.0)
    before = snapshot(world.nodes[1])
    for refused in (
        lambda: world.nodes[1].receive(world.envelope(2), 0.0),
        lambda: world.nodes[1].exchange(announced, 0.0),
    ):
        with pytest.raises(PoolFullError, match="no room"):
            refused()
    assert snapshot(world.nodes[1]) == before
    world.nodes[1].supplied(announced, {digest_of(announced.envelope)}, 0.0)
    assert len(world.nodes[1].pool) == 3


def test_a_few_clients_fill_no_more_than_half_of_the_pool() -> None:
    world = ProtocolWorld(pool_limit=len(ProtocolWorld().envelope()) * 10)
    for sequence in range(1, 6):
        world.nodes[0].receive(world.envelope(0, sequence), 0.0)
    with pytest.raises(PoolFullError):
        world.nodes[0].receive(world.envelope(0, 6), 0.0)
    assert world.nodes[0].receive(world.envelope(1, 1), 0.0).announcement is not None


def test_a_client_that_lost_its_state_is_told_a_free_sequence(world: ProtocolWorld) -> None:
    account, node = world.clients[0].account, world.nodes[0]
    assert node.next_sequence(account) == 1
    node.receive(world.envelope(0, 3), 0.0)
    assert node.next_sequence(account) == 4
    node.record(world.mine(0))
    assert node.next_sequence(account) == 4


def test_replaying_an_upload_costs_no_second_signature(world: ProtocolWorld) -> None:
    envelope = world.envelope()
    assert world.nodes[0].receive(envelope, 0.0).receipt is world.nodes[0].receive(envelope, 0.0).receipt


def test_an_accepted_local_gradient_is_pooled_and_announced_without_a_receipt(world: ProtocolWorld) -> None:
    envelope = world.envelope()
    assert world.nodes[0].accept(envelope, 0.0) == (digest_of(envelope), Announcement(1, envelope))
    assert world.nodes[0].accept(envelope, 0.0) == (digest_of(envelope), None)


def test_a_known_announcement_costs_no_signature_check(world: ProtocolWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    announcement = world.nodes[0].accept(world.envelope(), 0.0).announcement
    assert announcement is not None
    monkeypatch.setattr(GradientVerifier, "check_signature", None)
    world.nodes[0].exchange(announcement, 1.0)
    assert len(world.nodes[0].pool) == 1


def test_nothing_is_read_of_a_blob_before_the_signature_holds(
    world: ProtocolWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bflmec.protocol.verification.decode_blob", None)
    with pytest.raises(SignatureRejectedError, match="does not hold"):
        world.nodes[0].accept(resigned(world, world.envelope(), signature=bytes(2420)), 0.0)


def test_a_local_gradient_of_an_old_anchor_is_accepted(world: ProtocolWorld) -> None:
    for client in range(4):
        world.run_block(world.envelope(client))
    assert world.nodes[0].state.anchor == 4
    assert world.nodes[0].receive(world.envelope(0, 2, anchor=world.genesis), 0.0).announcement is not None


# ---------------------------------------------------------------- refused


def resigned(world: ProtocolWorld, envelope: bytes, **changes: object) -> bytes:
    upload = decode(Envelope, envelope)
    return encode(Envelope(msgspec.structs.replace(upload.signed, **changes), upload.blob))


def other_model_blob() -> bytes:
    spec = TensorSpec.of({"bias": (2,), "weight": (2, 3)})
    return encode_blob(spec, np.zeros(8, np.float32))


def nan_blob() -> bytes:
    good = encode_blob(SPEC, np.zeros(8, np.float32))
    return good[:-4] + np.array([np.nan], "<f4").tobytes()


@dataclass(frozen=True)
class Bad:
    make: Callable[[ProtocolWorld], bytes]
    error: type[BFLMECError]
    words: str


BAD = {
    "other chain": Bad(lambda w: w.envelope(chain_id=1), GradientRejectedError, "chain 1"),
    "other ledger": Bad(lambda w: w.envelope(ledger=b"\x01" * 20), GradientRejectedError, "for ledger"),
    "other client": Bad(
        lambda w: w.envelope(client=w.clients[1].account), GradientRejectedError, "not the registered one"
    ),
    "no client": Bad(lambda w: w.envelope(client=b"\x01" * 20), GradientRejectedError, "not registered"),
    "unknown anchor": Bad(
        lambda w: w.envelope(anchor=Anchor(7, bytes(32), w.genesis.content)), GradientRejectedError, "no anchor"
    ),
    "other anchor hash": Bad(lambda w: w.envelope(anchor_hash=bytes(32)), GradientRejectedError, "another hash"),
    "other mode": Bad(lambda w: w.envelope(mode=Mode.WEIGHTS), GradientRejectedError, "takes delta"),
    "NaN": Bad(lambda w: w.envelope(blob=nan_blob()), BlobError, "not finite"),
    "other shape": Bad(lambda w: w.envelope(blob=other_model_blob()), BlobError, "the model has"),
    "no blob at all": Bad(lambda w: w.envelope(blob=b"x"), BlobError, "not a gradient blob"),
    "other blob": Bad(
        lambda w: encode(Envelope(decode(Envelope, w.envelope()).signed, encode_blob(SPEC, some_vector(8, 8)))),
        GradientRejectedError,
        "not the one that was signed",
    ),
    "longer blob": Bad(lambda w: w.envelope(blob_length=4096), GradientRejectedError, "another length"),
    "impossible length": Bad(lambda w: w.envelope(blob_length=MAX_BLOB + 1), MessageError, "1 to"),
    "wrong key": Bad(
        lambda w: resigned(w, w.envelope(), public_key=participant(Role.CLIENT, STRANGER)[1].public_key),
        GradientRejectedError,
        "not the registered one",
    ),
    "bad signature": Bad(
        lambda w: resigned(w, w.envelope(), signature=bytes(2420)), GradientRejectedError, "does not hold"
    ),
    "signature of another local gradient": Bad(
        lambda w: resigned(w, w.envelope(), signature=decode(Envelope, w.envelope(0, 2)).signed.signature),
        GradientRejectedError,
        "does not hold",
    ),
    "unknown scheme": Bad(lambda w: resigned(w, w.envelope(), scheme="RSA"), GradientRejectedError, "not allowed"),
    "other scheme": Bad(lambda w: resigned(w, w.envelope(), scheme="ML-DSA-65"), GradientRejectedError, "not allowed"),
    "cut short": Bad(lambda w: w.envelope()[:-1], MessageError, "not a"),
    "too large": Bad(lambda w: bytes(MAX_BLOB + 2**18 + 1), MessageError, "over the limit"),
    "nothing": Bad(lambda w: b"", MessageError, "not a"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_upload_is_refused_and_changes_nothing(world: ProtocolWorld, name: str) -> None:
    world.run_block(world.envelope(2))
    node, before = world.nodes[0], snapshot(world.nodes[0])
    with pytest.raises(BAD[name].error, match=BAD[name].words):
        node.receive(BAD[name].make(world), 0.0)
    assert snapshot(node) == before


@pytest.mark.parametrize("name", BAD)
def test_a_bad_announcement_is_refused_and_changes_nothing(world: ProtocolWorld, name: str) -> None:
    node, before = world.nodes[1], snapshot(world.nodes[1])
    with pytest.raises(BAD[name].error, match=BAD[name].words):
        node.exchange(Announcement(1, BAD[name].make(world) or b"\0"), 0.0)
    assert snapshot(node) == before


def test_an_announcement_of_a_foreign_receiver_is_refused(world: ProtocolWorld) -> None:
    before = snapshot(world.nodes[0])
    with pytest.raises(GradientRejectedError, match="no active edge node"):
        world.nodes[0].exchange(Announcement(9, world.envelope()), 0.0)
    assert snapshot(world.nodes[0]) == before


def test_a_key_that_was_replaced_signs_no_more(world: ProtocolWorld) -> None:
    account = world.clients[0].account
    world.participants.clients[account] = key_digest(participant(Role.CLIENT, STRANGER)[1].public_key)
    with pytest.raises(GradientRejectedError, match="not the registered one"):
        world.nodes[0].receive(world.envelope(0), 0.0)


FUZZED = ProtocolWorld(edge_nodes=1)
GOOD = FUZZED.envelope(0, 1)


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_upload_is_refused_and_changes_nothing(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD) - 1))
    damage = data.draw(st.binary(min_size=1, max_size=4))
    damaged = GOOD[:start] + damage + GOOD[start + len(damage) :]
    if damaged == GOOD:
        return
    before = snapshot(FUZZED.nodes[0])
    with pytest.raises((MessageError, BlobError, GradientRejectedError)):
        FUZZED.nodes[0].receive(damaged, 0.0)
    assert snapshot(FUZZED.nodes[0]) == before


# ---------------------------------------------------------------- what peers ask for


def test_a_peer_gets_what_it_misses(world: ProtocolWorld) -> None:
    receipt, announcement = world.nodes[0].receive(world.envelope(), 0.0)
    assert world.nodes[0].supply(receipt.gradient) == announcement
    assert world.nodes[1].supply(receipt.gradient) is None


def test_a_late_peer_still_gets_what_the_newest_global_update_took_in(world: ProtocolWorld) -> None:
    envelopes = [world.envelope(client) for client in range(4)]
    world.run_block(*envelopes)
    assert world.nodes[0].due_at() is None
    assert world.nodes[0].supply(digest_of(envelopes[0])) == Announcement(1, envelopes[0])


def test_an_edge_node_answers_for_a_receiver_that_retired(world: ProtocolWorld) -> None:
    world.spread(world.envelope())
    del world.participants.nodes[1]
    supplied = world.nodes[1].supply(digest_of(pooled_envelope(world)))
    assert supplied is not None
    assert supplied.receiver == 2


def pooled_envelope(world: ProtocolWorld) -> bytes:
    return next(iter(world.nodes[1].pool)).gradient.envelope


def test_other_rules_than_the_ledgers_are_refused_at_the_start(world: ProtocolWorld) -> None:
    world.rules = replace(world.rules, per_client=1)
    with pytest.raises(RulesMismatchError):
        world.edge_node(1)
