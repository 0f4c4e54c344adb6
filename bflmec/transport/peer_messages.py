"""What edge nodes say to each other inside of a session: requests, each with its answer, in canonical bytes.

    Hello         -> Greeting        where both stand; digests of what waits, so that each fetches what it lacks
    Announce      -> Taken           local gradients that the sender took in (Algorithm 3, line 5)
    Fetch         -> Announcements   local gradients by digest
    FetchHistory  -> HistoryPart     a manifest, or an entry of the history, by digest
    Propose       -> Approved        a sealed block for review (Algorithm 3, lines 13-18)

Every request can be answered with a Refusal. Blocks and local gradients are the messages of `bflmec.protocol.messages`,
whose own limits hold in here.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from bflmec.errors import MessageError
from bflmec.protocol.messages import MAX_BLOB, Announcement, Approval, Proposal

MAX_MESSAGE: Final = MAX_BLOB + 2**20
"""Bytes of one message; an edge node sets a lower limit for its model."""
MAX_BATCH: Final = 1024
"""Local gradients in one message."""
MAX_DIGESTS: Final = 4096

_Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
_Digests = Annotated[tuple[_Digest, ...], Meta(max_length=MAX_DIGESTS)]
_Batch = Annotated[tuple[Announcement, ...], Meta(max_length=MAX_BATCH)]
_Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class _Tagged(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Hello(_Tagged, frozen=True, tag=1):
    """Number and hash of the newest block, its anchor, and the gradient digests that wait to be recorded, oldest first,
    at most MAX_DIGESTS of them."""

    number: _Number
    head: _Digest
    anchor: _Number
    waiting: _Digests


class Announce(_Tagged, frozen=True, tag=2):
    announcements: _Batch


class Fetch(_Tagged, frozen=True, tag=3):
    digests: _Digests


class FetchHistory(_Tagged, frozen=True, tag=4):
    digest: _Digest


class Propose(_Tagged, frozen=True, tag=5):
    proposal: Proposal


class Greeting(_Tagged, frozen=True, tag=65):
    """The answer to Hello, with the same content about the other side."""

    number: _Number
    head: _Digest
    anchor: _Number
    waiting: _Digests


class Taken(_Tagged, frozen=True, tag=66):
    """How many of the announced local gradients the edge node holds now; the others it has refused."""

    held: _Number


class Announcements(_Tagged, frozen=True, tag=67):
    """Those of the fetched local gradients that are at hand and fit one message, in the order of the question."""

    announcements: _Batch


class HistoryPart(_Tagged, frozen=True, tag=68):
    """The bytes of that digest; empty if they are not at hand."""

    data: Annotated[bytes, Meta(max_length=MAX_BLOB)]


class Approved(_Tagged, frozen=True, tag=69):
    approval: Approval


class Refusal(_Tagged, frozen=True, tag=70):
    """Why a request was refused: the name of an error of `bflmec.errors`, its text, and the digests of local gradients
    that are missing for an answer."""

    kind: Annotated[str, Meta(min_length=1, max_length=64)]
    detail: Annotated[str, Meta(max_length=1024)]
    missing: _Digests = ()


Request: TypeAlias = Hello | Announce | Fetch | FetchHistory | Propose
Answer: TypeAlias = Greeting | Taken | Announcements | HistoryPart | Approved | Refusal
A = TypeVar("A", bound=Answer)

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(Hello | Announce | Fetch | FetchHistory | Propose)
_answers = msgspec.msgpack.Decoder(Greeting | Taken | Announcements | HistoryPart | Approved | Refusal)


def encode(message: Request | Answer) -> bytes:
    """The canonical msgpack bytes: an array that begins with the kind's number."""
    return _encoder.encode(message)


def decode_request(data: bytes) -> Request:
    """Raises MessageError unless `data` is the canonical, bounded encoding of a request."""
    request: Request = _decode(_requests, data)
    return request


def decode_answer(data: bytes) -> Answer:
    """Raises MessageError unless `data` is the canonical, bounded encoding of an answer."""
    answer: Answer = _decode(_answers, data)
    return answer


def _decode(decoder: msgspec.msgpack.Decoder[Any], data: bytes) -> Any:
    if len(data) > MAX_MESSAGE:
        raise MessageError(f"a message of {len(data)} bytes is over the limit of {MAX_MESSAGE}")
    try:
        message = decoder.decode(data)
        if _encoder.encode(message) != data:
            raise MessageError("the message is not in canonical form")
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MessageError(f"not a message between edge nodes: {error}") from error
    return message
