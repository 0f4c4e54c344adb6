"""A new, a repaired and a long-absent edge node come to stand where one stands that was always there, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from replica_world import FINAL_AFTER, LedgerWorld, MinerAsPeer, assert_same, feed_of, follow, open_replica

from bflmec.edge.replica import Replica
from bflmec.errors import MissingHistoryError, StorageError
from bflmec.protocol.messages import Announcement
from bflmec.storage.cid import RAW, Cid


@pytest.fixture
def ledger() -> LedgerWorld:
    return LedgerWorld()


@pytest.fixture
def peers(ledger: LedgerWorld) -> MinerAsPeer:
    return MinerAsPeer(ledger)


@pytest.fixture
def replica(tmp_path: Path, ledger: LedgerWorld, peers: MinerAsPeer) -> Iterator[Replica]:
    opened = open_replica(tmp_path / "edge.sqlite", ledger, peers)
    yield opened
    opened.close()


def grow(ledger: LedgerWorld, blocks: int) -> None:
    for number in range(blocks):
        for client in range(4):
            ledger.upload(client)
        ledger.extend(1 + number % 3)


@pytest.mark.parametrize("blocks", [1, 3, 12, 30])
def test_a_new_edge_node_catches_up_from_the_first_block(ledger: LedgerWorld, replica: Replica, blocks: int) -> None:
    grow(ledger, blocks)
    follow(replica, feed_of(replica, ledger))
    assert replica.complete(0.0)
    assert_same(replica.node, ledger)


def test_catching_up_asks_peers_for_the_newest_only(ledger: LedgerWorld, replica: Replica, peers: MinerAsPeer) -> None:
    grow(ledger, 40)
    follow(replica, feed_of(replica, ledger))
    assert peers.asked <= 2
    replica.complete(0.0)
    assert peers.asked <= 2 + 1 + 5 + 1  # a manifest, five entries, local gradients


def test_an_edge_node_that_was_always_there_asks_nobody(
    ledger: LedgerWorld, replica: Replica, peers: MinerAsPeer
) -> None:
    feed = feed_of(replica, ledger)
    for number in range(10):
        for client in range(4):
            replica.node.exchange(ledger.upload(client), 0.0)
        ledger.extend(1 + number % 4)
        follow(replica, feed)
    assert peers.asked == 0
    assert_same(replica.node, ledger)


def test_without_its_history_an_edge_node_follows_and_certifies_no_global_update(
    ledger: LedgerWorld, replica: Replica, peers: MinerAsPeer
) -> None:
    grow(ledger, 20)
    peers.is_silent = True
    follow(replica, feed_of(replica, ledger))
    assert not replica.complete(0.0)
    assert "no peer holds" in replica.lacks
    assert replica.node.state == ledger.miner.state
    with pytest.raises(MissingHistoryError):
        _ = replica.node.assembler.aggregator.weights
    peers.is_silent = False
    assert replica.complete(0.0)
    assert replica.lacks == ""
    assert_same(replica.node, ledger)


def test_blocks_go_on_to_come_while_the_history_is_missing(
    ledger: LedgerWorld, replica: Replica, peers: MinerAsPeer
) -> None:
    feed = feed_of(replica, ledger)
    peers.is_silent = True
    for _ in range(4):
        grow(ledger, 5)
        follow(replica, feed)
        replica.complete(0.0)
    peers.is_silent = False
    assert replica.complete(0.0)
    assert_same(replica.node, ledger)


def test_a_block_whose_body_is_withheld_waits_until_it_is_there(
    ledger: LedgerWorld, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(ledger, 6)
    withheld = Cid(RAW, ledger.chain[3].block.header.body_digest)
    read = ledger.world.blobs.get

    def get(cid: Cid, limit: int) -> bytes:
        if cid == withheld:
            raise StorageError("nobody has it")
        return read(cid, limit)

    feed = feed_of(replica, ledger)
    changes = feed.poll()
    with monkeypatch.context() as patch:
        patch.setattr(ledger.world.blobs, "get", get)
        for change in changes[:3]:
            replica.apply(change.recorded, 0.0)
        for _ in range(2):
            with pytest.raises(StorageError, match="nobody has it"):
                replica.apply(changes[3].recorded, 0.0)
        assert replica.node.state.number == 3
    for change in changes[3:]:
        replica.apply(change.recorded, 0.0)
    assert replica.complete(0.0)
    assert_same(replica.node, ledger)


def test_a_lying_peer_brings_nothing_in(ledger: LedgerWorld, replica: Replica, peers: MinerAsPeer) -> None:
    grow(ledger, 20)
    follow(replica, feed_of(replica, ledger))
    honest = peers.history
    peers.history = lambda digest: honest(digest)[:-1] + b"\x00"  # type: ignore[method-assign]  # the lie
    assert not replica.complete(0.0)
    assert "something else" in replica.lacks
    del peers.history
    assert replica.complete(0.0)
    assert_same(replica.node, ledger)


def test_what_was_recorded_while_away_can_be_passed_on(ledger: LedgerWorld, replica: Replica) -> None:
    grow(ledger, 9)
    follow(replica, feed_of(replica, ledger))
    replica.complete(0.0)
    standing = replica.node.assembler.aggregator.standing
    assert replica.part_of_history(standing.history_digest) is not None
    assert all(
        replica.part_of_history(entry.digest) == entry.encode() for entry in replica.node.assembler.aggregator.history
    )
    assert replica.part_of_history(bytes(32)) is None
    assert all(replica.node.supply(entry.gradient) is not None for entry in replica.node.state.pending)


def test_the_checkpoint_is_the_last_final_block(ledger: LedgerWorld, replica: Replica) -> None:
    assert replica.checkpoint is None
    grow(ledger, 10)
    follow(replica, feed_of(replica, ledger))
    assert replica.checkpoint is not None
    final = ledger.chain[9 - FINAL_AFTER]
    assert (replica.checkpoint.number, replica.checkpoint.host_hash) == (10 - FINAL_AFTER, final.host_hash)


class ReplicaAsPeer(MinerAsPeer):
    """Answers with what another edge node's file holds."""

    def __init__(self, ledger: LedgerWorld, replica: Replica) -> None:
        super().__init__(ledger)
        self._replica = replica

    def fetch(self, digests: Sequence[bytes]) -> list[Announcement]:
        return [found for digest in digests if (found := self._replica.node.supply(digest)) is not None]

    def history(self, digest: bytes) -> bytes:
        part = self._replica.part_of_history(digest)
        if part is None:
            raise StorageError("not here")
        return part


def test_an_edge_node_that_just_restarted_is_all_that_a_new_one_needs(ledger: LedgerWorld, tmp_path: Path) -> None:
    first = open_replica(tmp_path / "first.sqlite", ledger)
    feed = feed_of(first, ledger)
    for number in range(15):
        for client in range(4):
            first.node.exchange(ledger.upload(client), 0.0)
        ledger.extend(1 + number % 4)
        follow(first, feed)
    first.close()
    first = open_replica(tmp_path / "first.sqlite", ledger)
    follow(first, feed_of(first, ledger))
    second = open_replica(tmp_path / "second.sqlite", ledger, ReplicaAsPeer(ledger, first))
    follow(second, feed_of(second, ledger))
    assert second.complete(0.0)
    assert_same(second.node, ledger)
    first.close()
    second.close()
