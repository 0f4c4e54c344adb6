"""A bell that wakes whoever waits for something to change, and never rings unheard."""

from __future__ import annotations

import asyncio


class News:
    """Take `count` before looking at things, then wait for `after(count)`: what changed in between counts, too."""

    def __init__(self) -> None:
        self.count = 0
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Something has changed. Only from the event loop."""
        self.count += 1
        self._event.set()
        self._event = asyncio.Event()

    async def after(self, count: int, timeout: float | None = None) -> bool:
        """Waits for what came after `count`; false if nothing came within `timeout` seconds."""
        if self.count != count:
            return True
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        return True
