"""Moving on with the ledger: what an edge node keeps, drops and learns from a block that was appended."""

from __future__ import annotations

import pytest
from protocol_world import ProtocolWorld, snapshot

from bflmec.errors import BlockRejectedError, MissingGradientsError
from bflmec.protocol.messages import GradientHeader, SignedHeader


@pytest.fixture
def world() -> ProtocolWorld:
    return ProtocolWorld()


def pooled(world: ProtocolWorld, node: int = 0) -> list[tuple[int, int]]:
    accounts = [client.account for client in world.clients]
    headers = [item.gradient.header for item in world.nodes[node].pool]
    return [(accounts.index(header.client), header.sequence) for header in headers]


def test_recorded_local_gradients_stay_until_a_global_update_takes_them_in(world: ProtocolWorld) -> None:
    world.run_block(world.envelope(0), world.envelope(1))
    assert pooled(world) == [(0, 1), (1, 1)]


def test_what_a_global_update_took_in_waits_no_more(world: ProtocolWorld) -> None:
    world.run_block(world.envelope(0), world.envelope(1))
    world.run_block(world.envelope(2), world.envelope(3))
    assert world.nodes[0].state.anchor == 2
    assert world.nodes[0].due_at() is None


def test_what_a_global_update_took_in_leaves_the_pool_with_the_next_one(world: ProtocolWorld) -> None:
    world.run_block(*(world.envelope(client, 1) for client in range(4)))
    assert pooled(world) == [(client, 1) for client in range(4)]
    world.run_block(*(world.envelope(client, 2) for client in range(4)))
    assert pooled(world) == [(client, 2) for client in range(4)]


def test_what_a_global_update_took_in_is_there_for_late_peers_until_the_next_one(world: ProtocolWorld) -> None:
    block = world.run_block(*(world.envelope(client, 1) for client in range(4)))
    world.run_block(world.envelope(0, 2))
    assert all(world.nodes[1].supply(entry.gradient) is not None for entry in block.transactions)


def test_what_a_global_update_did_not_take_in_goes_on_waiting(world: ProtocolWorld) -> None:
    world.run_block(*(world.envelope(client) for client in range(4)), *(world.envelope(0, n) for n in (2, 3, 4)))
    waiting = [item.gradient.header.sequence for item in world.nodes[0].assembler.eligible()]
    assert waiting == [3, 4]


def test_the_rival_under_a_recorded_sequence_is_dropped(world: ProtocolWorld) -> None:
    world.spread_rivals()
    block = world.mine(0)
    world.record(block)
    for node in world.nodes:
        assert [item.gradient.digest for item in node.pool] == [block.transactions[0].gradient]


def test_a_recorded_global_update_is_the_current_global_gradient(world: ProtocolWorld) -> None:
    world.spread(*(world.envelope(client) for client in range(4)))
    block = world.mine()
    update = world.nodes[1].record(block)
    assert update is not None
    assert world.nodes[1].assembler.aggregator.weights.tolist() == update.weights.tolist()
    assert update.weights.tolist() != world.initial.tolist()


def test_a_plain_block_carries_no_global_update(world: ProtocolWorld) -> None:
    world.spread(world.envelope())
    assert world.nodes[1].record(world.mine()) is None


@pytest.mark.parametrize(("history", "kept"), [(0, 0), (3, 3), (60, 4)])
def test_the_history_keeps_the_newest_contribution_of_the_last_clients(history: int, kept: int) -> None:
    world = ProtocolWorld(edge_nodes=1, history=history)
    for turn in (1, 2):
        world.run_block(*(world.envelope(client, turn) for client in range(4)))
    entries = world.nodes[0].assembler.aggregator.history
    assert [entry.client for entry in entries] == [client.account for client in world.clients[4 - kept :]]


def test_the_loser_of_a_race_is_refused_and_its_local_gradients_stay(world: ProtocolWorld) -> None:
    world.nodes[0].receive(world.envelope(0), 0.0)
    world.spread(world.envelope(1), to=1)
    winner, loser = world.mine(1), world.mine(0)
    world.nodes[0].record(winner)
    before = snapshot(world.nodes[0])
    with pytest.raises(BlockRejectedError, match="does not follow"):
        world.nodes[0].record(loser)
    assert snapshot(world.nodes[0]) == before
    assert pooled(world) == [(0, 1), (1, 1)]
    assert [entry.client for entry in world.mine(0).transactions] == [world.clients[0].account]


def test_a_block_is_recorded_once(world: ProtocolWorld) -> None:
    block = world.run_block(world.envelope())
    before = snapshot(world.nodes[0])
    with pytest.raises(BlockRejectedError):
        world.nodes[0].record(block)
    assert snapshot(world.nodes[0]) == before


def test_an_appended_block_with_unknown_local_gradients_changes_nothing(world: ProtocolWorld) -> None:
    world.nodes[0].receive(world.envelope(), 0.0)
    block = world.mine()
    before = snapshot(world.nodes[1])
    with pytest.raises(MissingGradientsError):
        world.nodes[1].record(block)
    assert snapshot(world.nodes[1]) == before


def test_an_edge_node_that_is_late_catches_up_with_its_peers(world: ProtocolWorld) -> None:
    for client in range(4):
        world.nodes[0].receive(world.envelope(client), 0.0)
    block = world.mine()
    world.nodes[0].record(block)
    for digest in world.nodes[1].missing(block):
        announcement = world.nodes[0].supply(digest)
        assert announcement is not None
        world.nodes[1].exchange(announcement, 1.0)
    world.nodes[1].record(block)
    assert world.nodes[1].state == world.nodes[0].state


def test_blocks_of_edge_nodes_that_retired_later_are_recorded(world: ProtocolWorld) -> None:
    world.spread(world.envelope())
    block = world.mine(0)
    del world.participants.nodes[1]
    world.nodes[1].record(block)
    assert world.nodes[1].state.head == block.header.hash


def test_an_appended_signature_that_peers_no_longer_hold_comes_with_the_body(world: ProtocolWorld) -> None:
    world.nodes[0].receive(world.envelope(), 0.0)
    world.nodes[1].receive(world.envelope(), 0.0)
    appended, rival = world.mine(0), world.mine(1)
    world.nodes[0].review(rival)
    world.nodes[0].record(appended)
    world.nodes[1].record(appended)
    assert world.nodes[0].state == world.nodes[1].state


def test_signatures_that_were_adopted_belong_to_the_same_header(world: ProtocolWorld) -> None:
    world.nodes[0].receive(world.envelope(), 0.0)
    world.nodes[1].receive(world.envelope(), 0.0)
    world.nodes[1].review(world.mine(0))
    (here,), (there,) = world.nodes[0].pool, world.nodes[1].pool
    assert here.gradient.signed == there.gradient.signed
    assert here.gradient.envelope == there.gradient.envelope
    signed: SignedHeader = there.gradient.signed
    assert GradientHeader.decode(signed.header) == there.gradient.header
