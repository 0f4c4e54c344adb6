"""The one thread that touches the edge node's state; everything else asks it.

Uploads are taken in batches: all that wait are verified and added, written to disk with one sync, and only then are
their receipts signed. Other work runs in between, in the order in which it was asked for.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, NamedTuple, TypeVar

from bflmec.errors import BFLMECError, EdgeBusyError
from bflmec.protocol.edge_node import Accepted, EdgeNode
from bflmec.protocol.messages import Announcement, encode

MAX_BATCH: Final = 64

T = TypeVar("T")


class Admitted(NamedTuple):
    """What an upload leads to: the encoded receipt, and the announcement if the local gradient is new."""

    digest: bytes
    receipt: bytes
    announcement: Announcement | None


@dataclass
class _Job:
    """Something to do, and the future that waits for it."""

    work: Callable[[], Any]
    future: asyncio.Future[Any]


@dataclass
class _Upload:
    envelope: bytes
    future: asyncio.Future[Admitted]


class Core:
    """Runs the edge node in a thread of its own, between `start` and `stop`. Call everything else from the event loop.

    `most_uploads` is how many may wait; more are refused.
    """

    def __init__(self, node: EdgeNode, most_uploads: int) -> None:
        self.node = node
        self._most_uploads = most_uploads
        self._jobs: queue.SimpleQueue[_Job | _Upload | None] = queue.SimpleQueue()
        self._ahead: list[_Job | None] = []
        self._uploads = 0
        self._thread = threading.Thread(target=self._run, name="edge-core", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self.busy_since: float | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Finishes what was asked for until now, and refuses the rest."""
        self._stopping = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """What `work` returns or raises, called in the core's thread."""
        if self._stopping:
            raise EdgeBusyError("the edge node is shutting down")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put(_Job(lambda: work(*arguments), future))
        return await future

    async def admit(self, envelope: bytes) -> Admitted:
        """A client's upload, durable and with its receipt. Raises what `EdgeNode.accept` and `CachePool.flush` raise,
        and EdgeBusyError if too many wait."""
        if self._stopping or self._uploads >= self._most_uploads:
            error = EdgeBusyError("too many uploads wait; try again")
            error.retry_after = 1.0
            raise error
        future: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()
        self._uploads += 1
        try:
            self._jobs.put(_Upload(envelope, future))
            return await future
        finally:
            self._uploads -= 1

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self.busy_since = monotonic()
            if isinstance(job, _Job):
                self._do(job)
            else:
                self._take_in(self._batch(job))
            self.busy_since = None

    def _next(self) -> _Job | _Upload | None:
        return self._ahead.pop() if self._ahead else self._jobs.get()

    def _batch(self, first: _Upload) -> list[_Upload]:
        """All uploads that wait before the next other job."""
        batch = [first]
        while len(batch) < MAX_BATCH:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if not isinstance(job, _Upload):
                self._ahead.append(job)
                break
            batch.append(job)
        return batch

    def _do(self, job: _Job) -> None:
        try:
            outcome = job.work()
        except Exception as error:
            outcome = error
        self._answer([(job.future, outcome)])

    def _take_in(self, batch: list[_Upload]) -> None:
        outcomes = self._admitted([upload.envelope for upload in batch])
        self._answer(list(zip((upload.future for upload in batch), outcomes, strict=True)))

    def _answer(self, outcomes: list[tuple[asyncio.Future[Any], Any]]) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            self._loop.call_soon_threadsafe(_resolve, outcomes)

    def _admitted(self, envelopes: list[bytes]) -> list[Admitted | Exception]:
        now = monotonic()
        accepted = [_attempt(self.node.accept, envelope, now) for envelope in envelopes]
        try:
            self.node.pool.flush()
        except BFLMECError as error:
            return [outcome if isinstance(outcome, Exception) else error for outcome in accepted]
        return [outcome if isinstance(outcome, Exception) else _attempt(self._receipt, outcome) for outcome in accepted]

    def _receipt(self, accepted: Accepted) -> Admitted:
        return Admitted(accepted.digest, encode(self.node.receipt(accepted.digest)), accepted.announcement)


def _attempt(work: Callable[..., T], *arguments: Any) -> T | Exception:
    try:
        return work(*arguments)
    except Exception as error:
        return error


def _resolve(outcomes: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, outcome in outcomes:
        if future.done():  # nobody waits any more
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
