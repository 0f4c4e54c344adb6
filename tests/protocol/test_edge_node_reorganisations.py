"""Blocks that are taken back, and blocks that are adopted: what an edge node knows before, in between and after."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from protocol_world import ProtocolWorld, snapshot, some_vector

from bflmec.errors import (
    BlockRejectedError,
    ContradictionError,
    FinalityError,
    MissingGradientsError,
    MissingHistoryError,
)
from bflmec.protocol.aggregator import Basis
from bflmec.protocol.blocks import ZERO_DIGEST, SealedBlock
from bflmec.protocol.edge_node import EdgeNode
from bflmec.protocol.messages import MAX_BODY, Body, decode
from bflmec.storage.cid import RAW, Cid


@pytest.fixture
def world() -> ProtocolWorld:
    return ProtocolWorld(final_after=2)


def body_of(world: ProtocolWorld, block: SealedBlock) -> Body:
    return decode(Body, world.blobs.get(Cid(RAW, block.header.body_digest), MAX_BODY))


def basis_of(node: EdgeNode) -> Basis:
    return node.assembler.aggregator.basis


def update_of_all(world: ProtocolWorld, sequence: int = 1) -> SealedBlock:
    return world.run_block(*(world.envelope(client, sequence) for client in range(4)))


# ---------------------------------------------------------------- taking back


def test_taking_a_block_back_restores_everything(world: ProtocolWorld) -> None:
    world.spread(*(world.envelope(client) for client in range(4)))
    before = snapshot(world.nodes[1])
    block = world.mine()
    world.nodes[1].record(block)
    assert world.nodes[1].undo() == block
    assert snapshot(world.nodes[1]) == before


def test_a_block_that_was_taken_back_can_be_recorded_again(world: ProtocolWorld) -> None:
    block = update_of_all(world)
    after = snapshot(world.nodes[1])
    world.nodes[1].undo()
    world.nodes[1].record(block)
    assert snapshot(world.nodes[1]) == after


def test_as_many_blocks_can_be_taken_back_as_are_not_final(world: ProtocolWorld) -> None:
    for sequence in (1, 2, 3):
        world.run_block(world.envelope(0, sequence, some_vector(0, sequence)), world.envelope(1, sequence))
    node = world.nodes[1]
    node.undo()
    node.undo()
    assert node.state.number == node.recorded.final.number == 1
    with pytest.raises(FinalityError, match="taken for final"):
        node.undo()


def test_what_was_reviewed_on_a_lost_block_is_not_recorded_without_it(world: ProtocolWorld) -> None:
    world.run_block(world.envelope(0))
    world.spread(world.envelope(1))
    second = world.mine(0)
    world.nodes[1].review(second)
    world.nodes[1].undo()
    with pytest.raises(BlockRejectedError, match="does not follow"):
        world.nodes[1].record(second)


def test_local_gradients_of_a_lost_block_are_filed_again(world: ProtocolWorld) -> None:
    block = update_of_all(world)
    world.nodes[2].undo()
    again = world.nodes[2].candidate()
    assert {entry.gradient for entry in again.transactions} == {entry.gradient for entry in block.transactions}


def test_the_loser_of_a_race_is_kept_until_its_rival_is_final(world: ProtocolWorld) -> None:
    world.spread_rivals()
    block = world.mine(0)
    world.record(block)
    assert len(world.nodes[1].pool) == 2
    world.run_block(world.envelope(1, 1))
    world.run_block(world.envelope(1, 2))
    assert next(item.gradient.digest for item in world.nodes[1].pool) == block.transactions[0].gradient
    assert len(world.nodes[1].pool) == 3


def test_what_lost_its_anchor_gives_way_and_leaves_when_that_is_final(world: ProtocolWorld) -> None:
    block = update_of_all(world)
    node = world.nodes[1]
    anchor = node.state.anchors[block.header.number]
    orphan = node.receive(world.envelope(0, 2, some_vector(0, 2), anchor=anchor), 0.0).receipt.gradient
    lonely = node.receive(world.envelope(1, 2, some_vector(1, 2), anchor=anchor), 0.0).receipt.gradient
    node.undo()
    replacement = node.receive(world.envelope(0, 2, some_vector(0, 3)), 0.0).receipt.gradient
    assert replacement != orphan
    for _ in range(3):
        node.record(world.mine(1))
        for client in (2, 3):
            node.receive(world.envelope(client, 7 + node.state.number), 0.0)
    recorded = {entry.gradient for entry in node.state.pending} | {item.gradient.digest for item in node.pool}
    assert replacement in recorded
    assert orphan not in recorded
    assert lonely not in recorded


def test_a_block_with_a_local_gradient_of_a_lost_anchor_finds_no_approval(world: ProtocolWorld) -> None:
    block = update_of_all(world)
    anchor = world.nodes[0].state.anchors[block.header.number]
    world.spread(world.envelope(0, 2, some_vector(0, 2), anchor=anchor))
    orphaned = world.mine(0)
    for node in world.nodes:
        node.undo()
    forged = world.reseal(orphaned, parent=world.nodes[1].state.head, number=1, anchor=0)
    forged = world.reseal(forged, rewards_total=0, rewards_root=bytes(32))
    with pytest.raises(BlockRejectedError, match="no anchor of this ledger"):
        world.nodes[1].review(forged)


# ---------------------------------------------------------------- adopting


def test_an_adopted_block_leads_where_a_recomputed_one_does(world: ProtocolWorld) -> None:
    block = update_of_all(world)
    late = world.edge_node(3)
    late.adopt(block, body_of(world, block), basis_of(world.nodes[0]))
    assert late.state == world.nodes[0].state
    assert basis_of(late).weights.tobytes() == basis_of(world.nodes[0]).weights.tobytes()


def test_without_a_basis_no_global_update_is_reviewed_until_it_comes(world: ProtocolWorld) -> None:
    first = update_of_all(world)
    late = world.edge_node(3)
    late.adopt(first, body_of(world, first))
    envelopes = [world.envelope(client, 2) for client in range(4)]
    world.spread(*envelopes)
    for envelope in envelopes:
        late.receive(envelope, 0.0)
    block = world.mine()
    for refused in (lambda: late.review(block), lambda: late.record(block), late.candidate):
        with pytest.raises(MissingHistoryError):
            refused()
    late.complete(basis_of(world.nodes[0]))
    assert late.review(block).block == block.header.hash


def test_what_was_completed_stays_so_when_a_later_block_is_taken_back(world: ProtocolWorld) -> None:
    first = update_of_all(world)
    late = world.edge_node(3)
    late.adopt(first, body_of(world, first))
    for sequence in (2, 3, 4, 5):
        block = world.run_block(world.envelope(0, sequence) if sequence < 4 else world.envelope(1, sequence))
        late.adopt(block, body_of(world, block))
        if sequence == 3:
            late.complete(basis_of(world.nodes[0]))
        if sequence in (3, 5):
            late.undo()
            assert late.assembler.aggregator.standing.basis is not None
            late.adopt(block, body_of(world, block))


def test_a_final_global_update_is_completed_too(world: ProtocolWorld) -> None:
    first = update_of_all(world)
    late = world.edge_node(3)
    late.adopt(first, body_of(world, first))
    for sequence in (2, 3):
        block = world.run_block(world.envelope(0, sequence))
        late.adopt(block, body_of(world, block))
    assert late.recorded.final.number == 1
    late.complete(basis_of(world.nodes[0]))
    late.undo()
    late.undo()
    assert late.assembler.aggregator.standing.basis is not None


def test_another_history_completes_nothing(world: ProtocolWorld) -> None:
    first = update_of_all(world)
    late = world.edge_node(3)
    late.adopt(first, body_of(world, first))
    lie = replace(basis_of(world.nodes[0]), history=basis_of(world.nodes[0]).history[1:])
    with pytest.raises(BlockRejectedError, match="not the one"):
        late.complete(lie)
    with pytest.raises(BlockRejectedError, match="history is not the one"):
        world.edge_node(3).adopt(first, body_of(world, first), lie)


@pytest.mark.parametrize("changes", [{"number": 2}, {"history": ZERO_DIGEST}, {"entries": ()}])
def test_a_body_of_another_block_is_not_adopted(world: ProtocolWorld, changes: dict[str, object]) -> None:
    block = update_of_all(world)
    late = world.edge_node(3)
    before = snapshot(late)
    with pytest.raises(BlockRejectedError):
        late.adopt(block, msgspec.structs.replace(body_of(world, block), **changes))
    assert snapshot(late) == before


def test_a_body_with_something_else_than_headers_is_not_adopted(world: ProtocolWorld) -> None:
    block = update_of_all(world)
    body = body_of(world, block)
    damaged = msgspec.structs.replace(body.entries[0], header=bytes(136))
    late = world.edge_node(3)
    with pytest.raises(BlockRejectedError, match="something else than headers"):
        late.adopt(block, msgspec.structs.replace(body, entries=(damaged, *body.entries[1:])))


def test_recorded_local_gradients_can_still_come_in(world: ProtocolWorld) -> None:
    block = world.run_block(world.envelope(0), world.envelope(1))
    late = world.edge_node(3)
    late.adopt(block, body_of(world, block))
    assert late.missing_pending() == [entry.gradient for entry in block.transactions]
    for digest in late.missing_pending():
        announcement = world.nodes[0].supply(digest)
        assert announcement is not None
        late.exchange(announcement, 0.0)
    assert late.missing_pending() == []


def test_a_review_names_everything_that_is_missing_at_once(world: ProtocolWorld) -> None:
    first = world.run_block(world.envelope(0), world.envelope(1))
    late = world.edge_node(3)
    late.adopt(first, body_of(world, first))
    world.spread(world.envelope(2), world.envelope(3))
    second = world.mine(0)
    with pytest.raises(MissingGradientsError) as missing:
        late.review(second)
    wanted = [entry.gradient for block in (second, first) for entry in block.transactions]
    assert missing.value.digests == wanted
    for digest in wanted:
        announcement = world.nodes[0].supply(digest)
        assert announcement is not None
        late.supplied(announcement, wanted, 0.0)
    assert late.review(second).block == second.header.hash


# ---------------------------------------------------------------- halting


def test_a_contradicted_edge_node_certifies_nothing(world: ProtocolWorld) -> None:
    world.spread(world.envelope())
    block = world.mine(0)
    candidate = world.nodes[1].candidate()
    world.nodes[1].halt(ContradictionError("the ledger is wrong"))
    for refused in (
        lambda: world.nodes[1].review(block),
        world.nodes[1].candidate,
        lambda: world.nodes[1].seal(candidate, 0),
    ):
        with pytest.raises(ContradictionError, match="the ledger is wrong"):
            refused()


def test_what_is_approved_is_durable_first(world: ProtocolWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.spread(world.envelope())
    block = world.mine(0)
    flushed: list[int] = []
    monkeypatch.setattr(world.nodes[1].pool, "flush", lambda: flushed.append(len(world.nodes[1].pool)))
    world.nodes[1].review(block)
    assert flushed == [1]


def test_a_repeated_proposal_gets_the_same_approval_without_another_computation(world: ProtocolWorld) -> None:
    world.spread(*(world.envelope(client) for client in range(4)))
    block = world.mine(0)
    assert world.nodes[1].review(block) is world.nodes[1].review(block)
