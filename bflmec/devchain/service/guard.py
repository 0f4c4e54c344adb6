"""Connections as a chain wants them: quick, and with deadlines, since uvicorn has none for a client that stalls."""

from __future__ import annotations

import asyncio
import socket
from asyncio import TimerHandle, Transport

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 10.0  # from the first byte, or from the connection, to the last byte of a request
RESPONSE_SECONDS = 60.0  # for a client to take what was written


class Deadline:
    """Aborts a connection unless it is stopped in time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer: TimerHandle | None = None

    def start(self, transport: Transport) -> None:
        """Nothing if it runs already."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, transport.abort)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 that cuts off clients that stall."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio forgets this on sockets from socket.create_server; without it an answer takes 40 ms.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request, self._response = Deadline(REQUEST_SECONDS), Deadline(RESPONSE_SECONDS)
        self._request.start(transport)

    def data_received(self, data: bytes) -> None:
        self._request.start(self.transport)
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):  # the request is here, whole
            self._request.stop()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._response.start(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._response.stop()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._response.start(self.transport)  # the end of a response may still wait for a client that reads nothing

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._request.stop()
        self._response.stop()
