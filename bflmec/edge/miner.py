"""The nonce search of an edge node, in a process beside it (Eq. II.3; Algorithm 3, line 12)."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from typing import Final

log = logging.getLogger(__name__)

RESTART_SECONDS: Final = 1.0


class Miner:
    """One search at a time. The process starts with the first one and ends with `stop`, or when this one dies."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._searching = asyncio.Lock()

    async def find(self, digest: bytes, difficulty: int) -> int:
        """The nonce; cancel it to stop the search. A search process that dies is started again."""
        while True:
            try:
                async with self._searching:  # one that is cancelled may still be about to end
                    return await self._find(digest, difficulty)
            except (ConnectionError, EOFError):
                log.warning("the nonce search process has ended; it is started again")
                await self._end()
                await asyncio.sleep(RESTART_SECONDS)

    async def _find(self, digest: bytes, difficulty: int) -> int:
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{digest.hex()} {difficulty}\n".encode())
        await process.stdin.drain()
        try:
            while line := await process.stdout.readline():
                found, nonce = line.split()
                if found.decode() == digest.hex():  # an earlier search may have ended while it was cancelled
                    return int(nonce)
        except asyncio.CancelledError:
            with suppress(ConnectionError):
                process.stdin.write(b"stop\n")
            raise
        raise EOFError

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bflmec.edge.nonce_search",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def stop(self) -> None:
        await self._end()
