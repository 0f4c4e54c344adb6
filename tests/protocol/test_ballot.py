"""Counting approvals: a certificate is more than half of the active edge nodes, its miner among them."""

from __future__ import annotations

import pytest
from protocol_world import ProtocolWorld

from bflmec.errors import BlockRejectedError
from bflmec.protocol.consensus import Ballot
from bflmec.protocol.messages import Approval


def approvals(world: ProtocolWorld) -> tuple[Ballot, list[Approval]]:
    """A ballot of node 1 for its block, and everybody's approval of that block."""
    world.spread(world.envelope())
    block = world.mine()
    miner = world.nodes[0]
    own = miner.seal(miner.candidate(), block.nonce)[1]
    return Ballot(block, world.participants, miner.identity.certifier), [
        own,
        *(node.review(block) for node in world.nodes[1:]),
    ]


@pytest.mark.parametrize(("edge_nodes", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_more_than_half_make_a_certificate(edge_nodes: int, needed: int) -> None:
    ballot, given = approvals(ProtocolWorld(edge_nodes=edge_nodes))
    for count, approval in enumerate(given, 1):
        ballot.add(approval)
        assert ballot.is_complete == (count >= needed)


def test_the_miner_has_to_be_among_them() -> None:
    ballot, given = approvals(ProtocolWorld(edge_nodes=3))
    for approval in given[1:]:
        ballot.add(approval)
    assert not ballot.is_complete
    ballot.add(given[0])
    assert ballot.is_complete


def test_an_edge_node_counts_once() -> None:
    ballot, given = approvals(ProtocolWorld(edge_nodes=3))
    ballot.add(given[0])
    ballot.add(given[0])
    assert not ballot.is_complete


def test_an_approval_of_a_stranger_does_not_count() -> None:
    world = ProtocolWorld(edge_nodes=2)
    ballot, given = approvals(world)
    stranger = world.edge_node(9)
    entry = stranger.identity.certifier.sign(given[0].block)
    with pytest.raises(BlockRejectedError, match="no active edge node"):
        ballot.add(Approval(given[0].block, stranger.identity.account, entry))


def test_an_approval_of_another_block_does_not_count() -> None:
    ballot, given = approvals(ProtocolWorld())
    with pytest.raises(BlockRejectedError, match="another block"):
        ballot.add(Approval(bytes(32), given[1].account, given[1].entry))


def test_an_entry_that_does_not_hold_does_not_count() -> None:
    ballot, given = approvals(ProtocolWorld())
    with pytest.raises(BlockRejectedError, match="does not hold"):
        ballot.add(Approval(given[1].block, given[1].account, given[0].entry))


def test_there_is_no_certificate_without_a_majority() -> None:
    ballot, given = approvals(ProtocolWorld(edge_nodes=3))
    ballot.add(given[0])
    with pytest.raises(BlockRejectedError, match="no majority"):
        ballot.certificate()


def test_a_certificate_leaves_out_who_retired_meanwhile() -> None:
    world = ProtocolWorld(edge_nodes=4)
    ballot, given = approvals(world)
    for approval in given[:3]:
        ballot.add(approval)
    assert ballot.is_complete
    del world.participants.nodes[3]
    assert ballot.is_complete
    accounts = sorted(approval.account for approval in given[:2])
    entries = {approval.account: approval.entry for approval in given}
    assert ballot.certificate() == b"".join(entries[account] for account in accounts)


def test_retirement_can_take_the_majority_away_or_give_it() -> None:
    world = ProtocolWorld(edge_nodes=3)
    ballot, given = approvals(world)
    ballot.add(given[0])
    ballot.add(given[1])
    del world.participants.nodes[2]
    assert not ballot.is_complete
    del world.participants.nodes[3]
    assert ballot.is_complete
