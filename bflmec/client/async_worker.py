"""A client at work in an asyncio program: samples come from an asynchronous iterator."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterable
from typing import Final

from bflmec.client.sources import QueueSource, Sample
from bflmec.client.wallet import Wallet
from bflmec.client.worker import ACCUMULATED, Report, Worker

_WAITING: Final = 64
"""Samples that wait between the event loop and the worker's thread."""
_FULL_SECONDS: Final = 0.01


class AsyncWorker:
    """As `Worker`; `report` is called in its threads."""

    def __init__(
        self,
        wallet: Wallet,
        *,
        updates: int | None = None,
        accumulated: int = ACCUMULATED,
        report: Report = lambda progress: None,
    ) -> None:
        self._worker = Worker(wallet, updates=updates, accumulated=accumulated, report=report)

    async def run(self, source: AsyncIterable[Sample]) -> None:
        """Works until the source or the number of updates ends and everything is sent. Cancelled, it ends as soon as
        what it does just now is done; nothing that was trained is lost. Raises as `Worker.run`."""
        samples: queue.Queue[Sample | None] = queue.Queue(_WAITING)
        working = asyncio.create_task(asyncio.to_thread(self._worker.run, QueueSource(samples)))
        feeding = asyncio.create_task(_feed(source, samples))
        try:
            await asyncio.wait({working, feeding}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done() and feeding.exception() is None:
                await asyncio.wait({working})
        finally:
            feeding.cancel()
            if not working.done():
                self._worker.stop()
                _end(samples)
            await asyncio.wait({working, feeding})
        if not feeding.cancelled():
            feeding.result()
        working.result()


async def _feed(source: AsyncIterable[Sample], samples: queue.Queue[Sample | None]) -> None:
    async for sample in source:
        await _put(samples, sample)
    await _put(samples, None)


async def _put(samples: queue.Queue[Sample | None], sample: Sample | None) -> None:
    while samples.full():
        await asyncio.sleep(_FULL_SECONDS)
    samples.put_nowait(sample)


def _end(samples: queue.Queue[Sample | None]) -> None:
    """Ends the source of a worker that was told to stop, whatever still waits."""
    while samples.full():
        samples.get_nowait()
    samples.put_nowait(None)
