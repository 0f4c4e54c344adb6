"""A running edge node: the parts of `bflmec.edge.assembly`, and the tasks that keep them going."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from time import monotonic
from typing import Any, Final

from bflmec.crypto.schemes import signature_scheme
from bflmec.edge.answering import Answering
from bflmec.edge.assembly import Assembly
from bflmec.edge.core import Admitted, Core
from bflmec.edge.events import Events
from bflmec.edge.following import Following
from bflmec.edge.gossip import Gossip
from bflmec.edge.link import LinkIdentity
from bflmec.edge.metrics import Metrics
from bflmec.edge.miner import Miner
from bflmec.edge.news import News
from bflmec.edge.oracle import Oracle
from bflmec.edge.outbox import BATCH_BYTES
from bflmec.edge.peers import Peers
from bflmec.edge.recorded_index import RecordedIndex
from bflmec.edge.threads import in_thread
from bflmec.edge.uploads import Uploads
from bflmec.errors import BFLMECError, LedgerError
from bflmec.protocol.blocks import SealedBlock
from bflmec.transport.binding import Binding, Purpose
from bflmec.transport.peer_messages import MAX_DIGESTS, Greeting, Hello
from bflmec.transport.sessions import Responder

log = logging.getLogger(__name__)

REGISTRY_SECONDS: Final = 5.0
ETHER: Final = 10**18
MESSAGE_OVERHEAD: Final = 2**20
"""More than a message between edge nodes has beside its announcements."""
STUCK_SECONDS: Final = 120.0
"""How long one piece of work may keep the core before the edge node no longer counts as healthy."""


class EdgeService:
    """Between `start` and `stop` it does all that an edge node does, but listen: that is for `bflmec.edge.app`."""

    def __init__(self, parts: Assembly, verify: Any = True) -> None:
        self.parts = parts
        self.node = node = parts.replica.node
        self.metrics = Metrics()
        self.events = Events()
        self.news = News()
        self.ether: float | None = None
        self.core = Core(node, parts.settings.uploads_at_a_time)
        self.gossip = Gossip(self.core, parts.registry, self.news, lambda: self.following.look())
        self.index = RecordedIndex(node.state.pending)
        parameters, own = node.state.parameters, node.identity.id
        identity = LinkIdentity(own, parameters.chain_id, parameters.ledger, parts.keys.signature)
        self.peers = Peers(
            identity,
            parts.registry,
            hello=self.hello,
            greeted=self._greeted,
            review_timeout=parts.settings.review_timeout,
            verify=verify,
        )
        self.following = Following(
            parts.follower,
            parts.replica,
            parts.parts,
            self.core,
            self.peers,
            self.gossip,
            self.news,
            parts.poll_interval,
            appended=self._appended,
            removed=self._removed,
        )
        self._miner = Miner()
        self.oracle = Oracle(
            self.core,
            self._miner,
            self.peers,
            parts.registry,
            parts.ledger,
            self.following,
            self.news,
            self.metrics,
            parts.settings.patience,
        )
        self.answering = Answering(
            parts.replica,
            self.core,
            parts.registry,
            self.gossip,
            self.peers,
            hello=self.hello,
            greeted=self._compared,
            approved=self._approved,
            catch_up=self.following.reach,
            complete=self.following.complete,
        )
        self.uploads = Uploads(
            self.core,
            self.gossip,
            parts.keys.encapsulation,
            self._binding(Purpose.UPLOAD),
            self.metrics,
            blob_limit=parts.blob_limit,
            most=parts.settings.uploads_at_a_time,
            memory=parts.settings.upload_memory,
        )
        self.message_limit = max(BATCH_BYTES, self.uploads.limit) + MESSAGE_OVERHEAD
        self.responder = Responder(
            parts.keys.encapsulation,
            self._binding(Purpose.SESSION),
            parts.registry,
            signature_scheme(parts.keys.scheme),
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._background: set[asyncio.Task[None]] = set()

    def _binding(self, purpose: Purpose) -> Binding:
        parameters = self.node.state.parameters
        return Binding(parameters.chain_id, parameters.ledger, self.node.identity.id, purpose)

    # ---------------------------------------------------------------- life

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.core.start()
        await self.peers.refresh()
        for work in (self.following.run(), self.oracle.run(), self._follow_registry()):
            self._tasks.append(asyncio.create_task(work))

    def dismiss_listeners(self) -> None:
        """Ends all event streams; from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.events.end)

    async def stop(self) -> None:
        """Finishes what has begun, and writes everything to disk."""
        self.events.end()
        for task in [*self._tasks, *self._background]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._background, return_exceptions=True)
        await self.peers.stop()
        await self._miner.stop()
        await self.core.stop()
        self.parts.replica.close()

    async def _follow_registry(self) -> None:
        while True:
            try:
                if await in_thread(self.parts.registry.refresh):
                    await self.peers.refresh()
                    self.news.tell()
                self.ether = await in_thread(self.parts.balance) / ETHER
                self.metrics.ether.set(self.ether)
            except LedgerError as error:
                log.warning("the registry can't be read just now: %s", error)
            await asyncio.sleep(REGISTRY_SECONDS)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # ---------------------------------------------------------------- what happens

    def took(self, admitted: Admitted) -> None:
        """A client's local gradient is durable here: the others get it."""
        self.events.tell("receipt", gradient="0x" + admitted.digest.hex(), new=admitted.announcement is not None)
        if admitted.announcement is not None:
            self.peers.announce(admitted.announcement)
            self.news.tell()

    def rejected(self, error: BFLMECError) -> None:
        name = type(error).__name__
        self.metrics.rejected.labels(name).inc()
        self.events.tell("rejected", error=name)

    def _appended(self, block: SealedBlock) -> None:
        header = block.header
        self.index.add(block)
        self.oracle.head_moved(block)
        self.metrics.blocks.inc()
        log.info("block %d, %d local gradients%s", header.number, header.transaction_count, _update(block))
        self.events.tell("block", number=header.number, transactions=header.transaction_count)
        if header.is_global_update:
            self.events.tell("anchor", number=header.number, paid=len(block.rewards))

    def _removed(self, block: SealedBlock) -> None:
        self.index.remove(block)
        self.oracle.head_moved(block)
        self.metrics.removed.inc()
        log.warning("a reorganisation of the host chain took block %d away", block.header.number)
        self.events.tell("removed", number=block.header.number)

    def _approved(self, peer: int, block: SealedBlock) -> None:
        self.metrics.approved.inc()
        self.oracle.rival_approved(peer, block)

    # ---------------------------------------------------------------- comparing with peers

    async def hello(self) -> Hello:
        """Where this edge node stands."""
        return await self.core.run(self._hello)

    def _hello(self) -> Hello:
        state, waiting = self.node.state, []
        for item in self.node.pool:
            header = item.gradient.header
            if state.is_sequence_free(header.client, header.sequence):
                waiting.append(header.digest)
                if len(waiting) == MAX_DIGESTS:
                    break
        return Hello(state.number, state.head, state.anchor, tuple(waiting))

    async def _greeted(self, peer: int, greeting: Greeting) -> None:
        """A peer has answered: what it holds and this edge node lacks is fetched."""
        if greeting.number > self.node.state.number:
            self.following.look()
        lacking = await self.gossip.lacking(greeting.waiting)
        if lacking:
            await self.gossip.take(await self.peers.fetch(lacking, peer))

    def _compared(self, peer: int, hello: Hello) -> None:
        """A peer has asked; the same, without letting it wait."""
        self._spawn(self._quietly(peer, Greeting(hello.number, hello.head, hello.anchor, hello.waiting)))

    async def _quietly(self, peer: int, greeting: Greeting) -> None:
        try:
            await self._greeted(peer, greeting)
        except BFLMECError as error:
            log.info("what edge node %d holds could not be fetched: %s", peer, error)

    # ---------------------------------------------------------------- how it is

    def troubles(self) -> list[str]:
        """Why the edge node is not ready; empty if it is."""
        found = []
        if self.following.failure is not None:
            found.append(str(self.following.failure))
        if self.following.is_late():
            found.append("the ledger has not been read for a while")
        if self.node.identity.id not in self.parts.registry.edge_nodes():
            found.append("this edge node is not active in the registry")
        if self.is_stuck():
            found.append("the core has been busy for too long")
        return found

    def is_stuck(self) -> bool:
        since = self.core.busy_since
        return since is not None and monotonic() - since > STUCK_SECONDS

    def measure(self) -> None:
        """Brings the gauges up to date."""
        state, metrics = self.node.state, self.metrics
        metrics.head.set(state.number)
        metrics.anchor.set(state.anchor)
        metrics.waiting.set(len(self.node.pool))
        metrics.pool_bytes.set(self.node.pool.size)
        metrics.peers_up.set(len(self.peers.up()))
        metrics.ready.set(not self.troubles())


def _update(block: SealedBlock) -> str:
    return f", a global update that pays {len(block.rewards)}" if block.header.is_global_update else ""
