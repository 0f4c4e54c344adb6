"""Server-sent events: what happens at an edge node, as it happens, for dashboards (HTML standard, section 9.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

from bflmec.errors import EdgeBusyError

MAX_LISTENERS: Final = 32
MAX_WAITING: Final = 256
"""Events that wait for one listener; who reads too slowly misses the older ones."""
KEEP_ALIVE_SECONDS: Final = 15.0


class Events:
    """Tells every listener; nobody waits for any of them."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self._number = 0
        self._is_over = False

    def tell(self, kind: str, **what: object) -> None:
        """An event: its kind (receipt, exchange, block, anchor, removed, rejected) and JSON."""
        self._number += 1
        if not self._listeners:
            return
        event = f"id: {self._number}\nevent: {kind}\ndata: {json.dumps(what)}\n\n".encode()
        for listener in self._listeners:
            if listener.full():
                listener.get_nowait()
            listener.put_nowait(event)

    def listen(self) -> AsyncIterator[bytes]:
        """What happens from now on, until the service ends. Raises EdgeBusyError if too many listen."""
        if len(self._listeners) >= MAX_LISTENERS or self._is_over:
            raise EdgeBusyError(f"{MAX_LISTENERS} listen already; ask /v1/status instead")
        return self._events()

    async def _events(self) -> AsyncIterator[bytes]:
        listener: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self._listeners.add(listener)
        try:
            yield b": listening\n\n"
            while True:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        event = await listener.get()
                except TimeoutError:
                    event = b": still here\n\n"
                if event is None:
                    return
                yield event
        finally:
            self._listeners.discard(listener)

    def end(self) -> None:
        """Sends every listener away."""
        self._is_over = True
        for listener in self._listeners:
            if listener.full():
                listener.get_nowait()
            listener.put_nowait(None)
