"""What recorded blocks imply: each rule of `check` broken alone, and the state after blocks are applied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from protocol_world import BASE_REWARD, ProtocolWorld

from bflmec.errors import BlockRejectedError
from bflmec.protocol import merkle
from bflmec.protocol.blocks import Reward, SealedBlock, Transaction, genesis_parent, transactions_hash
from bflmec.protocol.ledger_state import LedgerState
from bflmec.protocol.messages import GradientHeader

World = ProtocolWorld
STRANGER = b"\xee" * 20


@pytest.fixture
def world() -> ProtocolWorld:
    return ProtocolWorld(edge_nodes=2)


@pytest.fixture
def plain(world: ProtocolWorld) -> SealedBlock:
    """Block 1: two local gradients, no global update."""
    world.spread(world.envelope(0), world.envelope(1))
    return world.mine()


@pytest.fixture
def update(world: ProtocolWorld, plain: SealedBlock) -> SealedBlock:
    """Block 2, after block 1 was recorded: reaches the threshold of four, and pays."""
    world.record(plain)
    world.spread(world.envelope(2), world.envelope(3))
    return world.mine()


def state_of(world: ProtocolWorld) -> LedgerState:
    return world.nodes[0].state


def test_a_block_that_follows_the_rules_is_accepted(world: World, plain: SealedBlock) -> None:
    state_of(world).check(plain)


def test_a_global_update_that_follows_the_rules_is_accepted(world: World, update: SealedBlock) -> None:
    assert update.header.is_global_update
    assert sum(reward.amount for reward in update.rewards) == BASE_REWARD
    state_of(world).check(update)


BROKEN_PLAIN: dict[str, tuple[Callable[[World, SealedBlock], SealedBlock], str]] = {
    "number": (lambda world, block: world.reseal(block, number=2), "does not follow"),
    "parent": (lambda world, block: world.reseal(block, parent=b"\x01" * 32), "another parent"),
    "anchor": (lambda world, block: world.reseal(block, anchor=1), "wrong anchor"),
    "count": (lambda world, block: world.reseal(block, transaction_count=3), "counts other"),
    "hash of the set": (lambda world, block: world.reseal(block, transactions_hash=b"\x01" * 32), "not the set's"),
    "no transactions": (
        lambda world, block: replace(
            world.reseal(block, transaction_count=0, transactions_hash=transactions_hash(())), transactions=()
        ),
        "can't hold 0",
    ),
    "too many transactions": (
        lambda world, block: replace(
            world.reseal(block, transaction_count=10, transactions_hash=transactions_hash(block.transactions * 5)),
            transactions=block.transactions * 5,
        ),
        "can't hold 10",
    ),
    "global update too early": (lambda world, block: world.reseal(block, global_digest=b"\x01" * 32), "not due yet"),
    "codec without a global gradient": (lambda world, block: world.reseal(block, global_codec=0x55), "codec"),
    "rewards without a global update": (
        lambda world, block: replace(block, rewards=(Reward(STRANGER, BASE_REWARD),)),
        "global updates only",
    ),
    "total": (lambda world, block: world.reseal(block, rewards_total=1), "rewardsTotal"),
    "root": (lambda world, block: world.reseal(block, rewards_root=b"\x01" * 32), "rewardsRoot"),
}


@pytest.mark.parametrize("name", BROKEN_PLAIN)
def test_a_block_that_breaks_one_rule_is_refused(world: World, plain: SealedBlock, name: str) -> None:
    break_it, words = BROKEN_PLAIN[name]
    with pytest.raises(BlockRejectedError, match=words):
        state_of(world).check(break_it(world, plain))


def halved(rewards: tuple[Reward, ...], left: int) -> tuple[Reward, ...]:
    """The rewards with all but `left` of the last one moved to the first."""
    first, *others, last = rewards
    return replace(first, amount=first.amount + last.amount - left), *others, replace(last, amount=left)


BROKEN_UPDATE: dict[str, tuple[Callable[[World, SealedBlock], SealedBlock], str]] = {
    "no global update": (lambda world, block: world.reseal(block, global_digest=bytes(32)), "update is due"),
    "anchor": (lambda world, block: world.reseal(block, anchor=0), "wrong anchor"),
    "codec": (lambda world, block: world.reseal(block, global_codec=0x71), "codec"),
    "list that is too short": (lambda world, block: replace(block, rewards=block.rewards[1:]), "base reward"),
    "list without its total": (lambda world, block: replace(block, rewards=()), "rewardsTotal"),
    "total": (
        lambda world, block: world.reseal(block, rewards_total=block.header.rewards_total + 1),
        "rewardsTotal",
    ),
    "reward of nothing": (lambda world, block: replace(block, rewards=halved(block.rewards, 0)), "nothing is listed"),
    "more rewards than local gradients": (
        lambda world, block: replace(block, rewards=(*halved(block.rewards, 1), Reward(STRANGER, 1))),
        "more rewards",
    ),
    "other payee": (
        lambda world, block: replace(block, rewards=(*block.rewards[1:], replace(block.rewards[0], account=STRANGER))),
        "rewardsRoot",
    ),
    "old root": (lambda world, block: world.reseal(block, rewards_root=bytes(32)), "rewardsRoot"),
}


@pytest.mark.parametrize("name", BROKEN_UPDATE)
def test_a_global_update_that_breaks_one_rule_is_refused(world: World, update: SealedBlock, name: str) -> None:
    break_it, words = BROKEN_UPDATE[name]
    with pytest.raises(BlockRejectedError, match=words):
        state_of(world).check(break_it(world, update))


def test_a_nonce_that_misses_the_target_is_refused() -> None:
    world = ProtocolWorld(difficulty=2**40)
    world.spread(world.envelope())
    block = world.nodes[0].candidate().sealed(1)
    with pytest.raises(BlockRejectedError, match="misses its target"):
        world.nodes[0].state.check(block)


@pytest.mark.parametrize("nonce", [-1, 2**64])
def test_a_nonce_of_more_than_eight_bytes_is_refused(world: World, plain: SealedBlock, nonce: int) -> None:
    with pytest.raises(BlockRejectedError, match="misses its target"):
        state_of(world).check(replace(plain, nonce=nonce))


def test_a_miner_that_is_paid_grows_the_root_with_every_block() -> None:
    world = ProtocolWorld(miner_reward=7)
    block = world.run_block(world.envelope())
    miner = world.nodes[0].identity.account
    state = world.nodes[0].state
    assert block.header.rewards_total == 7
    assert state.balances == {miner: 7}
    assert block.header.rewards_root == merkle.root({miner: 7})


# ---------------------------------------------------------------- the state after blocks


def test_the_genesis_gradient_is_the_first_anchor(world: World) -> None:
    state = LedgerState(world.parameters)
    parent = genesis_parent(world.parameters.chain_id, world.parameters.ledger)
    assert (state.number, state.head, state.anchor) == (0, parent, 0)
    assert state.anchors[0].content == world.parameters.genesis


def test_a_plain_block_moves_the_head_and_lets_its_transactions_wait(world: World, plain: SealedBlock) -> None:
    world.record(plain)
    state = state_of(world)
    assert (state.number, state.head, state.anchor) == (1, plain.header.hash, 0)
    assert state.pending == list(plain.transactions)
    assert state.recorded == 2
    assert list(state.anchors) == [0]


def test_a_global_update_is_the_new_anchor_and_takes_the_waiting_in(world: World, update: SealedBlock) -> None:
    world.record(update)
    state = state_of(world)
    assert (state.number, state.anchor) == (2, 2)
    assert state.anchors[2].hash == update.header.hash
    assert state.anchors[2].content.digest == update.header.global_digest
    assert state.pending == []
    assert state.recorded == 4


def test_balances_sum_to_the_recorded_total(world: World, update: SealedBlock) -> None:
    world.record(update)
    state = state_of(world)
    assert sum(state.balances.values()) == state.rewards_total == BASE_REWARD
    assert state.rewards_root == merkle.root(state.balances)


def test_states_that_applied_the_same_blocks_are_equal(world: World, update: SealedBlock) -> None:
    first, second = (node.state for node in world.nodes)
    assert first == second
    world.nodes[0].record(update)
    assert first != second
    world.nodes[1].record(update)
    assert first == second


def test_the_state_remembers_who_took_a_sequence(world: World, plain: SealedBlock) -> None:
    world.record(plain)
    state, entry = state_of(world), plain.transactions[0]
    assert state.recorded_gradient(entry.client, 1) == entry.gradient
    assert state.recorded_gradient(entry.client, 2) is None
    assert not state.is_sequence_free(entry.client, 1)
    assert state.is_sequence_free(entry.client, 2)
    assert state.pending_of(entry.client) == 1


def test_the_state_forgets_what_left_the_window() -> None:
    world = ProtocolWorld(edge_nodes=1)
    world.run_block(world.envelope(0, 1))
    world.run_block(world.envelope(0, 65))
    state, client = world.nodes[0].state, world.clients[0].account
    assert state.recorded_gradient(client, 1) is None
    assert not state.is_sequence_free(client, 1)
    assert state.recorded_gradient(client, 65) is not None


# ---------------------------------------------------------------- contents that only edge nodes can check


def contents(world: World, *signed: tuple[int, int]) -> tuple[list[Transaction], dict[bytes, GradientHeader]]:
    headers = [world.header(client, sequence, bytes([client, sequence])) for client, sequence in signed]
    entries = [Transaction(header.client, 1, header.digest, bytes(32)) for header in headers]
    return entries, {header.digest: header for header in headers}


def test_one_sequence_counts_once_in_a_block(world: World) -> None:
    entries, headers = contents(world, (0, 1))
    with pytest.raises(BlockRejectedError, match="recorded before"):
        state_of(world).check_contents(entries * 2, headers, per_client=9)


def test_one_sequence_counts_once_in_the_ledger(world: World, plain: SealedBlock) -> None:
    world.record(plain)
    with pytest.raises(BlockRejectedError, match="recorded before"):
        state_of(world).check_contents(*contents(world, (0, 1)), per_client=9)


def test_a_client_has_its_share_between_two_anchors(world: World, plain: SealedBlock) -> None:
    world.record(plain)
    state_of(world).check_contents(*contents(world, (0, 2), (1, 2)), per_client=2)
    with pytest.raises(BlockRejectedError, match="more than 2"):
        state_of(world).check_contents(*contents(world, (0, 2), (0, 3)), per_client=2)


def test_a_transaction_has_to_name_the_client_that_signed(world: World) -> None:
    entries, headers = contents(world, (0, 1))
    foreign = [replace(entries[0], client=STRANGER)]
    with pytest.raises(BlockRejectedError, match="another client"):
        state_of(world).check_contents(foreign, headers, per_client=2)
