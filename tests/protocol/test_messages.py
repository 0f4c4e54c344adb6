"""The canonical bytes of every message: golden vectors, exact round trips, and a typed error for everything else."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.errors import MessageError
from bflmec.protocol.blocks import Header, Reward, SealedBlock, Transaction
from bflmec.protocol.messages import (
    MAX_BLOB,
    MAX_BODY,
    Announcement,
    Approval,
    Body,
    Envelope,
    GradientHeader,
    Mode,
    Proposal,
    Receipt,
    SignedHeader,
    decode,
    encode,
    transaction,
)

VECTORS = json.loads((Path(__file__).parent / "vectors" / "messages.json").read_text())

GRADIENT_HEADER = GradientHeader(
    chain_id=1337,
    ledger=bytes(range(20)),
    client=bytes(range(20, 40)),
    sequence=7,
    anchor=3,
    anchor_hash=bytes(range(32)),
    mode=Mode.DELTA,
    blob_digest=bytes(range(32, 64)),
    blob_length=4096,
    updates=2,
)
SIGNED = SignedHeader(GRADIENT_HEADER.encode(), "ML-DSA-44", b"signature", b"public key")
BLOCK = SealedBlock(
    Header(
        parent=b"\x01" * 32,
        number=5,
        anchor=5,
        edge_node=b"\x02" * 20,
        transactions_hash=b"\x03" * 32,
        transaction_count=1,
        body_digest=b"\x04" * 32,
        global_digest=b"\x05" * 32,
        global_codec=0x55,
        rewards_root=b"\x06" * 32,
        rewards_total=10**20,
    ),
    1234567,
    (Transaction(b"\x07" * 20, 513, b"\x08" * 32, b"\x09" * 32),),
    (Reward(b"\x0a" * 20, 10**20),),
)
MESSAGES: dict[str, Any] = {
    "envelope": Envelope(SIGNED, b"blob"),
    "body": Body(5, (SIGNED, SIGNED), bytes(range(64, 96))),
    "receipt": Receipt(513, b"\x0b" * 32, b"signature"),
    "announcement": Announcement(513, b"envelope"),
    "proposal": Proposal.of(BLOCK),
    "approval": Approval(b"\x0c" * 32, b"\x0d" * 20, b"entry"),
}


def test_a_gradient_header_has_its_golden_bytes_and_digest() -> None:
    assert GRADIENT_HEADER.encode().hex() == VECTORS["gradient header"]
    assert GRADIENT_HEADER.digest.hex() == VECTORS["gradient digest"]
    assert GradientHeader.decode(GRADIENT_HEADER.encode()) == GRADIENT_HEADER


def test_a_gradient_digest_is_the_sha256_of_the_header() -> None:
    assert GRADIENT_HEADER.digest == sha256(bytes.fromhex(VECTORS["gradient header"])).digest()


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_has_its_golden_bytes(name: str) -> None:
    assert encode(MESSAGES[name]).hex() == VECTORS[name]
    assert decode(type(MESSAGES[name]), bytes.fromhex(VECTORS[name])) == MESSAGES[name]


def test_a_receipt_signs_its_edge_node_and_its_gradient() -> None:
    assert Receipt.statement(513, b"\x0b" * 32) == b"\x02\x01" + b"\x0b" * 32


def test_a_proposal_gives_its_block_back() -> None:
    assert Proposal.of(BLOCK).block() == BLOCK


def test_a_transaction_names_sender_receiver_and_both_digests() -> None:
    entry = transaction(SIGNED, GRADIENT_HEADER, 9)
    assert entry == Transaction(GRADIENT_HEADER.client, 9, GRADIENT_HEADER.digest, sha256(b"signature").digest())


# ---------------------------------------------------------------- any bytes in: a typed error, or an exact round trip


def refused_or_exact(kind: Any, data: bytes) -> None:
    try:
        message = decode(kind, data)
    except MessageError:
        return
    assert encode(message) == data


@pytest.mark.parametrize("name", MESSAGES)
@given(data=st.binary(max_size=256))
def test_random_bytes_are_refused_or_are_the_one_encoding(name: str, data: bytes) -> None:
    refused_or_exact(type(MESSAGES[name]), data)


@pytest.mark.parametrize("name", MESSAGES)
@given(data=st.data())
def test_damaged_bytes_are_refused_or_are_the_one_encoding(name: str, data: st.DataObject) -> None:
    good = encode(MESSAGES[name])
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(start + 8, len(good))))
    refused_or_exact(type(MESSAGES[name]), good[:start] + data.draw(st.binary(max_size=8)) + good[end:])


@given(data=st.binary(min_size=136, max_size=136))
def test_any_gradient_header_is_refused_or_round_trips(data: bytes) -> None:
    try:
        header = GradientHeader.decode(b"\x01" + data[1:])
    except MessageError:
        return
    assert header.encode() == b"\x01" + data[1:]


@given(data=st.binary(max_size=500))
def test_any_proposal_parts_are_refused_or_round_trip(data: bytes) -> None:
    proposal = Proposal(BLOCK.header.encode(), 1, data, data)
    try:
        block = proposal.block()
    except MessageError:
        return
    assert Proposal.of(block) == proposal


# ---------------------------------------------------------------- what is refused, and why


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"blob_length": 0}, "1 to"),
        ({"blob_length": MAX_BLOB + 1}, "1 to"),
        ({"updates": 0}, "at least one"),
        ({"mode": 2}, "no mode"),
    ],
)
def test_an_impossible_gradient_header_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(MessageError, match=words):
        GradientHeader.decode(replace(GRADIENT_HEADER, **changes).encode())


def test_another_protocol_version_is_refused() -> None:
    with pytest.raises(MessageError, match="version 2"):
        GradientHeader.decode(b"\x02" + GRADIENT_HEADER.encode()[1:])


@pytest.mark.parametrize("size", [0, 135, 137])
def test_a_gradient_header_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(MessageError, match="136 bytes"):
        GradientHeader.decode(bytes(size))


def test_text_that_is_not_utf8_is_refused() -> None:
    good = encode(MESSAGES["envelope"])
    with pytest.raises(MessageError):
        decode(Envelope, good.replace(b"ML-DSA-44", b"ML-DSA-\xff\xfe"))


def test_a_number_in_a_longer_form_is_refused() -> None:
    good = encode(Announcement(5, b"envelope"))
    assert good[1] == 5
    with pytest.raises(MessageError, match="canonical"):
        decode(Announcement, good[:1] + b"\xcc\x05" + good[2:])


def test_a_map_instead_of_a_list_is_refused() -> None:
    with pytest.raises(MessageError):
        decode(Announcement, msgspec.msgpack.encode({"receiver": 5, "envelope": b"envelope"}))


def test_text_instead_of_bytes_is_refused() -> None:
    with pytest.raises(MessageError):
        decode(Announcement, msgspec.msgpack.encode([5, "envelope"]))


def test_bytes_after_a_message_are_refused() -> None:
    with pytest.raises(MessageError):
        decode(Receipt, encode(MESSAGES["receipt"]) + b"\xc0")


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(MessageError):
        decode(Body, b"\x91" * 100_000)


def test_a_promise_of_four_billion_entries_is_refused() -> None:
    with pytest.raises(MessageError):
        decode(Body, b"\x93\x05\xdd\xff\xff\xff\xff")


@pytest.mark.parametrize(
    "message",
    [
        Receipt(0, b"\x0b" * 32, b"signature"),
        Receipt(2**16, b"\x0b" * 32, b"signature"),
        Receipt(1, b"\x0b" * 31, b"signature"),
        Receipt(1, b"\x0b" * 32, b""),
        Approval(b"\x0c" * 33, b"\x0d" * 20, b"entry"),
        Approval(b"\x0c" * 32, b"\x0d" * 19, b"entry"),
        Announcement(1, b""),
        Envelope(SIGNED, b""),
        Envelope(msgspec.structs.replace(SIGNED, scheme="s" * 33), b"blob"),
        Envelope(msgspec.structs.replace(SIGNED, signature=bytes(65537)), b"blob"),
        Envelope(msgspec.structs.replace(SIGNED, public_key=bytes(65537)), b"blob"),
        Envelope(msgspec.structs.replace(SIGNED, header=bytes(135)), b"blob"),
        Body(0, (SIGNED,), bytes(32)),
        Body(1, (), bytes(32)),
        Body(1, (SIGNED,), bytes(31)),
    ],
)
def test_a_field_out_of_bounds_is_refused(message: Any) -> None:
    with pytest.raises(MessageError):
        decode(type(message), encode(message))


@pytest.mark.parametrize(("kind", "limit"), [(Body, MAX_BODY), (Receipt, 2**17), (Proposal, 2**20), (Approval, 2**17)])
def test_a_message_over_its_limit_is_refused_unread(kind: Any, limit: int) -> None:
    with pytest.raises(MessageError, match="over the limit"):
        decode(kind, bytes(limit + 1))


@pytest.mark.parametrize("part", ["header", "transactions", "rewards"])
def test_a_proposal_with_a_part_cut_short_is_refused(part: str) -> None:
    proposal = msgspec.structs.replace(Proposal.of(BLOCK), **{part: getattr(Proposal.of(BLOCK), part)[:-1]})
    with pytest.raises(MessageError):
        proposal.block()
