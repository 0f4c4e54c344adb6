"""What this edge node answers to its peers. Who asks is authenticated; what they say is not believed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from bflmec.edge.core import Core
from bflmec.edge.gossip import Gossip
from bflmec.edge.outbox import BATCH_BYTES
from bflmec.edge.peers import Peers
from bflmec.edge.registry import CachedRegistry
from bflmec.edge.replica import Replica
from bflmec.errors import (
    BFLMECError,
    BlockRejectedError,
    EdgeBusyError,
    MessageError,
    MissingGradientsError,
    MissingHistoryError,
)
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.messages import Announcement, Approval, Proposal
from bflmec.transport.peer_messages import (
    MAX_BATCH,
    Announce,
    Announcements,
    Answer,
    Approved,
    Fetch,
    FetchHistory,
    Greeting,
    Hello,
    HistoryPart,
    Propose,
    Refusal,
    Request,
    Taken,
)

log = logging.getLogger(__name__)

BEHIND_SECONDS: Final = 10.0
"""How long a proposal may wait until this edge node has read the block before it from the ledger."""
_MAX_DETAIL: Final = 1000


class Answering:
    """`approved` is told of each block of another edge node that this one has approved; `catch_up` reads the ledger up
    to a block, or as far as it gets in the seconds given."""

    def __init__(
        self,
        replica: Replica,
        core: Core,
        registry: CachedRegistry,
        gossip: Gossip,
        peers: Peers,
        *,
        hello: Callable[[], Awaitable[Hello]],
        greeted: Callable[[int, Hello], None],
        approved: Callable[[int, SealedBlock], None],
        catch_up: Callable[[int, float], Awaitable[None]],
        complete: Callable[[], Awaitable[bool]],
    ) -> None:
        self._replica = replica
        self._core = core
        self._registry = registry
        self._gossip = gossip
        self._peers = peers
        self._hello = hello
        self._greeted = greeted
        self._approved = approved
        self._catch_up = catch_up
        self._complete = complete
        self._reviewing: set[int] = set()

    async def answer(self, peer: int, request: Request) -> Answer:
        """Errors of the peer's making become a Refusal."""
        try:
            return await self._answer(peer, request)
        except BFLMECError as error:
            missing = tuple(error.digests) if isinstance(error, MissingGradientsError) else ()
            return Refusal(type(error).__name__, str(error)[:_MAX_DETAIL], missing)

    async def _answer(self, peer: int, request: Request) -> Answer:
        match request:
            case Hello():
                self._greeted(peer, request)
                own = await self._hello()
                return Greeting(own.number, own.head, own.anchor, own.waiting)
            case Announce(announcements):
                return Taken(await self._gossip.take(announcements))
            case Fetch(digests):
                return await self._core.run(self._supply, digests)
            case FetchHistory(digest):
                part = await self._core.run(self._replica.part_of_history, digest)
                return HistoryPart(part or b"")
            case Propose(proposal):
                return Approved(await self._review_once(peer, proposal))
            case _:
                raise MessageError(f"{type(request).__name__} is no request")

    def _supply(self, digests: tuple[bytes, ...]) -> Announcements:
        batch: list[Announcement] = []
        size = 0
        for digest in digests:
            announcement = self._core.node.supply(digest)
            if announcement is None:
                continue
            size += len(announcement.envelope)
            if len(batch) == MAX_BATCH or (batch and size > BATCH_BYTES):
                break
            batch.append(announcement)
        return Announcements(tuple(batch))

    async def _review_once(self, peer: int, proposal: Proposal) -> Approval:
        """One review for a peer at a time: it can't make this edge node recompute more."""
        if peer in self._reviewing:
            raise EdgeBusyError("another block of this edge node is under review")
        self._reviewing.add(peer)
        try:
            return await self._review(peer, proposal.block())
        finally:
            self._reviewing.remove(peer)

    async def _review(self, peer: int, block: SealedBlock) -> Approval:
        if self._registry.edge_nodes().get(peer) != block.header.edge_node:
            raise BlockRejectedError("an edge node proposes its own blocks only")
        if block.header.number > self._core.node.state.number + 1:
            await self._catch_up(block.header.number - 1, BEHIND_SECONDS)
        await self._core.run(self._core.node.state.check, block)
        try:
            approval = await self._core.run(self._core.node.review, block)
        except MissingGradientsError as error:
            await self._fetch(error.digests, peer)
            approval = await self._core.run(self._core.node.review, block)
        except MissingHistoryError:
            await self._complete()
            approval = await self._core.run(self._core.node.review, block)
        self._approved(peer, block)
        return approval

    async def _fetch(self, digests: list[bytes], peer: int) -> None:
        announcements = await self._peers.fetch(digests, peer)
        await self._gossip.take(announcements, digests)
