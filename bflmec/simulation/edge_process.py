"""An edge node in virtual time: drives `protocol.edge_node.EdgeNode` with messages and a nonce search."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import simpy

from bflmec.crypto.seal import NONCE_LIMIT, search
from bflmec.errors import BFLMECError, BlockRejectedError, LedgerError, MissingGradientsError
from bflmec.learning.global_update import GlobalUpdate
from bflmec.protocol.block_assembler import Candidate
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.consensus import Ballot
from bflmec.protocol.edge_node import EdgeNode
from bflmec.protocol.messages import Announcement, Approval, Proposal, Receipt
from bflmec.simulation.measurements import Latency

if TYPE_CHECKING:
    from bflmec.simulation.simulation import Simulation

Process = Generator[simpy.Event, Any, None]
log = logging.getLogger(__name__)


class EdgeProcess:
    """Takes in, exchanges, mines and reviews; `node` decides, this object carries."""

    def __init__(self, simulation: Simulation, index: int, node: EdgeNode) -> None:
        self.node = node
        self._index = index
        self.sealed = 0
        self.rejected: list[str] = []
        self._searches = 0
        self._sim = simulation
        self._news = simulation.env.event()
        self._stop = simulation.env.event()
        self._ballot: Ballot | None = None

    def start(self) -> None:
        self._sim.env.process(self._mine())

    @property
    def _peers(self) -> list[EdgeProcess]:
        return [other for other in self._sim.edge_nodes if other is not self]

    def _announce_news(self) -> None:
        self._news.succeed()
        self._news = self._sim.env.event()

    # ---------------------------------------------------------------- Algorithm 3, lines 2-9

    def take_in(self, envelope: bytes) -> Receipt:
        """A client's upload; raises what the edge node raises."""
        receipt, announcement = self.node.receive(envelope, self._sim.env.now)
        if announcement is not None:
            for peer in self._peers:
                self._sim.env.process(peer._exchange(announcement))
            self._announce_news()
        return receipt

    def _exchange(self, announcement: Announcement) -> Process:
        duration = self._sim.world.exchange_latency + self._sim.world.verify_time
        yield self._sim.env.timeout(duration)
        self._sim.measurements.took(Latency.EXCHANGE, duration)
        try:
            self.node.exchange(announcement, self._sim.env.now)
        except BFLMECError as error:
            self._reject(error)
        else:
            self._announce_news()

    # ---------------------------------------------------------------- lines 1, 10-13, 19-24

    def _mine(self) -> Process:
        env = self._sim.env
        while True:
            due = self.node.due_at()
            if due is None:
                yield self._news
            elif due > env.now:
                yield self._news | env.timeout(due - env.now)
            else:
                yield from self._make_block()

    def _make_block(self) -> Process:
        env = self._sim.env
        head = self.node.state.head
        self._stop = env.event()
        candidate = self.node.candidate()
        if candidate.update is not None:
            yield env.timeout(self._sim.world.recompute_time)
            self._sim.measurements.took(Latency.GLOBAL, self._sim.world.recompute_time)
        began = env.now
        nonce = yield from self._search(candidate)
        if self.node.state.head != head:
            return
        if nonce is None:
            yield from self._await_other_block(head)
            return
        self._sim.measurements.took(Latency.BLOCK, env.now - began)
        yield from self._propose(candidate, nonce)

    def _search(self, candidate: Candidate) -> Generator[simpy.Event, Any, int | None]:
        """Eq. II.3; None once another edge node's valid block has arrived.

        The nonce is a real one, its time is the world's: how many hashes it takes depends on signatures, which are
        random, and the same seed has to give the same run.
        """
        if self._stop.triggered:
            return None
        difficulty = self.node.state.parameters.difficulty
        effort = self._sim.trace.effort(self._index, self._searches)
        self._searches += 1
        found = self._sim.env.timeout(effort * difficulty / self._sim.world.hash_rate)
        yield found | self._stop
        return search(candidate.header.hash, difficulty, 0, NONCE_LIMIT) if found.processed else None

    def _await_other_block(self, head: bytes) -> Process:
        """After stopping for another's block; goes on by itself should that one never reach the ledger."""
        env = self._sim.env
        patience = env.timeout(10 * (self._sim.world.append_time + self._sim.world.exchange_latency) + 1)
        while self.node.state.head == head and not patience.processed:
            yield self._news | patience

    def _propose(self, candidate: Candidate, nonce: int) -> Process:
        env = self._sim.env
        block, approval = self.node.seal(candidate, nonce)
        self.sealed += 1
        self._ballot = ballot = Ballot(block, self._sim.participants, self.node.identity.certifier)
        ballot.add(approval)
        for peer in self._peers:
            env.process(peer._review(Proposal.of(block), self))
        patience = env.timeout(10 * (self._sim.world.recompute_time + 2 * self._sim.world.exchange_latency) + 1)
        while not ballot.is_complete and self.node.state.head == block.header.parent and not patience.processed:
            yield self._news | patience
        if ballot.is_complete and self.node.state.head == block.header.parent:
            yield env.timeout(self._sim.world.append_time)
            self._append(block, ballot)

    def _append(self, block: SealedBlock, ballot: Ballot) -> None:
        if self.node.state.head != block.header.parent:
            return  # the other block of a race was appended first; the local gradients stay in the pool
        try:
            gas = self._sim.gateway.append(block, ballot.certificate(), self._sim.env.now)
        except LedgerError as error:
            self._reject(error)
            raise
        self._sim.block_appended(block, gas)

    # ---------------------------------------------------------------- lines 14-18

    def _review(self, proposal: Proposal, miner: EdgeProcess) -> Process:
        env, world = self._sim.env, self._sim.world
        yield env.timeout(world.exchange_latency)
        block = proposal.block()
        missing = self.node.missing(block)
        if missing:
            yield env.timeout(2 * world.exchange_latency)
            self._fetch(missing, miner)
        if block.header.is_global_update:
            yield env.timeout(world.recompute_time)
        try:
            approval = self.node.review(block)
        except (BlockRejectedError, MissingGradientsError) as error:
            self._reject(error)
            return
        if not self._stop.triggered:
            self._stop.succeed()
        yield env.timeout(world.exchange_latency)
        miner.take_approval(approval)

    def _fetch(self, digests: list[bytes], miner: EdgeProcess) -> None:
        for digest in digests:
            announcement = miner.node.supply(digest)
            if announcement is not None:
                self.node.supplied(announcement, digests, self._sim.env.now)

    def take_approval(self, approval: Approval) -> None:
        """Another edge node's approval; one for a block that is no longer in the race is ignored."""
        if self._ballot is None or approval.block != self._ballot.block.header.hash:
            return
        try:
            self._ballot.add(approval)
        except BlockRejectedError as error:
            self._reject(error)
        self._announce_news()

    def record(self, block: SealedBlock) -> GlobalUpdate | None:
        """The ledger appended a block: fetches what is missing and moves on; the global update that it carried."""
        try:
            update = self.node.record(block)
        except MissingGradientsError as error:
            for peer in self._peers:
                self._fetch(error.digests, peer)
            update = self.node.record(block)
        if not self._stop.triggered:
            self._stop.succeed()
        self._announce_news()
        return update

    def _reject(self, error: BFLMECError) -> None:
        log.debug("edge node %d: %s", self.node.identity.id, error)
        self.rejected.append(str(error))
