"""Making blocks and reviewing those of others (Algorithm 3, lines 10-24): candidates, recomputation, omissions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol_world import BASE_REWARD, SPEC, ProtocolWorld, snapshot

from bflmec.errors import BlockRejectedError, MissingGradientsError
from bflmec.learning.blob import blob_size, decode_blob
from bflmec.protocol.block_assembler import BlockAssembler
from bflmec.protocol.blocks import Reward, SealedBlock, Transaction
from bflmec.protocol.messages import MAX_BODY, Body, GradientHeader, SignedHeader, decode, encode, transaction
from bflmec.storage.cid import RAW, Cid

World = ProtocolWorld


@pytest.fixture
def world() -> ProtocolWorld:
    return ProtocolWorld()


def entries_of(world: World, node: int = 0) -> list[Transaction]:
    """Transactions of everything in an edge node's cache pool, recorded or not."""
    return [transaction(item.gradient.signed, item.gradient.header, item.receiver) for item in world.nodes[node].pool]


def sequences(block: SealedBlock, world: World) -> list[tuple[int, int]]:
    """(client, sequence) of each transaction."""
    accounts = [client.account for client in world.clients]
    body = decode(Body, world.blobs.get(Cid(RAW, block.header.body_digest), MAX_BODY))
    headers = [GradientHeader.decode(entry.header) for entry in body.entries]
    return [(accounts.index(header.client), header.sequence) for header in headers]


# ---------------------------------------------------------------- when a block is due


def test_nothing_is_due_without_local_gradients(world: World) -> None:
    assert world.nodes[0].due_at() is None
    with pytest.raises(BlockRejectedError, match="no local gradient"):
        world.nodes[0].candidate()


def test_a_lonely_local_gradient_waits_for_others(world: World) -> None:
    world.spread(world.envelope(0), now=5.0)
    world.spread(world.envelope(1), now=7.0)
    assert world.nodes[0].due_at() == 5.0 + world.record_after


def test_a_global_update_is_due_at_once(world: World) -> None:
    world.spread(*(world.envelope(client) for client in range(4)), now=5.0)
    assert world.nodes[0].due_at() == 0.0


def test_what_was_recorded_since_the_anchor_counts_towards_the_update(world: World) -> None:
    world.run_block(world.envelope(0), world.envelope(1), world.envelope(2))
    world.spread(world.envelope(3), now=5.0)
    assert world.nodes[0].due_at() == 0.0


def test_a_full_block_is_due_at_once() -> None:
    world = ProtocolWorld(threshold=9, max_transactions=3)
    world.spread(*(world.envelope(client) for client in range(3)), now=5.0)
    assert world.nodes[0].due_at() == 0.0


# ---------------------------------------------------------------- what a block records


def test_a_block_records_the_oldest_first(world: World) -> None:
    for now, client in enumerate([2, 0, 1]):
        world.spread(world.envelope(client), now=float(now))
    assert sequences(world.mine(), world) == [(2, 1), (0, 1), (1, 1)]


def test_a_client_has_its_share_between_two_anchors(world: World) -> None:
    world.spread(*(world.envelope(0, sequence) for sequence in (1, 2, 3)), world.envelope(1))
    assert sequences(world.mine(), world) == [(0, 1), (0, 2), (1, 1)]


def test_the_share_counts_blocks_since_the_anchor(world: World) -> None:
    world.run_block(world.envelope(0, 1))
    world.spread(world.envelope(0, 2), world.envelope(0, 3))
    assert sequences(world.mine(), world) == [(0, 2)]


def test_a_block_holds_so_many_and_no_more() -> None:
    world = ProtocolWorld(max_transactions=2)
    world.spread(*(world.envelope(client) for client in range(3)))
    assert len(world.mine().transactions) == 2


def test_one_sequence_is_recorded_once(world: World) -> None:
    world.spread_rivals()
    assert len(world.nodes[0].pool) == 2
    assert sequences(world.mine(), world) == [(0, 1)]


def test_a_block_body_stays_readable_however_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bflmec.protocol.block_assembler.MAX_BODY", 12_000)
    world = ProtocolWorld()
    world.spread(*(world.envelope(client) for client in range(4)))
    candidate = world.nodes[0].candidate()
    assert 2 * 3_900 < len(candidate.body) <= 12_000
    assert len(candidate.transactions) == 3


def test_what_one_client_lets_wait_takes_no_room_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bflmec.protocol.block_assembler.MAX_BODY", 20_000)
    world = ProtocolWorld()
    world.spread(*(world.envelope(0, sequence) for sequence in range(1, 11)), world.envelope(1))
    assert sequences(world.mine(), world) == [(0, 1), (0, 2), (1, 1)]


def test_a_body_holds_header_signature_and_key_of_each_local_gradient(world: World) -> None:
    world.spread(world.envelope(0), world.envelope(1))
    candidate = world.nodes[0].candidate()
    body = decode(Body, candidate.body)
    assert body.number == 1
    assert body.entries == tuple(item.gradient.signed for item in world.nodes[0].pool)


def test_a_global_update_stores_the_global_gradient(world: World) -> None:
    world.spread(*(world.envelope(client) for client in range(4)))
    block = world.mine()
    header = block.header
    blob = world.blobs.get(Cid(header.global_codec, header.global_digest), blob_size(SPEC))
    update = world.nodes[0].candidate().update
    assert update is not None
    assert decode_blob(SPEC, blob).tolist() == update.weights.tolist()
    assert sum(reward.amount for reward in block.rewards) == BASE_REWARD


def test_a_client_counts_once_in_a_global_update(world: World) -> None:
    world.spread(world.envelope(0, 1), world.envelope(0, 2), world.envelope(1), world.envelope(2))
    update = world.nodes[0].candidate().update
    assert update is not None
    assert len(update.labels) == 3


def test_a_block_of_an_old_head_is_not_sealed(world: World) -> None:
    world.spread(world.envelope(0))
    old = world.nodes[0].candidate()
    world.run_block(world.envelope(1))
    with pytest.raises(BlockRejectedError, match="does not follow"):
        world.nodes[0].seal(old, 0)


def test_a_local_gradient_whose_receiver_retired_is_still_recorded(world: World) -> None:
    world.spread(world.envelope(), to=2)
    del world.participants.nodes[3]
    block = world.mine(node=1)
    assert [entry.receiver for entry in block.transactions] == [2]
    world.nodes[0].review(block)


@pytest.mark.parametrize("digest", [None, bytes(32)], ids=["removed", "rotated"])
def test_local_gradients_of_a_key_that_is_no_longer_registered_are_neither_recorded_nor_missed(
    digest: bytes | None,
) -> None:
    world = ProtocolWorld(omission_limit=1)
    world.nodes[0].receive(world.envelope(0), 0.0)
    if digest is None:
        del world.participants.clients[world.clients[0].account]
    else:
        world.participants.clients[world.clients[0].account] = digest
    for client, sequence in ((1, 1), (2, 1), (3, 1), (1, 2)):
        world.spread(world.envelope(client, sequence))
        block = world.mine(1)
        world.nodes[0].review(block)
        world.record(block)
    assert world.nodes[0].due_at() is None
    assert world.nodes[0].state.number == 4


# ---------------------------------------------------------------- bit-exact recomputation


@settings(max_examples=25)
@given(st.permutations(range(6)), st.integers(0, 2))
def test_another_order_of_arrival_gives_the_same_block(order: list[int], repeats: int) -> None:
    world = ProtocolWorld(clients=6, threshold=6)
    envelopes = [world.envelope(client) for client in range(6)]
    announcements = [world.nodes[0].receive(envelope, 0.0).announcement for envelope in envelopes]
    for index in [*order, *order[:repeats]]:
        announcement = announcements[index]
        assert announcement is not None
        world.nodes[1].exchange(announcement, float(index))
    block = world.mine(node=0)
    approval = world.nodes[1].review(block)
    assert approval.block == block.header.hash
    recomputed = world.nodes[1].assembler.assemble(block.transactions, block.header.edge_node)
    assert recomputed.header.encode() == block.header.encode()
    assert recomputed.global_blob == world.nodes[0].candidate().global_blob
    assert recomputed.body == world.nodes[0].candidate().body


def test_recomputation_agrees_over_many_global_updates() -> None:
    world = ProtocolWorld()
    for turn in range(5):
        anchor = world.nodes[0].state.anchors[world.nodes[0].state.anchor]
        world.spread(*(world.envelope(client, turn + 1, anchor=anchor) for client in range(4)), to=turn % 3)
        block = world.mine(node=turn % 3)
        for node in world.nodes:
            if node is not world.nodes[turn % 3]:
                node.review(block)
        world.record(block)
    assert world.nodes[0].state == world.nodes[1].state == world.nodes[2].state
    assert len({node.assembler.aggregator.weights.tobytes() for node in world.nodes}) == 1
    assert len(world.nodes[0].assembler.aggregator.history) == 4


# ---------------------------------------------------------------- what a review refuses


def test_an_approval_certifies_the_block_and_keeps_its_blobs(world: World) -> None:
    world.spread(*(world.envelope(client) for client in range(4)))
    block = world.mine()
    approval = world.nodes[1].review(block)
    assert (approval.block, approval.account) == (block.header.hash, world.nodes[1].identity.account)
    assert world.nodes[0].identity.certifier.holds(block.header.hash, approval.account, approval.entry)
    assert world.blobs.has(Cid(RAW, block.header.body_digest))


def test_two_blocks_of_one_height_can_both_be_approved(world: World) -> None:
    world.spread(world.envelope(0), world.envelope(1))
    first, second = world.mine(0), world.mine(1)
    assert first.header.hash != second.header.hash
    assert world.nodes[2].review(first).block == first.header.hash
    assert world.nodes[2].review(second).block == second.header.hash


def swapped(block: SealedBlock) -> SealedBlock:
    first, second, *rest = block.rewards
    return replace(
        block,
        rewards=(replace(first, account=second.account), replace(second, account=first.account), *rest),
    )


TAMPERED: dict[str, tuple[Callable[[World, SealedBlock], SealedBlock], str]] = {
    "global digest": (lambda w, b: w.reseal(b, global_digest=b"\x01" * 32), "gives another block"),
    "global codec": (lambda w, b: w.reseal(b, global_codec=0x70), "gives another block"),
    "body digest": (lambda w, b: w.reseal(b, body_digest=b"\x01" * 32), "gives another block"),
    "order of rewards": (lambda w, b: replace(b, rewards=b.rewards[::-1]), "gives another block"),
    "rewards": (lambda w, b: swapped(b), "rewardsRoot|another block"),
    "amounts": (
        lambda w, b: replace(b, rewards=(Reward(b.rewards[0].account, BASE_REWARD),)),
        "rewardsRoot",
    ),
    "miner of nobody": (lambda w, b: w.reseal(b, edge_node=b"\x01" * 20), "no active edge node"),
    "miner of somebody else": (
        lambda w, b: replace(b, header=replace(b.header, edge_node=w.nodes[2].identity.account)),
        "misses its target",
    ),
    "nonce": (lambda w, b: replace(b, nonce=b.nonce + 2**63), "misses its target"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_global_update_finds_no_approval(name: str) -> None:
    world = ProtocolWorld(difficulty=2**12)
    world.spread(*(world.envelope(client) for client in range(4)))
    block = world.mine()
    tamper, words = TAMPERED[name]
    before = snapshot(world.nodes[1])
    with pytest.raises(BlockRejectedError, match=words):
        world.nodes[1].review(tamper(world, block))
    assert snapshot(world.nodes[1]) == before
    world.nodes[1].review(block)


def test_a_block_of_a_retired_miner_finds_no_approval(world: World) -> None:
    world.spread(world.envelope())
    block = world.mine()
    del world.participants.nodes[1]
    with pytest.raises(BlockRejectedError, match="no active edge node"):
        world.nodes[1].review(block)


def test_a_block_with_a_foreign_receiver_finds_no_approval(world: World) -> None:
    world.spread(world.envelope())
    block = world.propose([replace(entry, receiver=9) for entry in entries_of(world)])
    with pytest.raises(BlockRejectedError, match="receiver"):
        world.nodes[1].review(block)


def test_a_block_with_a_sequence_twice_finds_no_approval(world: World) -> None:
    world.spread_rivals()
    assert len(world.nodes[2].pool) == 2
    block = world.propose(entries_of(world, 2))
    with pytest.raises(BlockRejectedError, match="recorded before"):
        world.nodes[2].review(block)


def test_a_block_with_more_than_a_clients_share_finds_no_approval(world: World) -> None:
    world.spread(*(world.envelope(0, sequence) for sequence in (1, 2, 3)))
    block = world.propose(entries_of(world))
    with pytest.raises(BlockRejectedError, match="more than 2"):
        world.nodes[1].review(block)


def test_a_block_with_a_body_that_nobody_could_read_finds_no_approval(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.spread(*(world.envelope(client) for client in range(3)))
    block = world.mine()
    monkeypatch.setattr("bflmec.protocol.block_assembler.MAX_BODY", 10_000)
    with pytest.raises(BlockRejectedError, match="over the limit"):
        world.nodes[1].review(block)


# ---------------------------------------------------------------- local gradients that are not here, or not alike


def test_a_block_with_unknown_local_gradients_names_them(world: World) -> None:
    world.nodes[0].receive(world.envelope(0), 0.0)
    world.spread(world.envelope(1))
    block = world.mine()
    absent = [block.transactions[0].gradient]
    assert world.nodes[1].missing(block) == absent
    with pytest.raises(MissingGradientsError) as caught:
        world.nodes[1].review(block)
    assert caught.value.digests == absent


def test_a_block_is_approved_once_its_local_gradients_were_fetched(world: World) -> None:
    world.nodes[0].receive(world.envelope(0), 0.0)
    block = world.mine()
    for digest in world.nodes[1].missing(block):
        announcement = world.nodes[0].supply(digest)
        assert announcement is not None
        world.nodes[1].exchange(announcement, 1.0)
    assert world.nodes[1].review(block).block == block.header.hash


@pytest.fixture
def signed_twice(world: World) -> SealedBlock:
    """A block with one local gradient that edge nodes 1 and 2 got under different signatures; node 1 mined it."""
    first, second = world.envelope(), world.envelope()
    assert first != second
    world.nodes[0].receive(first, 0.0)
    world.nodes[1].receive(second, 0.0)
    return world.mine()


def test_another_signature_of_the_same_local_gradient_comes_with_the_body(
    world: World, signed_twice: SealedBlock
) -> None:
    assert world.nodes[1].missing(signed_twice) == []
    assert world.nodes[1].review(signed_twice).block == signed_twice.header.hash
    supplied = world.nodes[1].supply(signed_twice.transactions[0].gradient)
    assert supplied is not None
    world.nodes[2].exchange(supplied, 0.0)
    assert world.nodes[2].review(signed_twice).block == signed_twice.header.hash


def test_both_signatures_can_win_the_race(world: World, signed_twice: SealedBlock) -> None:
    rival = world.mine(1)
    world.nodes[0].review(rival)
    world.nodes[1].review(signed_twice)
    world.nodes[0].record(signed_twice)
    world.nodes[1].record(signed_twice)
    assert world.nodes[0].state == world.nodes[1].state


def test_a_signature_without_a_body_finds_no_approval(world: World, signed_twice: SealedBlock) -> None:
    block = world.reseal(signed_twice, body_digest=b"\x01" * 32)
    before = snapshot(world.nodes[1])
    with pytest.raises(BlockRejectedError, match="body"):
        world.nodes[1].review(block)
    assert snapshot(world.nodes[1]) == before


def test_a_forged_signature_in_a_body_finds_no_approval(world: World) -> None:
    world.spread(world.envelope())
    (entry,) = entries_of(world)
    signed = next(iter(world.nodes[0].pool)).gradient.signed
    forged = SignedHeader(signed.header, signed.scheme, bytes(2420), signed.public_key)
    body = world.blobs.put(encode(Body(1, (forged,), bytes(32))))
    block = world.propose([replace(entry, signature=forged.signature_digest)])
    before = snapshot(world.nodes[1])
    with pytest.raises(BlockRejectedError, match="does not hold"):
        world.nodes[1].review(world.reseal(block, body_digest=body.digest))
    assert snapshot(world.nodes[1]) == before


# ---------------------------------------------------------------- omissions


def starved(world: World, blocks: int) -> None:
    """Client 3's local gradient is everywhere, and so many blocks leave it out."""
    world.spread(world.envelope(3))
    for number in range(blocks):
        world.spread(world.envelope(number % 3, number // 3 + 1))
        world.record(world.propose([entries_of(world)[-1]]))


def test_a_block_may_leave_out_what_is_new() -> None:
    world = ProtocolWorld(threshold=8, omission_limit=4)
    starved(world, 3)
    world.spread(world.envelope(0, 2))
    world.nodes[1].review(world.propose(entries_of(world)[-1:]))


def test_a_block_that_leaves_out_what_is_overdue_finds_no_approval() -> None:
    world = ProtocolWorld(threshold=8, omission_limit=4)
    starved(world, 4)
    world.spread(world.envelope(1, 2))
    with pytest.raises(BlockRejectedError, match="leaves out"):
        world.nodes[1].review(world.propose(entries_of(world)[-1:]))
    world.nodes[1].review(world.mine())


def test_a_full_block_may_leave_out_what_is_overdue() -> None:
    world = ProtocolWorld(threshold=8, omission_limit=4, max_transactions=1)
    starved(world, 4)
    world.spread(world.envelope(1, 2))
    world.nodes[1].review(world.propose(entries_of(world)[-1:]))


def test_a_full_body_may_leave_out_what_is_overdue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bflmec.protocol.block_assembler.MAX_BODY", 5_000)
    world = ProtocolWorld(threshold=8, omission_limit=4)
    starved(world, 4)
    world.spread(world.envelope(1, 2))
    world.nodes[1].review(world.propose(entries_of(world)[-1:]))


def test_a_block_may_leave_out_what_exceeds_a_clients_share() -> None:
    world = ProtocolWorld(threshold=8, omission_limit=2, per_client=1)
    world.run_block(world.envelope(0, 1))
    world.spread(world.envelope(0, 2))
    for client in (1, 2):
        world.spread(world.envelope(client))
        world.record(world.propose([entries_of(world)[-1]]))
    world.spread(world.envelope(3))
    world.nodes[1].review(world.mine())


def test_two_local_gradients_under_one_sequence_do_not_block_each_other() -> None:
    world = ProtocolWorld(threshold=8, omission_limit=2)
    world.spread_rivals(by=3)
    for client in (0, 1):
        world.spread(world.envelope(client))
        world.record(world.propose([entries_of(world)[-1]]))
    block = world.mine(0)
    assert sequences(block, world) == [(3, 1)]
    world.nodes[1].review(block)


def test_the_assembler_says_what_still_fits(world: World) -> None:
    world.spread(world.envelope(0, 1), world.envelope(0, 2), world.envelope(0, 3), world.envelope(1))
    assembler: BlockAssembler = world.nodes[0].assembler
    entries, items = entries_of(world), list(world.nodes[0].pool)
    assert assembler.has_room(entries[:1], items[1])
    assert not assembler.has_room(entries[:2], items[2])
    assert assembler.has_room(entries[:2], items[3])
