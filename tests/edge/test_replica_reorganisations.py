"""A host reorganisation takes blocks away: state, anchor, weights and history go back, local gradients wait again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from replica_world import FINAL_AFTER, LedgerWorld, MinerAsPeer, assert_same, feed_of, follow, open_replica

from bflmec.edge.replica import Replica
from bflmec.errors import FinalityError
from bflmec.protocol.messages import Announcement


@pytest.fixture
def ledger() -> LedgerWorld:
    return LedgerWorld()


@pytest.fixture
def replica(tmp_path: Path, ledger: LedgerWorld) -> Iterator[Replica]:
    opened = open_replica(tmp_path / "edge.sqlite", ledger)
    yield opened
    opened.close()


def upload_everywhere(ledger: LedgerWorld, replica: Replica, client: int) -> Announcement:
    announcement = ledger.upload(client)
    replica.node.exchange(announcement, 0.0)
    return announcement


def grow_together(ledger: LedgerWorld, replica: Replica, blocks: int) -> None:
    for number in range(blocks):
        for client in range(4):
            upload_everywhere(ledger, replica, client)
        replica.apply(ledger.extend(1 + number % 4), 0.0)


@pytest.mark.parametrize("depth", range(1, FINAL_AFTER + 1))
def test_lost_blocks_are_taken_back(ledger: LedgerWorld, replica: Replica, depth: int) -> None:
    grow_together(ledger, replica, 8)
    lost = ledger.chain[-depth:]
    ledger.lose(depth)
    for recorded in reversed(lost):
        replica.undo(recorded)
    assert_same(replica.node, ledger)


def test_local_gradients_of_a_lost_global_update_wait_again(ledger: LedgerWorld, replica: Replica) -> None:
    grow_together(ledger, replica, 4)
    while not ledger.chain[-1].block.header.is_global_update:
        grow_together(ledger, replica, 1)
    lost = ledger.chain[-1]
    anchor = replica.node.state.anchor
    replica.undo(lost)
    assert replica.node.state.anchor < anchor
    assert replica.node.due_at() == 0.0
    refiled = {entry.gradient for entry in replica.node.candidate().transactions}
    assert refiled >= {entry.gradient for entry in lost.block.transactions}


def test_a_receipt_outlives_a_reorganisation(ledger: LedgerWorld, replica: Replica) -> None:
    grow_together(ledger, replica, 4)
    envelope = ledger.upload(0).envelope
    receipt, _ = replica.node.receive(envelope, 0.0)
    ledger.extend()
    follow(replica, feed_of(replica, ledger))
    lost = ledger.chain[-1]
    replica.undo(lost)
    assert replica.node.accept(envelope, 0.0).digest == receipt.gradient
    assert replica.node.pool.get(receipt.gradient) is not None


def test_other_blocks_take_the_place_of_lost_ones(ledger: LedgerWorld, replica: Replica) -> None:
    feed = feed_of(replica, ledger)
    for _ in range(6):
        for client in range(4):
            upload_everywhere(ledger, replica, client)
        ledger.extend(2)
        ledger.extend(2)
        follow(replica, feed)
        ledger.lose(2)
        ledger.extend(3)
        follow(replica, feed)
    assert_same(replica.node, ledger)


def test_the_same_block_in_another_host_block_needs_no_recomputation(ledger: LedgerWorld, replica: Replica) -> None:
    grow_together(ledger, replica, 5)
    recorded = ledger.chain[-1]
    replica.undo(recorded)
    replica.apply(recorded, 0.0)
    assert_same(replica.node, ledger)


def test_a_reorganisation_while_the_edge_node_was_down_is_followed(tmp_path: Path, ledger: LedgerWorld) -> None:
    path = tmp_path / "edge.sqlite"
    for _ in range(4):
        replica = open_replica(path, ledger)
        follow(replica, feed_of(replica, ledger))
        grow_together(ledger, replica, 3)
        replica.close()
        ledger.lose(2)
        ledger.extend()
        ledger.extend()
    replica = open_replica(path, ledger)
    follow(replica, feed_of(replica, ledger))
    assert replica.complete(0.0)
    assert_same(replica.node, ledger)
    replica.close()


def test_a_final_block_is_not_taken_back(ledger: LedgerWorld, replica: Replica) -> None:
    grow_together(ledger, replica, 6)
    lost = list(reversed(ledger.chain))
    for recorded in lost[:FINAL_AFTER]:
        replica.undo(recorded)
    before = replica.node.state.copy()
    with pytest.raises(FinalityError, match="final_after"):
        replica.undo(lost[FINAL_AFTER])
    assert replica.node.state == before


def test_what_is_final_leaves_the_pool_and_the_file(ledger: LedgerWorld, replica: Replica) -> None:
    grow_together(ledger, replica, 30)
    rows = len(replica._store.rows("SELECT 1 FROM gradient"))
    assert rows == len(replica.node.pool)
    recent = {entry.gradient for recorded in ledger.chain[-10:] for entry in recorded.block.transactions}
    settled = [
        item.gradient.header
        for item in replica.node.pool
        if not replica.node.state.is_sequence_free(item.gradient.header.client, item.gradient.header.sequence)
    ]
    assert {header.digest for header in settled} <= recent


def test_what_was_trained_from_a_lost_anchor_gives_way_to_what_replaces_it(
    ledger: LedgerWorld, replica: Replica
) -> None:
    grow_together(ledger, replica, 4)
    while not ledger.chain[-1].block.header.is_global_update:
        grow_together(ledger, replica, 1)
    orphan = upload_everywhere(ledger, replica, 0)
    lost = ledger.chain[-1]
    replica.undo(lost)
    ledger.announcements.pop(next(d for d, a in ledger.announcements.items() if a is orphan))
    ledger.lose(1)
    ledger.sequences[0] -= 1
    replacement = ledger.upload(0)
    accepted = replica.node.accept(replacement.envelope, 0.0)
    assert accepted.announcement is not None
    assert ledger.announcements[accepted.digest] == replacement
    for _ in range(FINAL_AFTER + 2):
        ledger.extend()
    for recorded in ledger.chain[replica.node.state.number :]:
        replica.apply(recorded, 0.0)
    assert_same(replica.node, ledger)
    assert orphan.envelope not in [item.gradient.envelope for item in replica.node.pool]


def test_without_peers_a_reorganisation_needs_no_history_from_outside(tmp_path: Path, ledger: LedgerWorld) -> None:
    peers = MinerAsPeer(ledger)
    replica = open_replica(tmp_path / "edge.sqlite", ledger, peers)
    grow_together(ledger, replica, 8)
    peers.is_silent = True
    for depth in (1, 3, 2):
        for recorded in reversed(ledger.chain[-depth:]):
            replica.undo(recorded)
        for recorded in ledger.chain[-depth:]:
            replica.apply(recorded, 0.0)
    assert replica.complete(0.0)
    assert_same(replica.node, ledger)
    replica.close()
