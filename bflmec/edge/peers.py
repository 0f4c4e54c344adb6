"""The other edge nodes: what is announced to them, fetched from them and proposed to them (Algorithm 3, lines 5-9, 13).

Each has a task of its own that passes announcements on in batches, compares what both hold after every interruption
and now and then, and waits longer each time it can't reach its peer. An unreachable peer costs nobody memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from bflmec.edge.link import Link, LinkIdentity
from bflmec.edge.outbox import Outbox
from bflmec.edge.registry import CachedRegistry
from bflmec.errors import BFLMECError, EdgeUnavailableError, MessageError
from bflmec.ledger.participants import EdgeNode
from bflmec.protocol.messages import Announcement, Envelope, GradientHeader, Proposal, decode
from bflmec.transport.peer_messages import (
    MAX_DIGESTS,
    Announce,
    Announcements,
    Answer,
    Fetch,
    FetchHistory,
    Greeting,
    Hello,
    HistoryPart,
    Propose,
    Refusal,
    Taken,
)

log = logging.getLogger(__name__)

COMPARE_SECONDS: Final = 15.0
FIRST_RETRY, LAST_RETRY = 0.25, 15.0

T = TypeVar("T", bound=Answer)


class Peer:
    """One other edge node, and whether it answered last time."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.outbox = Outbox()
        self.is_up = False
        self.wake = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Peers:
    """`hello` says where this edge node stands; `greeted` is told where a peer does."""

    def __init__(
        self,
        identity: LinkIdentity,
        registry: CachedRegistry,
        *,
        hello: Callable[[], Awaitable[Hello]],
        greeted: Callable[[int, Greeting], Awaitable[None]],
        review_timeout: float,
        verify: Any = True,
    ) -> None:
        self._identity = identity
        self._registry = registry
        self._hello = hello
        self._greeted = greeted
        self._review_timeout = review_timeout
        self._verify = verify
        self._peers: dict[int, Peer] = {}

    def up(self) -> list[int]:
        """Ids of the peers that answered last time."""
        return [id_ for id_, peer in self._peers.items() if peer.is_up]

    def __len__(self) -> int:
        return len(self._peers)

    # ---------------------------------------------------------------- who they are

    async def refresh(self) -> None:
        """Follows the registry: new edge nodes get a task, retired ones lose theirs, changed ones begin anew."""
        wanted = {id_: self._registry.edge_node(id_) for id_ in self._registry.edge_nodes()}
        wanted.pop(self._identity.edge_node, None)
        for id_, peer in list(self._peers.items()):
            if wanted.get(id_) != peer.link.peer:
                await self._end(self._peers.pop(id_))
        for id_, node in wanted.items():
            if id_ not in self._peers and node is not None:
                self._begin(node)

    def _begin(self, node: EdgeNode) -> None:
        try:
            peer = Peer(Link(self._identity, node, self._review_timeout, self._verify))
        except EdgeUnavailableError as error:
            log.warning("edge node %d has no usable endpoint: %s", node.id, error)
            return
        self._peers[node.id] = peer
        peer.task = asyncio.create_task(self._keep_up(peer), name=f"peer-{node.id}")

    @staticmethod
    async def _end(peer: Peer) -> None:
        if peer.task is not None:
            peer.task.cancel()
            with suppress(asyncio.CancelledError):
                await peer.task
        await peer.link.close()

    async def stop(self) -> None:
        for peer in self._peers.values():
            await self._end(peer)
        self._peers.clear()

    # ---------------------------------------------------------------- passing on what came in

    def announce(self, announcement: Announcement) -> None:
        for peer in self._peers.values():
            peer.outbox.put(announcement)
            peer.wake.set()

    def compare(self) -> None:
        """Lets every peer know where this edge node stands, as after a new block."""
        for peer in self._peers.values():
            peer.outbox.is_behind = True
            peer.wake.set()

    async def _keep_up(self, peer: Peer) -> None:
        retry = FIRST_RETRY
        while True:
            try:
                await self._pass_on(peer)
            except BFLMECError as error:
                (log.info if peer.is_up else log.debug)("edge node %d: %s", peer.link.peer.id, error)
                peer.is_up = False
                peer.outbox.drop()
                await asyncio.sleep(retry)
                retry = min(2 * retry, LAST_RETRY)
                continue
            peer.is_up, retry = True, FIRST_RETRY
            with suppress(TimeoutError):
                async with asyncio.timeout(COMPARE_SECONDS):
                    await peer.wake.wait()
                    continue
            peer.outbox.is_behind = True

    async def _pass_on(self, peer: Peer) -> None:
        peer.wake.clear()
        if peer.outbox.is_behind:
            peer.outbox.is_behind = False
            greeting = _expect(Greeting, await peer.link.ask(await self._hello()))
            await self._greeted(peer.link.peer.id, greeting)
        while batch := peer.outbox.take():
            answer = _expect(Taken, await peer.link.ask(Announce(batch)))
            if answer.held < len(batch):
                log.info("edge node %d refused %d of %d", peer.link.peer.id, len(batch) - answer.held, len(batch))

    # ---------------------------------------------------------------- asking

    async def fetch(self, digests: Iterable[bytes], first: int | None = None) -> list[Announcement]:
        """Those of the local gradients that some peer hands out, `first` being asked first. What comes is unchecked."""
        missing = dict.fromkeys(digests)
        found: list[Announcement] = []
        for peer in self._in_order(first):
            if not missing:
                break
            for announcement in await self._fetch_from(peer, list(missing)):
                digest = _gradient_digest(announcement)
                if digest in missing:
                    del missing[digest]
                    found.append(announcement)
        return found

    async def _fetch_from(self, peer: Peer, digests: Sequence[bytes]) -> list[Announcement]:
        """As many questions as it takes: an answer holds what fits one message."""
        found: list[Announcement] = []
        start = 0
        while start < len(digests):
            try:
                answer = await peer.link.ask(Fetch(tuple(digests[start : start + MAX_DIGESTS])))
                batch = _expect(Announcements, answer).announcements
            except BFLMECError as error:
                log.debug("edge node %d hands out nothing: %s", peer.link.peer.id, error)
                break
            if not batch:
                break
            found += batch
            last = _gradient_digest(batch[-1])
            start = digests.index(last, start) + 1 if last in digests[start:] else len(digests)
        return found

    async def history(self, digest: bytes) -> bytes | None:
        """A manifest or history entry, None if no peer hands it out. What comes is unchecked."""
        for peer in self._in_order(None):
            with suppress(BFLMECError):
                data = _expect(HistoryPart, await peer.link.ask(FetchHistory(digest))).data
                if data:
                    return data
        return None

    def _in_order(self, first: int | None) -> list[Peer]:
        return sorted(self._peers.values(), key=lambda peer: (peer.link.peer.id != first, not peer.is_up))

    # ---------------------------------------------------------------- proposing

    async def propose(self, proposal: Proposal) -> AsyncGenerator[tuple[int, Answer | BFLMECError], None]:
        """Each peer's answer to a sealed block, as it comes in."""
        asked = [asyncio.create_task(self._ask_review(peer, proposal)) for peer in self._peers.values()]
        try:
            for answered in asyncio.as_completed(asked):
                yield await answered
        finally:
            for task in asked:
                task.cancel()

    async def _ask_review(self, peer: Peer, proposal: Proposal) -> tuple[int, Answer | BFLMECError]:
        try:
            return peer.link.peer.id, await peer.link.ask(Propose(proposal), self._review_timeout)
        except BFLMECError as error:
            return peer.link.peer.id, error


def _expect(kind: type[T], answer: Answer) -> T:
    if isinstance(answer, kind):
        return answer
    if isinstance(answer, Refusal):
        raise EdgeUnavailableError(f"refused: {answer.kind}: {answer.detail}")
    raise EdgeUnavailableError(f"answered a question with {type(answer).__name__}")


def _gradient_digest(announcement: Announcement) -> bytes | None:
    try:
        return GradientHeader.decode(decode(Envelope, announcement.envelope).signed.header).digest
    except MessageError:
        return None
