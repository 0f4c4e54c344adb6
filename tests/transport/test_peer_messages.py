"""Messages between edge nodes: canonical, bounded, and a typed error for everything else."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.errors import MessageError
from bflmec.protocol.messages import Announcement, Approval, Proposal
from bflmec.transport.peer_messages import (
    MAX_DIGESTS,
    Announce,
    Announcements,
    Answer,
    Approved,
    Fetch,
    FetchHistory,
    Greeting,
    Hello,
    HistoryPart,
    Propose,
    Refusal,
    Request,
    Taken,
    decode_answer,
    decode_request,
    encode,
)

digests = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, 2**63 - 1)
announcements = st.builds(Announcement, st.integers(1, 2**16 - 1), st.binary(min_size=1, max_size=50))
proposals = st.builds(Proposal, st.binary(max_size=50), numbers, st.binary(max_size=50), st.binary(max_size=50))
batches = st.lists(announcements, max_size=4).map(tuple)
requests = st.one_of(
    st.builds(Hello, numbers, digests, numbers, st.lists(digests, max_size=4).map(tuple)),
    st.builds(Announce, batches),
    st.builds(Fetch, st.lists(digests, max_size=4).map(tuple)),
    st.builds(FetchHistory, digests),
    st.builds(Propose, proposals),
)
answers = st.one_of(
    st.builds(Greeting, numbers, digests, numbers, st.lists(digests, max_size=4).map(tuple)),
    st.builds(Taken, numbers),
    st.builds(Announcements, batches),
    st.builds(HistoryPart, st.binary(max_size=50)),
    st.builds(Approved, st.builds(Approval, digests, st.binary(min_size=20, max_size=20), st.binary(min_size=1))),
    st.builds(Refusal, st.text(min_size=1, max_size=64), st.text(max_size=100)),
)


@given(requests)
def test_requests_come_back(request: Request) -> None:
    assert decode_request(encode(request)) == request


@given(answers)
def test_answers_come_back(answer: Answer) -> None:
    assert decode_answer(encode(answer)) == answer


@given(requests)
def test_a_request_is_no_answer(request: Request) -> None:
    with pytest.raises(MessageError):
        decode_answer(encode(request))


@given(st.one_of(requests, answers), st.data())
def test_altered_bytes_are_another_message_or_none(message: Request | Answer, data: st.DataObject) -> None:
    encoded = bytearray(encode(message))
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] ^= data.draw(st.integers(1, 255))
    for decode in (decode_request, decode_answer):
        with contextlib.suppress(MessageError):
            assert encode(decode(bytes(encoded))) == bytes(encoded)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_message_or_a_typed_error(data: bytes) -> None:
    for decode in (decode_request, decode_answer):
        with contextlib.suppress(MessageError):
            assert encode(decode(data)) == data


def test_nothing_follows_a_message() -> None:
    with pytest.raises(MessageError):
        decode_request(encode(FetchHistory(bytes(32))) + b"\x00")


def test_more_digests_than_agreed_are_refused() -> None:
    with pytest.raises(MessageError):
        decode_request(encode(Fetch((bytes(32),) * (MAX_DIGESTS + 1))))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(MessageError):
        decode_request(b"\x91" * 100_000)
