"""The oracle of an edge node: it makes the next block and brings it to the ledger (Algorithm 3, lines 1, 10-24).

    due -> candidate -> nonce search -> seal -> proposal -> approvals -> append

Edge nodes race. A valid block of another one stops the search, and of several sealed ones only that with the smallest
hash goes to the ledger. Should it not get there in time, the search goes on, and that edge node's blocks stop nothing
any more until one of them is appended. Whose block the ledger takes has won; the others begin again on top of it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from time import monotonic
from typing import Final, NamedTuple, Protocol

from bflmec.edge.core import Core
from bflmec.edge.following import Following
from bflmec.edge.metrics import Metrics
from bflmec.edge.miner import Miner
from bflmec.edge.news import News
from bflmec.edge.peers import Peers
from bflmec.edge.registry import CachedRegistry
from bflmec.edge.threads import in_thread
from bflmec.errors import (
    BFLMECError,
    BlockRejectedError,
    ContradictionError,
    LedgerError,
    LedgerRevertedError,
    MissingGradientsError,
    MissingHistoryError,
)
from bflmec.protocol.block_assembler import Candidate
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.consensus import Ballot
from bflmec.protocol.messages import Proposal
from bflmec.transport.peer_messages import Answer, Approved, Refusal

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
PROPOSALS: Final = 5
"""How often a sealed block is proposed before another one is assembled."""
RACE_LOST: Final = frozenset({"LedgerNumberMismatch", "LedgerParentMismatch", ""})
"""What the ledger says to a block that comes second; nothing, if both were in one block of the host chain."""


class Appender(Protocol):
    """`bflmec.ledger.client.LedgerClient`."""

    def check_append(self, block: SealedBlock, certificate: bytes) -> None: ...

    def append(self, block: SealedBlock, certificate: bytes) -> object: ...


class _Rival(NamedTuple):
    """A valid block of another edge node on the present head."""

    hash: bytes
    peer: int
    parent: bytes


class Oracle:
    """`run` it in a task; tell it of other edge nodes' blocks. `patience` in seconds."""

    def __init__(
        self,
        core: Core,
        miner: Miner,
        peers: Peers,
        registry: CachedRegistry,
        ledger: Appender,
        following: Following,
        news: News,
        metrics: Metrics,
        patience: float,
    ) -> None:
        self._core = core
        self._miner = miner
        self._peers = peers
        self._registry = registry
        self._ledger = ledger
        self._following = following
        self._news = news
        self._metrics = metrics
        self._patience = patience
        self._rival: _Rival | None = None
        self._search: asyncio.Task[int] | None = None
        self._disappointing: set[int] = set()

    # ---------------------------------------------------------------- what it is told

    def rival_approved(self, peer: int, block: SealedBlock) -> None:
        """Another edge node has sealed a valid block; this one has approved it."""
        rival = _Rival(block.header.hash, peer, block.header.parent)
        if peer in self._disappointing or rival.parent != self._core.node.state.head:
            return
        if self._rival is None or rival.hash < self._rival.hash:
            self._rival = rival
        self._stop_search()

    def head_moved(self, block: SealedBlock) -> None:
        """The ledger has another newest block; it came from `block`'s edge node, unless that was taken back."""
        appended_by = {id_ for id_, account in self._registry.edge_nodes().items() if account == block.header.edge_node}
        self._disappointing -= appended_by
        self._rival = None
        self._stop_search()

    def _stop_search(self) -> None:
        if self._search is not None:
            self._search.cancel()

    # ---------------------------------------------------------------- the loop

    async def run(self) -> None:
        """Until it is cancelled, or the ledger contradicts this edge node."""
        while True:
            seen = self._news.count
            try:
                await self._turn(seen)
            except ContradictionError:
                return  # whoever follows the ledger has said so
            except (MissingGradientsError, MissingHistoryError):
                if not await self._following.complete():
                    await self._news.after(seen, RETRY_SECONDS)
            except BFLMECError as error:
                log.warning("no block: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _turn(self, seen: int) -> None:
        if self._following.is_late():
            await self._news.after(seen)
        elif self._rival is not None:
            await self._await_rival()
        else:
            began = monotonic()
            due, candidate = await self._core.run(self._due, began)
            if candidate is not None:
                await self._make_block(candidate, began)
            else:
                await self._news.after(seen, None if due is None else due - began)

    def _due(self, now: float) -> tuple[float | None, Candidate | None]:
        """When the next block is due, and the block if that is now."""
        due = self._core.node.due_at()
        return due, self._core.node.candidate() if due is not None and due <= now else None

    async def _await_rival(self) -> None:
        """The other edge node's turn; one that lets it pass loses it."""
        assert self._rival is not None
        rival = self._rival
        await self._await_head_after(rival.parent)
        if self._core.node.state.head == rival.parent:
            log.info("the block of edge node %d did not reach the ledger; going on without it", rival.peer)
            self._disappointing.add(rival.peer)
        self._rival = None

    async def _await_head_after(self, parent: bytes) -> None:
        end = monotonic() + self._patience
        while self._core.node.state.head == parent and monotonic() < end:
            seen = self._news.count
            self._following.look()
            if self._core.node.state.head == parent:
                await self._news.after(seen, end - monotonic())

    async def _make_block(self, candidate: Candidate, began: float) -> None:
        nonce = await self._find(candidate)
        if nonce is None or self._core.node.state.head != candidate.header.parent:
            return
        block, approval = await self._core.run(self._core.node.seal, candidate, nonce)
        self._metrics.sealed.inc()
        ballot = Ballot(block, self._registry, self._core.node.identity.certifier)
        ballot.add(approval)
        for _ in range(PROPOSALS):
            await self._collect(ballot)
            if ballot.is_complete or self._core.node.state.head != block.header.parent:
                break
            log.info("block %d has no majority yet", block.header.number)
            await asyncio.sleep(RETRY_SECONDS)
        if self._rival is not None and self._rival.hash < block.header.hash:
            return  # both could be appended, and the one that comes second would pay for nothing
        if ballot.is_complete and self._core.node.state.head == block.header.parent:
            await self._append(block, ballot.certificate())
            self._metrics.block_seconds.observe(monotonic() - began)

    async def _find(self, candidate: Candidate) -> int | None:
        """None if the search was stopped by another edge node's block."""
        difficulty = self._core.node.state.parameters.difficulty
        self._search = asyncio.create_task(self._miner.find(candidate.header.hash, difficulty))
        try:
            await asyncio.wait([self._search])
            return None if self._search.cancelled() else self._search.result()
        finally:
            self._search.cancel()
            self._search = None

    # ---------------------------------------------------------------- certificate and ledger

    async def _collect(self, ballot: Ballot) -> None:
        """Approvals until there are enough, or everybody has answered, or the head has moved."""
        if ballot.is_complete:
            return
        waiting = asyncio.create_task(self._ask_all(ballot)), asyncio.create_task(self._other_head(ballot.block))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _ask_all(self, ballot: Ballot) -> None:
        async with aclosing(self._peers.propose(Proposal.of(ballot.block))) as answers:
            async for peer, answer in answers:
                self._count(ballot, peer, answer)
                if ballot.is_complete:
                    return

    async def _other_head(self, block: SealedBlock) -> None:
        while self._core.node.state.head == block.header.parent:
            await self._news.after(self._news.count)

    def _count(self, ballot: Ballot, peer: int, answer: Answer | BFLMECError) -> None:
        if isinstance(answer, Approved):
            try:
                ballot.add(answer.approval)
            except BlockRejectedError as error:
                log.warning("edge node %d: %s", peer, error)
            return
        said = f"{answer.kind}: {answer.detail}" if isinstance(answer, Refusal) else str(answer)
        log.info("edge node %d does not approve block %d: %s", peer, ballot.block.header.number, said)
        self._metrics.refused.inc()

    async def _append(self, block: SealedBlock, certificate: bytes) -> None:
        try:
            await in_thread(self._ledger.check_append, block, certificate)  # a race lost costs no gas
            await in_thread(self._ledger.append, block, certificate)
        except LedgerRevertedError as error:
            if error.name not in RACE_LOST:
                log.warning("the ledger refuses block %d: %s", block.header.number, error)
            self._metrics.races_lost.inc()
        except LedgerError as error:
            log.warning("block %d may not have reached the ledger: %s", block.header.number, error)
        self._peers.compare()
        await self._await_head_after(block.header.parent)
