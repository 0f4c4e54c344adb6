"""What peers announce or hand out, on its way into the cache pool."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from hashlib import sha256
from time import monotonic
from typing import Final

from bflmec.edge.core import Core
from bflmec.edge.news import News
from bflmec.edge.registry import CachedRegistry
from bflmec.edge.threads import in_thread
from bflmec.errors import BFLMECError, MessageError
from bflmec.protocol.messages import Announcement, Envelope, GradientHeader, decode

log = logging.getLogger(__name__)

AHEAD_SECONDS: Final = 3.0
MAX_AHEAD: Final = 32
"""So many wait for a block that this edge node has not read yet; more are refused at once."""


class Gossip:
    """Takes in local gradients from other edge nodes; `news` rings when there are new ones. `look` is called if a peer
    has read more of the ledger than this edge node."""

    def __init__(self, core: Core, registry: CachedRegistry, news: News, look: Callable[[], None]) -> None:
        self._core = core
        self._registry = registry
        self._news = news
        self._look = look
        self._ahead = 0
        self._lookups: dict[tuple[bytes, bytes], asyncio.Future[None]] = {}

    async def take(self, announcements: Sequence[Announcement], wanted: Collection[bytes] = ()) -> int:
        """Takes in what holds, and those with the digests `wanted` even where the pool is full for others. How many of
        them this edge node holds then."""
        for announcement in announcements:
            header = await self.know_client(announcement.envelope)
            if header is not None and header.anchor > self._core.node.state.number:
                self._look()
                await self.reach(header.anchor)
        held = await self._core.run(self._take, announcements, frozenset(wanted))
        self._news.tell()
        return held

    def _take(self, announcements: Sequence[Announcement], wanted: frozenset[bytes]) -> int:
        node, now, held = self._core.node, monotonic(), 0
        for announcement in announcements:
            try:
                node.supplied(announcement, wanted, now)
                held += 1
            except BFLMECError as error:
                log.info("a peer's local gradient was refused: %s", error)
        node.pool.flush()
        return held

    async def know_client(self, envelope: bytes) -> GradientHeader | None:
        """The header of a local gradient whose sender the ledger was asked about, unless it is known; None if there is
        none: whoever verifies it says why. Raises what `CachedRegistry.look_up` raises."""
        try:
            signed = decode(Envelope, envelope).signed
            header = GradientHeader.decode(signed.header)
        except MessageError:
            return None
        digest = sha256(signed.public_key).digest()
        if not self._registry.knows(header.client, digest):
            await self._look_up(header.client, digest)
        return header

    async def _look_up(self, client: bytes, key_digest: bytes) -> None:
        """Whoever asks about the same client meanwhile waits for the same answer."""
        question = client, key_digest
        if question not in self._lookups:
            lookup = asyncio.ensure_future(in_thread(self._registry.look_up, client, key_digest))
            self._lookups[question] = lookup
            lookup.add_done_callback(lambda _: self._lookups.pop(question))
        await asyncio.shield(self._lookups[question])

    async def reach(self, anchor: int) -> bool:
        """Whether this edge node has come to that block, after waiting a moment: others may be ahead of it. It only
        waits, as whoever names the block may be anybody."""
        end = monotonic() + AHEAD_SECONDS
        while self._core.node.state.number < anchor:
            if self._ahead >= MAX_AHEAD or monotonic() >= end:
                return False
            self._ahead += 1
            try:
                await self._news.after(self._news.count, max(end - monotonic(), 0.0))
            finally:
                self._ahead -= 1
        return True

    async def lacking(self, digests: Iterable[bytes]) -> list[bytes]:
        """Those that the cache pool does not hold."""
        pool, asked = self._core.node.pool, list(digests)
        return await self._core.run(lambda: [digest for digest in asked if pool.get(digest) is None])
