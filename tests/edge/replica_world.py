"""A ledger that grows, loses blocks and grows differently; peers that hold what honest edge nodes hold; replicas."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import msgspec
from dictionary_world import DictionaryParticipants, verify
from protocol_world import SPEC, ProtocolWorld, some_vector

from bflmec.edge.replica import Replica
from bflmec.errors import StorageError
from bflmec.ledger.events import RecordedBlock
from bflmec.ledger.follower import BlockAdded, BlockRemoved, Change
from bflmec.protocol.aggregator import Aggregator
from bflmec.protocol.block_assembler import BlockAssembler
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.cache_pool import CachePool
from bflmec.protocol.edge_node import EdgeNode
from bflmec.protocol.ledger_state import LedgerState
from bflmec.protocol.manifest import encode_manifest
from bflmec.protocol.messages import MAX_BODY, Announcement, Envelope, GradientHeader, Proposal, decode, encode
from bflmec.protocol.verification import GradientVerifier
from bflmec.storage.cid import RAW, Cid

OWNER = b"\x05" * 32
FINAL_AFTER = 3


class LedgerWorld:
    """The ledger's blocks, and a miner that was always there and forgets nothing."""

    def __init__(self, threshold: int = 3, clients: int = 4) -> None:
        self.world = ProtocolWorld(edge_nodes=3, clients=clients, threshold=threshold, miner_reward=1, history=5)
        self.chain: list[RecordedBlock] = []
        self.announcements: dict[bytes, Announcement] = {}
        self.sequences = [0] * clients
        self.forks = 0
        self.miner = self.always_there()

    @property
    def participants(self) -> DictionaryParticipants:
        return self.world.participants

    def always_there(self, id_: int = 1) -> EdgeNode:
        """An edge node that was there from the first block on, and has every local gradient."""
        node = self.world.edge_node(id_)
        waiting = list(self.announcements.items())
        for recorded in self.chain:
            wanted = {entry.gradient for entry in recorded.block.transactions}
            for digest in wanted:
                node.supplied(self.announcements[digest], wanted, 0.0)
            node.record(recorded.block)
        for digest, announcement in waiting:
            header = GradientHeader.decode(decode(Envelope, announcement.envelope).signed.header)
            if node.state.holds_anchor_of(header):
                node.supplied(announcement, {digest}, 0.0)
        return node

    # ---------------------------------------------------------------- growing and losing blocks

    def upload(self, client: int) -> Announcement:
        """A new local gradient of the client, from the newest anchor; the miner has it."""
        self.sequences[client] += 1
        state = self.miner.state
        envelope = self.world.envelope(
            client,
            self.sequences[client],
            some_vector(client, self.sequences[client]),
            anchor=state.anchors[state.anchor],
        )
        accepted = self.miner.accept(envelope, 0.0)
        announcement = Announcement(1, envelope)
        self.announcements[accepted.digest] = announcement
        return announcement

    def extend(self, most: int = 99) -> RecordedBlock:
        """One more block, of at most so many local gradients."""
        if self.miner.due_at() is None:
            self.upload(min(range(len(self.sequences)), key=lambda client: self.sequences[client]))
        chosen = self.miner.candidate().transactions[:most]
        account = self.participants.nodes[1 + self.forks % 3]
        block = self.world.seal(self.miner.assembler.assemble(chosen, account))
        self.miner.record(block)
        return self.append(block)

    def append(self, block: SealedBlock) -> RecordedBlock:
        number = block.header.number
        host = sha256(b"%d %d" % (number, self.forks)).digest()
        recorded = RecordedBlock(block, 10 * number + self.forks, host, bytes(32))
        self.chain.append(recorded)
        return recorded

    def lose(self, depth: int) -> None:
        """The host chain's reorganisation: the newest blocks are gone; the next ones come from another edge node."""
        del self.chain[len(self.chain) - depth :]
        self.forks += 1
        self.miner = self.always_there()


class Feed:
    """What a follower reports that starts after the block `start`."""

    def __init__(self, ledger: LedgerWorld, start: int) -> None:
        self._ledger = ledger
        self._known = ledger.chain[:start]

    def poll(self, most: int = 10**6) -> list[Change]:
        changes: list[Change] = []
        chain = self._ledger.chain
        while self._known != chain[: len(self._known)]:
            changes.append(BlockRemoved(self._known.pop()))
        for recorded in chain[len(self._known) :][:most]:
            self._known.append(recorded)
            changes.append(BlockAdded(recorded))
        return changes


class MinerAsPeer:
    """Answers for the miner, with what an edge node holds; silent while `is_silent`."""

    def __init__(self, ledger: LedgerWorld) -> None:
        self._ledger = ledger
        self.is_silent = False
        self.asked = 0

    def fetch(self, digests: Sequence[bytes]) -> list[Announcement]:
        self.asked += 1
        if self.is_silent:
            return []
        return [found for digest in digests if (found := self._ledger.miner.supply(digest)) is not None]

    def history(self, digest: bytes) -> bytes:
        self.asked += 1
        history = self._ledger.miner.assembler.aggregator.history
        manifest = encode_manifest(history)
        parts = {sha256(manifest).digest(): manifest, **{entry.digest: entry.encode() for entry in history}}
        if self.is_silent or digest not in parts:
            raise StorageError("no peer holds that part of the history")
        return parts[digest]


def open_replica(
    path: Path, ledger: LedgerWorld, peers: MinerAsPeer | None = None, final_after: int = FINAL_AFTER
) -> Replica:
    """Edge node 2 of the ledger."""
    world = ledger.world

    def create(pool: CachePool) -> EdgeNode:
        template = world.edge_node(2)
        state = LedgerState(world.parameters)
        return EdgeNode(
            template.identity,
            state=state,
            participants=world.participants,
            rules=world.rules,
            verifier=GradientVerifier(state, world.participants, world.rules, SPEC, verify),
            assembler=BlockAssembler(
                state, world.participants, pool, Aggregator(world.rules, world.initial), world.rules, SPEC
            ),
            pool=pool,
            blobs=world.blobs,
            record_after=10.0,
            final_after=final_after,
        )

    return Replica.open(
        path,
        create,
        owner=OWNER,
        parameters=world.parameters,
        spec=SPEC,
        blobs=world.blobs,
        peers=peers or MinerAsPeer(ledger),
        now=0.0,
    )


def follow(replica: Replica, feed: Feed, most: int = 10**6) -> None:
    """Everything that the feed reports."""
    for change in feed.poll(most):
        match change:
            case BlockAdded(recorded):
                replica.apply(recorded, 0.0)
            case BlockRemoved(recorded):
                replica.undo(recorded)


def feed_of(replica: Replica, ledger: LedgerWorld) -> Feed:
    """A follower that starts where the replica says."""
    checkpoint = replica.checkpoint
    if checkpoint is None:
        return Feed(ledger, 0)
    assert ledger.chain[checkpoint.number - 1].block.header.hash == checkpoint.hash
    return Feed(ledger, checkpoint.number)


def assert_same(node: EdgeNode, ledger: LedgerWorld) -> None:
    """The edge node stands where one stands that was always there: state, weights, history and next block."""
    model = ledger.always_there()
    assert node.state == model.state
    ours, theirs = node.assembler.aggregator, model.assembler.aggregator
    assert ours.weights.tobytes() == theirs.weights.tobytes()
    assert [entry.encode() for entry in ours.history] == [entry.encode() for entry in theirs.history]
    if model.due_at() is None:
        return
    chosen = model.candidate().transactions
    for entry in chosen:
        node.supplied(ledger.announcements[entry.gradient], {entry.gradient}, 0.0)
    account = ledger.participants.nodes[3]
    assert node.assembler.assemble(chosen, account).header == model.assembler.assemble(chosen, account).header


def live_through(ledger: LedgerWorld, replica: Replica, blocks: int) -> None:
    """An edge node that is there while the ledger grows."""
    feed = feed_of(replica, ledger)
    follow(replica, feed)
    for number in range(blocks):
        for client in range(4):
            replica.node.exchange(ledger.upload(client), 0.0)
        ledger.extend(1 + number % 4)
        follow(replica, feed)


def save(ledger: LedgerWorld, folder: Path) -> None:
    """Everything of a ledger that another process needs to see the very same one."""
    digests = [recorded.block.header for recorded in ledger.chain]
    cids = [Cid(RAW, header.body_digest) for header in digests]
    cids += [Cid(header.global_codec, header.global_digest) for header in digests if header.is_global_update]
    saved = {
        "blocks": [encode(Proposal.of(recorded.block)) for recorded in ledger.chain],
        "announcements": [encode(announcement) for announcement in ledger.announcements.values()],
        "blobs": [ledger.world.blobs.get(cid, MAX_BODY) for cid in cids],
    }
    (folder / "ledger").write_bytes(msgspec.msgpack.encode(saved))


def load(folder: Path) -> LedgerWorld:
    """The ledger that another process has saved."""
    saved = msgspec.msgpack.decode((folder / "ledger").read_bytes())
    ledger = LedgerWorld()
    for blob in saved["blobs"]:
        ledger.world.blobs.put(blob)
    for block in saved["blocks"]:
        ledger.append(decode(Proposal, block).block())
    for data in saved["announcements"]:
        announcement = decode(Announcement, data)
        header = GradientHeader.decode(decode(Envelope, announcement.envelope).signed.header)
        ledger.announcements[header.digest] = announcement
    ledger.miner = ledger.always_there()
    return ledger
