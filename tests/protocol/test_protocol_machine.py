"""Three edge nodes and four clients over a network that loses, duplicates, delays and reorders everything.

Whatever happens, no local gradient counts twice, states that saw the same blocks agree, and rewards sum exactly. Once
the network heals, each receipt has been kept: its local gradient is recorded, or gave way to one that the same client
signed under the same sequence.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import msgspec
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from protocol_world import BASE_REWARD, SPEC, ProtocolWorld, some_vector

from bflmec.errors import BlockRejectedError, GradientRejectedError, MissingGradientsError
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.client import Client, ClientRules
from bflmec.protocol.consensus import Ballot
from bflmec.protocol.edge_node import EdgeNode
from bflmec.protocol.ledger_state import LedgerState
from bflmec.protocol.messages import (
    GRADIENT_CONTEXT,
    MAX_BODY,
    Announcement,
    Approval,
    Body,
    Envelope,
    GradientHeader,
    Proposal,
    Receipt,
    decode,
    encode,
)
from bflmec.protocol.ports import Anchor
from bflmec.storage.cid import RAW, Cid

NODES = st.integers(0, 2)
CLIENTS = st.integers(0, 3)
AT_ONCE = st.integers(0, 5)
"""How many of the newest messages arrive at once; the others stay on their way."""


@dataclass(frozen=True)
class InFlight:
    """A message on its way to the edge node or client of that index."""

    to: int
    content: Announcement | Proposal | Approval | Receipt


class Ledger:
    """What the contract keeps, and what it reads out of block bodies for whoever wants to know."""

    def __init__(self, world: ProtocolWorld) -> None:
        self.state = LedgerState(world.parameters)
        self.blocks: list[SealedBlock] = []
        self.recorded: list[GradientHeader] = []
        self._blobs = world.blobs

    def append(self, block: SealedBlock) -> None:
        self.state.check(block)
        body = decode(Body, self._blobs.get(Cid(RAW, block.header.body_digest), MAX_BODY))
        headers = [GradientHeader.decode(entry.header) for entry in body.entries]
        self.state.apply(block, {header.digest: header for header in headers})
        self.blocks.append(block)
        self.recorded += headers

    def head_number(self) -> int:
        return self.state.number

    def latest_anchor(self) -> Anchor:
        return self.state.anchors[self.state.anchor]

    def anchor_at(self, number: int) -> Anchor | None:
        return self.state.anchors.get(number)


class UnreliableNetwork(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = ProtocolWorld(edge_nodes=3, clients=4, threshold=3, omission_limit=2, miner_reward=1)
        self.ledger = Ledger(self.world)
        self.clients = [
            Client(identity, ClientRules(data_threshold=1), SPEC, self.world.blobs) for identity in self.world.clients
        ]
        self.network: list[InFlight] = []
        self.ballots: dict[bytes, Ballot] = {}
        self.receipts: dict[bytes, GradientHeader] = {}
        self.trained = 0

    # ---------------------------------------------------------------- clients

    @rule(client=CLIENTS, looks=st.booleans())
    def train(self, client: int, looks: bool) -> None:
        learner = self.clients[client]
        if looks or learner.anchor is None:
            learner.jump(self.ledger)
        self.trained += 1
        start = learner.begin_update().start
        learner.finish_update((start + some_vector(client, self.trained)).astype(np.float32))

    @rule(client=CLIENTS, node=NODES, at_once=AT_ONCE)
    def upload(self, client: int, node: int, at_once: int) -> None:
        if not self.clients[client].pending:
            self.train(client, looks=True)
        self.take_in(client, node, self.clients[client].compose())
        self.deliver_newest(at_once)

    @rule(client=CLIENTS, node=NODES, at_once=AT_ONCE)
    def upload_under_another_signature(self, client: int, node: int, at_once: int) -> None:
        if not self.clients[client].pending:
            self.train(client, looks=False)
        upload = decode(Envelope, self.clients[client].compose())
        header = GradientHeader.decode(upload.signed.header)
        signature = self.world.clients[client].signer.sign(header.digest, GRADIENT_CONTEXT)
        signed = msgspec.structs.replace(upload.signed, signature=signature)
        self.take_in(client, node, encode(Envelope(signed, upload.blob)))
        self.deliver_newest(at_once)

    def take_in(self, client: int, node: int, envelope: bytes) -> None:
        header = GradientHeader.decode(decode(Envelope, envelope).signed.header)
        try:
            receipt, announcement = self.world.nodes[node].receive(envelope, 0.0)
        except GradientRejectedError:
            assert header.anchor not in self.world.nodes[node].state.anchors
            return
        if receipt.gradient == header.digest:
            self.receipts[header.digest] = header
        assert receipt.gradient in self.receipts
        self.network.append(InFlight(client, receipt))
        if announcement is not None:
            self.network += [InFlight(peer, announcement) for peer in range(3) if peer != node]

    # ---------------------------------------------------------------- edge nodes

    @rule(node=NODES, at_once=AT_ONCE)
    def mine(self, node: int, at_once: int) -> None:
        if self.world.nodes[node].due_at() is not None:
            proposal = self.seal(node)
            self.network += [InFlight(peer, proposal) for peer in range(3) if peer != node]
            self.deliver_newest(at_once)

    def seal(self, node: int) -> Proposal:
        miner = self.world.nodes[node]
        candidate = miner.candidate()
        block, approval = miner.seal(candidate, self.world.seal(candidate).nonce)
        ballot = self.ballots.setdefault(
            block.header.hash, Ballot(block, self.world.participants, miner.identity.certifier)
        )
        ballot.add(approval)
        return Proposal.of(block)

    def review(self, node: int, proposal: Proposal) -> Approval:
        reviewer, block = self.world.nodes[node], proposal.block()
        self.fetch(reviewer, block, [self.world.nodes[self.index_of(block.header.edge_node)]])
        return reviewer.review(block)

    def index_of(self, account: bytes) -> int:
        return [node.identity.account for node in self.world.nodes].index(account)

    def fetch(self, node: EdgeNode, block: SealedBlock, peers: list[EdgeNode]) -> None:
        for digest in node.missing(block):
            for supplied in filter(None, (peer.supply(digest) for peer in peers)):
                self.exchange(node, supplied)

    def exchange(self, node: EdgeNode, announcement: Announcement) -> None:
        header = GradientHeader.decode(decode(Envelope, announcement.envelope).signed.header)
        try:
            node.exchange(announcement, 0.0)
        except GradientRejectedError:
            assert header.anchor not in node.state.anchors

    def approve(self, approval: Approval) -> None:
        ballot = self.ballots[approval.block]
        ballot.add(approval)
        if ballot.is_complete and ballot.block.header.parent == self.ledger.state.head:
            if ballot.block.header.is_global_update:
                self.catch_up()
            self.ledger.append(ballot.block)
            self.record(self.index_of(ballot.block.header.edge_node))

    def catch_up(self) -> None:
        """Peers can make good for one global update: nobody falls further behind than that."""
        for node in range(3):
            while self.behind(node):
                self.record(node)

    def behind(self, node: int) -> bool:
        return self.world.nodes[node].state.number < len(self.ledger.blocks)

    @rule(node=NODES)
    def record(self, node: int) -> None:
        if self.behind(node):
            late = self.world.nodes[node]
            block = self.ledger.blocks[late.state.number]
            self.fetch(late, block, self.world.nodes)
            late.record(block)

    # ---------------------------------------------------------------- the network

    @precondition(lambda self: self.network)
    @rule(data=st.data(), copies=st.sampled_from([0, 0, 0, 1]))
    def deliver(self, data: st.DataObject, copies: int) -> None:
        index = data.draw(st.integers(0, len(self.network) - 1))
        message = self.network[index] if copies else self.network.pop(index)
        self.arrive(message)

    @precondition(lambda self: self.network)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        del self.network[data.draw(st.integers(0, len(self.network) - 1))]

    def deliver_newest(self, count: int) -> None:
        for _ in range(min(count, len(self.network))):
            self.arrive(self.network.pop())

    def arrive(self, message: InFlight) -> None:
        match message.content:
            case Announcement() as announcement:
                self.exchange(self.world.nodes[message.to], announcement)
            case Proposal() as proposal:
                try:
                    approval = self.review(message.to, proposal)
                except (BlockRejectedError, MissingGradientsError):
                    return
                self.network.append(InFlight(-1, approval))
            case Approval() as approval:
                self.approve(approval)
            case Receipt() as receipt:
                try:
                    self.clients[message.to].acknowledge(receipt)
                except GradientRejectedError:
                    return  # it is late: another one has covered the same updates

    # ---------------------------------------------------------------- what always holds

    @invariant()
    def nothing_counts_twice(self) -> None:
        taken = Counter((header.client, header.sequence) for header in self.ledger.recorded)
        assert max(taken.values(), default=1) == 1

    @invariant()
    def states_agree(self) -> None:
        reference = self.ledger.state
        for node in self.world.nodes:
            assert node.state.hashes == reference.hashes[: node.state.number + 1]
            assert node.state.number < reference.number or node.state == reference

    @invariant()
    def rewards_sum_exactly(self) -> None:
        state, blocks = self.ledger.state, self.ledger.blocks
        paying = sum(bool(block.rewards) for block in blocks)
        assert state.rewards_total == sum(state.balances.values()) == paying * BASE_REWARD + len(blocks)

    @invariant()
    def a_recorded_local_gradient_waits_in_every_pool_for_its_update(self) -> None:
        for node in self.world.nodes:
            assert all(node.pool.get(entry.gradient) is not None for entry in node.state.pending)

    # ---------------------------------------------------------------- once the network heals

    def teardown(self) -> None:
        self.network.clear()
        self.catch_up()
        for turn in range(60):
            if self.kept_all_receipts() and not any(client.pending for client in self.clients):
                break
            self.heal(turn)
        assert self.kept_all_receipts()
        assert self.world.nodes[0].state == self.world.nodes[1].state == self.world.nodes[2].state
        weights = {node.assembler.aggregator.weights.tobytes() for node in self.world.nodes}
        assert len(weights) == 1

    def heal(self, turn: int) -> None:
        """Everybody sends what is pending, and some more to complete an update; then somebody's block gets through."""
        for client in range(4):
            self.upload(client, (client + turn) % 3, 99)
        waiting = [node for node in range(3) if self.world.nodes[node].due_at() is not None]
        before = len(self.ledger.blocks)
        for node in waiting[turn % max(len(waiting), 1) :] + waiting[: turn % max(len(waiting), 1)]:
            self.mine(node, 99)
            self.deliver_newest(99)
            self.catch_up()
            if len(self.ledger.blocks) > before:
                return
        assert not waiting, "no edge node's block finds a majority"

    def kept_all_receipts(self) -> bool:
        recorded = {(header.client, header.sequence) for header in self.ledger.recorded}
        return all((header.client, header.sequence) in recorded for header in self.receipts.values())


TestUnreliableNetwork = UnreliableNetwork.TestCase
TestUnreliableNetwork.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
