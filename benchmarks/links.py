"""TCP links between processes that can be cut, healed and slowed down."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Self

CHUNK = 1 << 16


class Link:
    """What comes to `listen` on loopback goes to `target`. Cut, it closes what is open and takes in nothing."""

    def __init__(self, name: str, listen: int, target: int) -> None:
        self.name, self.listen, self.target = name, listen, target
        self.is_cut = False
        self.delay = 0.0
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self) -> None:
        await asyncio.start_server(self._connected, "127.0.0.1", self.listen)

    def cut(self) -> None:
        self.is_cut = True
        for writer in self._open:
            writer.transport.abort()

    def heal(self) -> None:
        self.is_cut, self.delay = False, 0.0

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        try:
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, onward_writer}
        self._open |= ends
        try:
            await asyncio.gather(self._copy(reader, onward_writer), self._copy(onward_reader, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
            writer.write_eof()


class Links:
    """A context manager: links by name, on an event loop of their own. Methods may be called from any thread."""

    def __init__(self, links: list[Link]) -> None:
        self._links = {link.name: link for link in links}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def names(self) -> list[str]:
        return list(self._links)

    def cut(self, name: str) -> None:
        self._loop.call_soon_threadsafe(self._links[name].cut)

    def slow_down(self, name: str, seconds: float) -> None:
        self._loop.call_soon_threadsafe(setattr, self._links[name], "delay", seconds)

    def heal(self, name: str) -> None:
        self._loop.call_soon_threadsafe(self._links[name].heal)

    def __enter__(self) -> Self:
        self._thread.start()
        for link in self._links.values():
            asyncio.run_coroutine_threadsafe(link.serve(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(_let_go(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _let_go() -> None:
    """Ends everything else on this loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
