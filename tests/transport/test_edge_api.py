"""The client of the edge API beside servers that lie, trickle, flood or hang up: typed errors, and no long waits."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bflmec.errors import BFLMECError, EdgeBusyError, EdgeUnavailableError, PoolFullError, SessionError
from bflmec.storage.unixfs import cid_of
from bflmec.transport import edge_api
from bflmec.transport.edge_api import AsyncEdgeApi, EdgeApi
from bflmec.transport.problems import problem_of


def answer(body: bytes, status: str = "200 OK", *headers: str) -> list[bytes]:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return ["\r\n".join(lines).encode() + b"\r\n\r\n" + body]  # type: ignore[list-item]


@contextmanager
def server(pieces: list[bytes], pause: float = 0.0) -> Iterator[str]:
    """Answers every request with the same pieces, slowly if it is told to, then hangs up."""
    listening = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                try:
                    for piece in pieces:
                        if stopped.wait(pause):
                            break
                        connection.sendall(piece)
                except OSError:
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        stopped.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def errors(url: str, timeout: float = 2.0) -> list[BFLMECError]:
    """What the client for threads and that for asyncio raise; the same."""
    found = []
    with EdgeApi(url, timeout=timeout) as api, pytest.raises(BFLMECError) as sync_error:
        api.node()
    found.append(sync_error.value)

    async def ask() -> None:
        async with AsyncEdgeApi(url, timeout=timeout) as api:
            await api.node()

    with pytest.raises(BFLMECError) as async_error:
        asyncio.run(ask())
    found.append(async_error.value)
    assert type(found[0]) is type(found[1])
    return found


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"\x00\x01\x02"],
        answer(b"not json"),
        answer(b"{}"),
        answer(b"[" * 100_000),
        answer(b"x", "200 OK", "Content-Encoding: gzip"),
        [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"10000\r\n" + bytes(2**16) + b"\r\n"] * 64],
        answer(b"", "302 Found", "Location: http://127.0.0.1:1/"),
        answer(bytes(2**20), "500 Oops"),
    ],
    ids=["nothing", "noise", "text", "empty", "nested", "compressed", "cut off", "flood", "elsewhere", "long problem"],
)
def test_what_is_no_edge_node_is_unavailable(pieces: list[bytes]) -> None:
    with server(pieces) as url:
        assert all(type(error) is EdgeUnavailableError for error in errors(url))


def test_an_answer_that_trickles_in_ends_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_api, "SLOWEST_RATE", 1e9)
    pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", *[b"x"] * 10_000]
    with server(pieces, pause=0.05) as url:
        began = time.monotonic()
        with EdgeApi(url, timeout=0.3) as api, pytest.raises(EdgeUnavailableError, match="too long"):
            api.node()
        assert time.monotonic() - began < 10


def test_silence_ends_with_the_timeout() -> None:
    with server([b""] * 100, pause=0.1) as url:
        assert all(type(error) is EdgeUnavailableError for error in errors(url, timeout=0.2))


def test_nobody_there_is_unavailable() -> None:
    assert all(type(error) is EdgeUnavailableError for error in errors("http://127.0.0.1:1"))


@pytest.mark.parametrize("url", ["", "edge-1", "ftp://edge", "http://", "file:///etc/passwd"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(EdgeUnavailableError):
        EdgeApi(url)


def test_the_named_error_comes_with_its_advice() -> None:
    error = PoolFullError("full")
    error.retry_after = 5.0
    with server(answer(problem_of(error).encode(), "429 Too Many Requests")) as url:
        found = errors(url)
    assert [(type(one), str(one), one.retry_after) for one in found] == [(PoolFullError, "full", 5.0)] * 2


def test_a_busy_proxy_is_a_busy_edge_node() -> None:
    with server(answer(b"<html>", "503 Unavailable", "Retry-After: 9")) as url:
        assert [(type(one), one.retry_after) for one in errors(url)] == [(EdgeBusyError, 9.0)] * 2


def test_a_blob_is_believed_by_its_content_id_only() -> None:
    with server(answer(b"a global gradient")) as url, EdgeApi(url) as api:
        assert api.blob(cid_of(b"a global gradient")) == b"a global gradient"
        with pytest.raises(EdgeUnavailableError):
            api.blob(cid_of(b"another one"))
        with pytest.raises(EdgeUnavailableError, match="limit"):
            api.blob(cid_of(b"a global gradient"), limit=5)


def test_keys_that_are_not_registered_are_an_impostors() -> None:
    node = (
        b'{"edge_node":1,"account":"0x' + b"00" * 20 + b'","chain_id":1,"ledger":"0x' + b"00" * 20 + b'","scheme":"x",'
        b'"signature_key":"0x01","encapsulation_key":"0x02","head":0,"anchor":0,"blob_limit":1,"upload_limit":1,'
        b'"challenge":"0x' + b"00" * 32 + b'"}'
    )
    with server(answer(node)) as url, EdgeApi(url) as api, pytest.raises(SessionError, match="other keys"):
        api.node().recipient(bytes(32), bytes(32))
