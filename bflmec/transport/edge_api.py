"""Clients of an edge node's HTTP API, one for threads and one for asyncio.

    with EdgeApi("https://edge-1.example") as api:
        info = api.node()
        recipient = info.recipient(registered.signature_key_digest, registered.encapsulation_key_digest)
        receipt = api.upload(envelope, recipient)

Every method raises EdgeUnavailableError if nobody answers in time or what answers is no edge node, EdgeBusyError among
them, and the error that the edge node names if it refuses; `retry_after` of each is what it advises, in seconds.
Answers are read up to the size that they may have and no further.
"""

from __future__ import annotations

from time import monotonic
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

import httpx

from bflmec.errors import EdgeUnavailableError
from bflmec.protocol.messages import MAX_BLOB, Receipt
from bflmec.storage.cid import Cid
from bflmec.transport import exchange
from bflmec.transport.exchange import BINARY, Exchange
from bflmec.transport.node_info import GradientState, NodeInfo, Recipient
from bflmec.transport.sealing import seal

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 30.0
SLOWEST_RATE: Final = 10_000.0
"""Bytes a second that an answer may be slow."""
_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "bflmec"}

T = TypeVar("T")


class EdgeApi:
    """For threads; a context manager. `timeout` is how many seconds the edge node may stay silent."""

    def __init__(self, url: str, *, timeout: float = ANSWER_SECONDS, verify: Any = True) -> None:
        """`verify` is httpx's: a TLS context, or False for none (development). It counts for https:// only."""
        self.url = _checked_url(url)
        self._timeout = timeout
        self._http = httpx.Client(
            base_url=self.url, timeout=_timeout(timeout), headers=_HEADERS, verify=_tls(self.url, verify)
        )

    def node(self) -> NodeInfo:
        """The edge node's id, ledger and keys: to be compared with the registry by `NodeInfo.recipient`."""
        return self._run(exchange.node())

    def status(self) -> dict[str, object]:
        """What the edge node does, for people."""
        return self._run(exchange.status())

    def upload(self, envelope: bytes, recipient: Recipient) -> Receipt:
        """Seals an envelope for the recipient and submits it. The receipt's signature is for `Recipient.check`."""
        return self.submit(seal(envelope, recipient.encapsulation_key, recipient.binding))

    def submit(self, sealed: bytes) -> Receipt:
        """Submits a sealed envelope; submitting it again gives the same receipt."""
        return self._run(exchange.submit(sealed))

    def gradient_state(self, digest: bytes) -> GradientState:
        """What became of a local gradient. Raises NotHeldError if the edge node does not know it."""
        return self._run(exchange.gradient_state(digest))

    def next_sequence(self, account: bytes) -> int:
        """The lowest sequence number above all of a client that the edge node knows of."""
        return self._run(exchange.next_sequence(account)).next_sequence

    def blob(self, cid: Cid, limit: int = MAX_BLOB) -> bytes:
        """A global gradient or block body, checked against its id. Raises NotHeldError if it is not there."""
        return self._run(exchange.blob(cid, limit))

    def open_session(self, opening: bytes) -> bytes:
        """The acceptance of a handshake between edge nodes."""
        return self._run(exchange.open_session(opening))

    def message(self, data: bytes) -> bytes:
        """The encrypted answer to a message between edge nodes."""
        return self._run(exchange.message(data))

    def _run(self, wanted: Exchange[T]) -> T:
        try:
            with self._http.stream(wanted.method, wanted.path, content=wanted.body, headers=_headers(wanted)) as answer:
                body = _Body(wanted, answer, self._timeout)
                for chunk in answer.iter_raw():
                    body.append(chunk)
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise _unreachable(self.url, error) from error
        return body.result()

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncEdgeApi:
    """For asyncio; an asynchronous context manager with the methods of `EdgeApi`."""

    def __init__(self, url: str, *, timeout: float = ANSWER_SECONDS, verify: Any = True) -> None:
        self.url = _checked_url(url)
        self._timeout = timeout
        self._http = httpx.AsyncClient(
            base_url=self.url, timeout=_timeout(timeout), headers=_HEADERS, verify=_tls(self.url, verify)
        )

    async def node(self) -> NodeInfo:
        return await self._run(exchange.node())

    async def status(self) -> dict[str, object]:
        return await self._run(exchange.status())

    async def upload(self, envelope: bytes, recipient: Recipient) -> Receipt:
        return await self.submit(seal(envelope, recipient.encapsulation_key, recipient.binding))

    async def submit(self, sealed: bytes) -> Receipt:
        return await self._run(exchange.submit(sealed))

    async def gradient_state(self, digest: bytes) -> GradientState:
        return await self._run(exchange.gradient_state(digest))

    async def next_sequence(self, account: bytes) -> int:
        return (await self._run(exchange.next_sequence(account))).next_sequence

    async def blob(self, cid: Cid, limit: int = MAX_BLOB) -> bytes:
        return await self._run(exchange.blob(cid, limit))

    async def open_session(self, opening: bytes) -> bytes:
        return await self._run(exchange.open_session(opening))

    async def message(self, data: bytes) -> bytes:
        return await self._run(exchange.message(data))

    async def _run(self, wanted: Exchange[T]) -> T:
        request = self._http.build_request(wanted.method, wanted.path, content=wanted.body, headers=_headers(wanted))
        try:
            answer = await self._http.send(request, stream=True)
            try:
                body = _Body(wanted, answer, self._timeout)
                async for chunk in answer.aiter_raw():
                    body.append(chunk)
            finally:
                await answer.aclose()
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise _unreachable(self.url, error) from error
        return body.result()

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _checked_url(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise EdgeUnavailableError(f"{url!r} is no address of an edge node: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise EdgeUnavailableError(f"{url!r} is no address of an edge node; it begins with http:// or https://")
    return url.rstrip("/")


def _tls(url: str, verify: Any) -> Any:
    """Without TLS there is nothing to verify, and no need to read all authorities of the system first."""
    return verify if url.startswith("https:") else False


def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))


def _headers(wanted: Exchange[Any]) -> dict[str, str]:
    return {} if wanted.body is None else {"Content-Type": BINARY}


class _Body(Generic[T]):
    """The body of an answer, in its bounds of size and time: one that trickles in doesn't hold anybody up."""

    def __init__(self, wanted: Exchange[T], answer: httpx.Response, timeout: float) -> None:
        self._wanted = wanted
        self._answer = answer
        self._limit = wanted.limit_for(answer.status_code)
        self._deadline = monotonic() + timeout + self._limit / SLOWEST_RATE
        self._data = bytearray()
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise EdgeUnavailableError(f"the answer to {wanted.path} is compressed, which nobody asked for")

    def append(self, chunk: bytes) -> None:
        self._data += chunk
        if len(self._data) > self._limit:
            raise EdgeUnavailableError(f"the answer to {self._wanted.path} is over the limit of {self._limit} bytes")
        if monotonic() > self._deadline:
            raise EdgeUnavailableError(f"the answer to {self._wanted.path} takes too long")

    def result(self) -> T:
        headers = self._answer.headers
        return self._wanted.result(self._answer.status_code, bytes(self._data), headers.get("retry-after"))


def _unreachable(url: str, error: Exception) -> EdgeUnavailableError:
    return EdgeUnavailableError(f"the edge node at {url} can't be reached: {str(error) or type(error).__name__}")
