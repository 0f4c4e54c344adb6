"""Follows the ledger: every block that it appended moves the edge node on, every one that it lost moves it back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final, Protocol

from bflmec.edge.core import Core
from bflmec.edge.gossip import Gossip
from bflmec.edge.news import News
from bflmec.edge.parts import PrefetchedParts
from bflmec.edge.peers import Peers
from bflmec.edge.replica import Replica
from bflmec.edge.threads import in_thread
from bflmec.errors import BFLMECError, ContradictionError, EdgeStoreError, FinalityError, LedgerError, StorageError
from bflmec.ledger.follower import BlockAdded, Change
from bflmec.protocol.blocks import SealedBlock

log = logging.getLogger(__name__)

FIRST_RETRY, LAST_RETRY = 0.5, 15.0
COMPLETE_ROUNDS: Final = 4
LATE_SECONDS: Final = 60.0
"""Without having read the ledger for so long an edge node is not ready."""


class ChangeSource(Protocol):
    """`bflmec.ledger.follower.Follower`."""

    def poll(self) -> list[Change]: ...


class Following:
    """`appended` is told of every block that this edge node has moved on to, `removed` of every one it moved back from.

    `failure` is set if a person has to look: a contradiction, or a reorganisation below what was final.
    """

    def __init__(
        self,
        source: ChangeSource,
        replica: Replica,
        parts: PrefetchedParts,
        core: Core,
        peers: Peers,
        gossip: Gossip,
        news: News,
        poll_interval: float,
        *,
        appended: Callable[[SealedBlock], None],
        removed: Callable[[SealedBlock], None],
    ) -> None:
        self.failure: BFLMECError | None = None
        self.read_at: float | None = None
        self._source = source
        self._replica = replica
        self._parts = parts
        self._core = core
        self._peers = peers
        self._gossip = gossip
        self._news = news
        self._poll_interval = poll_interval
        self._appended = appended
        self._removed = removed
        self._wake = asyncio.Event()
        self._completing = asyncio.Lock()

    def look(self) -> None:
        """There may be a new block: looks at once instead of at the next interval."""
        self._wake.set()

    def is_late(self) -> bool:
        return self.read_at is None or monotonic() - self.read_at > LATE_SECONDS

    async def reach(self, number: int, timeout: float) -> None:
        """Returns when the edge node has come to that block, or after `timeout` seconds."""
        end = monotonic() + timeout
        while self._core.node.state.number < number and monotonic() < end:
            seen = self._news.count
            self.look()
            await self._news.after(seen, min(self._poll_interval, max(end - monotonic(), 0.0)))

    async def run(self) -> None:
        """Until it is cancelled, or something is wrong that needs a person."""
        retry = FIRST_RETRY
        while self.failure is None:
            self._wake.clear()
            try:
                changes = await in_thread(self._source.poll)
            except LedgerError as error:
                log.warning("the ledger can't be followed just now: %s", error)
                await self._pause(retry)
                retry = min(2 * retry, LAST_RETRY)
                continue
            retry = FIRST_RETRY
            await self._move(changes)
            was_late, self.read_at = self.is_late(), monotonic()
            if was_late:
                self._news.tell()
            if not changes:
                await self._complete_if_possible()
                await self._pause(self._poll_interval)
        log.critical("this edge node needs a person: %s", self.failure)
        self._news.tell()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _move(self, changes: Sequence[Change]) -> None:
        worth_fetching = _first_worth_fetching(changes)
        for index, change in enumerate(changes):
            retry = FIRST_RETRY
            while self.failure is None:
                try:
                    await self._apply(change, fetch=index >= worth_fetching)
                    break
                except (ContradictionError, FinalityError) as error:
                    self.failure = error
                except (StorageError, EdgeStoreError, LedgerError) as error:
                    log.warning("block %d waits: %s", change.recorded.block.header.number, error)
                    await asyncio.sleep(retry)
                    retry = min(2 * retry, LAST_RETRY)

    async def _apply(self, change: Change, *, fetch: bool) -> None:
        block = change.recorded.block
        if isinstance(change, BlockAdded):
            if fetch:
                await self._fetch(block)
            await self._core.run(self._replica.apply, change.recorded, monotonic())
            self._appended(block)
        else:
            await self._core.run(self._replica.undo, change.recorded)
            self._removed(block)
        self._news.tell()

    async def _fetch(self, block: SealedBlock) -> None:
        """What recomputing the block needs; without it the block is adopted, as its certificate allows."""
        node = self._core.node
        missing = await self._core.run(lambda: [*node.missing(block), *node.missing_pending()])
        await self._take_from_peers(missing)

    async def _take_from_peers(self, digests: Sequence[bytes]) -> None:
        if not digests:
            return
        try:
            await self._gossip.take(await self._peers.fetch(digests), digests)
        except BFLMECError as error:
            log.info("%d local gradients could not be fetched: %s", len(digests), error)

    async def _complete_if_possible(self) -> None:
        try:
            await self.complete()
        except EdgeStoreError as error:
            log.warning("what is missing can't be stored: %s", error)

    async def complete(self) -> bool:
        """Fetches what the next global update needs and this edge node lacks; whether it has all of it now."""
        async with self._completing:
            for _ in range(COMPLETE_ROUNDS):
                await self._take_from_peers(await self._core.run(self._core.node.missing_pending))
                if await self._core.run(self._replica.complete, monotonic()):
                    self._parts.clear()
                    return True
                if not await self._parts.fetch_wanted(self._peers):
                    break
            return False


def _first_worth_fetching(changes: Sequence[Change]) -> int:
    """Peers hold the local gradients of the newest global update and those after it: for blocks before the last but one
    global update there is nothing to be had."""
    updates = [index for index, change in enumerate(changes) if change.recorded.block.header.is_global_update]
    return updates[-2] if len(updates) > 1 else 0
