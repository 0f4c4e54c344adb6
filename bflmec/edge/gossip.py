"""What peers announce or hand out, on its way into the cache pool."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
from time import monotonic

from bflmec.edge.core import Core
from bflmec.edge.news import News
from bflmec.edge.registry import CachedRegistry
from bflmec.errors import BFLMECError, MessageError
from bflmec.protocol.messages import Announcement, Envelope, GradientHeader, decode

log = logging.getLogger(__name__)


class Gossip:
    """Takes in local gradients from other edge nodes; `news` rings when there are new ones."""

    def __init__(self, core: Core, registry: CachedRegistry, news: News) -> None:
        self._core = core
        self._registry = registry
        self._news = news

    async def take(self, announcements: Sequence[Announcement], wanted: Collection[bytes] = ()) -> int:
        """Takes in what holds, and those with the digests `wanted` even where the pool is full for others. How many of
        them this edge node holds then."""
        for announcement in announcements:
            await self.know_client(announcement.envelope)
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

    async def know_client(self, envelope: bytes) -> None:
        """Asks the ledger about the sender, if it is not known. Raises what `CachedRegistry.look_up` raises."""
        try:
            signed = decode(Envelope, envelope).signed
            client = GradientHeader.decode(signed.header).client
        except MessageError:
            return  # whoever verifies it says why
        digest = sha256(signed.public_key).digest()
        if not self._registry.knows(client, digest):
            await asyncio.to_thread(self._registry.look_up, client, digest)

    async def lacking(self, digests: Iterable[bytes]) -> list[bytes]:
        """Those that the cache pool does not hold."""
        pool, asked = self._core.node.pool, list(digests)
        return await self._core.run(lambda: [digest for digest in asked if pool.get(digest) is None])
