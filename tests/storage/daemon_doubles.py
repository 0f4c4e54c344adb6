"""Servers in the place of an IPFS daemon: one that answers whatever a test wants, one that guards a real daemon."""

from __future__ import annotations

import http.client
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from bflmec.storage import IpfsDaemon
from bflmec.storage.ipfs_address import DaemonAddress
from bflmec.storage.ipfs_api import HttpApi, Timeouts
from bflmec.storage.ipfs_authorization import Authorization
from bflmec.storage.ipfs_http_client import IpfsHttpClientApi


@dataclass
class Request:
    """What a server was asked."""

    command: str
    parameters: dict[str, str]
    headers: dict[str, str]
    path: str
    body: bytes


@dataclass
class Answer:
    """`length` announces more or less than `body` has; a body may be endless."""

    body: bytes | Iterable[bytes] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None


Behaviour = Callable[[Request], Answer]


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def server(behaviour: Behaviour, socket: Path | None = None) -> Iterator[str]:
    """The address of a server with that behaviour, on a free port of the loopback or on a unix socket."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            command = parts.path.rpartition("/api/v0/")[2]
            request = Request(command, dict(parse_qsl(parts.query)), dict(self.headers), self.path, self._body())
            answer = behaviour(request)
            with suppress(BrokenPipeError, ConnectionResetError):
                self._send(answer)
            self.close_connection = True

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = bytearray()
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return bytes(body)

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if isinstance(answer.body, bytes):
                self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
            self.send_header("Connection", "close")
            self.end_headers()
            for chunk in [answer.body] if isinstance(answer.body, bytes) else answer.body:
                self.wfile.write(chunk)
                self.wfile.flush()

        def address_string(self) -> str:
            return "somebody"

        def log_message(self, format: str, *args: object) -> None:
            pass

    listening: socketserver.BaseServer
    if socket is None:
        listening = tcp = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        address = f"http://127.0.0.1:{tcp.server_port}"
    else:
        listening, address = _UnixServer(str(socket), Handler), f"unix://{socket}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield address
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def guarding(daemon: str, header: str | None) -> Behaviour:
    """Passes on to a real daemon what carries that Authorization header, and refuses all else as Kubo does."""
    target = urlsplit(daemon)
    assert target.hostname is not None

    def behaviour(request: Request) -> Answer:
        if request.headers.get("Authorization") != header:
            return Answer(b"403 - Forbidden", 403)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
        kept = {name: value for name, value in request.headers.items() if name == "Content-Type"}
        connection.request("POST", request.path, request.body, kept)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return Answer(body, answer.status)

    return behaviour


CLIENTS = ("ipfs", "ipfs-http-client")


def daemon_at(
    client: str, address: str, timeouts: Timeouts | None = None, authorization: Authorization | None = None
) -> IpfsDaemon:
    """A daemon through one of the two clients."""
    where = DaemonAddress.parse(address)
    if client == "ipfs":
        return IpfsDaemon(HttpApi(where, authorization, timeouts))
    return IpfsDaemon(IpfsHttpClientApi.connect(where, authorization, timeouts))
