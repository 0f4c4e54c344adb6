"""Connections with deadlines, which uvicorn has none of: who sends or takes too slowly is cut off."""

from __future__ import annotations

import asyncio
import socket
from asyncio import TimerHandle, Transport
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

GRACE_SECONDS: Final = 10.0
"""How long a request may take beyond what its size allows at the slowest rate."""
ANSWER_SECONDS: Final = 60.0
"""For a client to take what was written."""
CHECK_SECONDS: Final = 0.5


def guarded_protocol(slowest_rate: float) -> type[H11Protocol]:
    """HTTP/1.1 whose requests have to come at `slowest_rate` bytes a second at least."""

    class Guarded(_GuardedProtocol):
        rate = slowest_rate

    return Guarded


class _GuardedProtocol(H11Protocol):
    rate: float

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio forgets this on sockets from socket.create_server; without it an answer takes 40 ms.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request_began: float | None = self.loop.time()
        self._received = 0
        self._answer: TimerHandle | None = None
        self._check: TimerHandle = self.loop.call_later(CHECK_SECONDS, self._check_rate)

    def data_received(self, data: bytes) -> None:
        if self._request_began is None:
            self._request_began, self._received = self.loop.time(), 0
        self._received += len(data)
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):  # the request is here, whole
            self._request_began = None

    def _check_rate(self) -> None:
        if self._request_began is not None:
            elapsed = self.loop.time() - self._request_began
            # What lies here unread because the service is slow is not the client's fault.
            if not self.flow.read_paused and elapsed > GRACE_SECONDS + self._received / self.rate:
                self.transport.abort()
                return
        self._check = self.loop.call_later(CHECK_SECONDS, self._check_rate)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_answer_deadline()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_answer_deadline()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._start_answer_deadline()  # the end of an answer may still wait for a client that reads nothing

    def _start_answer_deadline(self) -> None:
        if self._answer is None:
            self._answer = asyncio.get_running_loop().call_later(ANSWER_SECONDS, self.transport.abort)

    def _stop_answer_deadline(self) -> None:
        if self._answer is not None:
            self._answer.cancel()
            self._answer = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._check.cancel()
        self._stop_answer_deadline()
