"""The requests of an edge node's API and what their answers mean: no sockets here, so that both clients share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec

from bflmec.errors import EdgeUnavailableError, MessageError
from bflmec.protocol.messages import Receipt, decode
from bflmec.storage.cid import Cid
from bflmec.transport.handshake import MAX_OPENING
from bflmec.transport.node_info import GradientState, NextSequence, NodeInfo
from bflmec.transport.peer_messages import MAX_MESSAGE
from bflmec.transport.problems import MAX_PROBLEM, error_of

BINARY: Final = "application/octet-stream"
MAX_JSON: Final = 2**20
MAX_RECEIPT: Final = 2**17

T = TypeVar("T")
Parser: TypeAlias = Callable[[bytes], T]


@dataclass(frozen=True)
class Exchange(Generic[T]):
    """One request, the most bytes that its answer may have, and what turns these into a value."""

    method: str
    path: str
    limit: int
    parse: Parser[T] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)

    def limit_for(self, status: int) -> int:
        """The most bytes of an answer with that status."""
        return self.limit if status == 200 else MAX_PROBLEM

    def result(self, status: int, body: bytes, retry_after: str | None) -> T:
        """Raises the error that an answer stands for, EdgeUnavailableError if it is not one of this API."""
        if status != 200:
            raise error_of(status, body, retry_after)
        try:
            return self.parse(body)
        except (MessageError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise EdgeUnavailableError(f"the answer to {self.path} is none of an edge node's API: {error}") from error


def node() -> Exchange[NodeInfo]:
    return Exchange("GET", "/v1/node", MAX_JSON, msgspec.json.Decoder(NodeInfo).decode)


def status() -> Exchange[dict[str, object]]:
    return Exchange("GET", "/v1/status", MAX_JSON, msgspec.json.Decoder(dict[str, object]).decode)


def submit(sealed: bytes) -> Exchange[Receipt]:
    return Exchange("POST", "/v1/gradients", MAX_RECEIPT, _receipt, sealed)


def gradient_state(digest: bytes) -> Exchange[GradientState]:
    return Exchange("GET", f"/v1/gradients/0x{digest.hex()}", MAX_JSON, msgspec.json.Decoder(GradientState).decode)


def next_sequence(account: bytes) -> Exchange[NextSequence]:
    path = f"/v1/clients/0x{account.hex()}/next-sequence"
    return Exchange("GET", path, MAX_JSON, msgspec.json.Decoder(NextSequence).decode)


def blob(cid: Cid, limit: int) -> Exchange[bytes]:
    return Exchange("GET", f"/v1/blobs/{cid}", limit, _checked_blob(cid))


def open_session(opening: bytes) -> Exchange[bytes]:
    return Exchange("POST", "/v1/peers/sessions", MAX_OPENING, bytes, opening)


def message(data: bytes) -> Exchange[bytes]:
    return Exchange("POST", "/v1/peers/messages", MAX_MESSAGE, bytes, data)


def _receipt(body: bytes) -> Receipt:
    return decode(Receipt, body)


def _checked_blob(cid: Cid) -> Parser[bytes]:
    def parse(body: bytes) -> bytes:
        from bflmec.storage.unixfs import cid_of

        if cid_of(body) != cid:
            raise MessageError("the bytes are not those of the content id")
        return body

    return parse
