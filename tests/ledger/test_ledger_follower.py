"""A follower reports each block of the ledger once, in order, and takes back what the host chain took back."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from ledger_tools import FIRST, World
from web3 import Web3
from web3.providers import BaseProvider

from bflmec.devchain import DevChain, DevChainProvider
from bflmec.errors import LedgerError
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.follower import BlockAdded, BlockRemoved, Change, Checkpoint, Follower
from bflmec.protocol.blocks import SealedBlock


class Switch(BaseProvider):
    """A node that can be exchanged for one with another chain, and can fail."""

    def __init__(self, chain: DevChain) -> None:
        super().__init__()
        self.node = DevChainProvider(chain)
        self.fail_after = 0
        self.failing = 0
        self.longest_range = 10**9

    def make_request(self, method: Any, params: Any) -> Any:
        if self.fail_after:
            self.fail_after -= 1
        elif self.failing:
            self.failing -= 1
            raise ConnectionError("the node hung up")
        if method == "eth_getLogs" and int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) >= (
            self.longest_range
        ):
            return {"jsonrpc": "2.0", "id": 1, "error": {"code": -32005, "message": "range too wide"}}
        return self.node.make_request(method, params)


@dataclass
class Net:
    """One chain file, copies of it that go different ways, and a node that serves one of them."""

    world: World
    file: Path
    node: Switch
    opened: list[DevChain]

    @property
    def w3(self) -> Web3:
        return Web3(self.node)

    def serve(self, world: World) -> None:
        self.node.node = DevChainProvider(world.chain)

    def copy(self) -> World:
        """Another chain that begins like this one is now."""
        path = self.file.with_name(f"{len(self.opened)}.sqlite")
        self.world.chain.close()
        shutil.copy(self.file, path)
        self._open(self.world, self.file)
        return self._open(replace(self.world, balances=dict(self.world.balances)), path)

    def _open(self, world: World, path: Path) -> World:
        world.chain = DevChain.open(path)
        world.w3 = Web3(DevChainProvider(world.chain))
        world.client = LedgerClient(world.w3, world.deployment, FIRST)
        self.opened.append(world.chain)
        return world


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    world = World.start(file=tmp_path / "0.sqlite")
    made = Net(world, tmp_path / "0.sqlite", Switch(world.chain), [world.chain])
    yield made
    for chain in made.opened:
        chain.close()


def follow(net: Net, checkpoint: Checkpoint | None = None, **options: Any) -> Follower:
    net.serve(net.world)
    return Follower(net.w3, net.world.deployment, checkpoint, **options)


def hashes(blocks: Iterable[SealedBlock]) -> list[bytes]:
    return [block.header.hash for block in blocks]


def added(changes: list[Change]) -> list[bytes]:
    assert all(isinstance(change, BlockAdded) for change in changes)
    return hashes(change.recorded.block for change in changes)


def test_blocks_are_reported_once_and_in_order(net: Net) -> None:
    blocks = net.world.grow(1, 2)
    follower = follow(net)
    assert added(follower.poll()) == hashes(blocks)
    assert follower.poll() == []
    later = net.world.grow(1, 1)
    assert added(follower.poll()) == hashes(later)
    assert follower.checkpoint is not None
    assert follower.checkpoint.number == 4


def test_a_follower_goes_on_from_a_checkpoint(net: Net) -> None:
    net.world.grow(1, 1)
    follower = follow(net)
    follower.poll()
    later = net.world.grow(1)
    assert added(follow(net, follower.checkpoint).poll()) == hashes(later)


def test_a_reorganisation_takes_blocks_back_newest_first(net: Net) -> None:
    shared = net.world.grow(1)
    other = net.copy()
    gone = net.world.grow(1, 1)
    follower = follow(net)
    follower.poll()
    new = other.grow(2, 1, 1)
    net.serve(other)
    changes = follower.poll()
    removed = [change.recorded.block.header.hash for change in changes if isinstance(change, BlockRemoved)]
    assert removed == hashes(reversed(gone))
    assert added(changes[len(removed) :]) == hashes(new)
    assert shared[0].header.hash not in removed


def test_a_reorganisation_that_records_less_takes_blocks_back_all_the_same(net: Net) -> None:
    other = net.copy()
    gone = net.world.grow(1)
    follower = follow(net)
    follower.poll()
    other.chain.mine()
    other.chain.mine()
    net.serve(other)
    assert [type(change) for change in follower.poll()] == [BlockRemoved]
    assert follower.checkpoint is None
    net.world.chain.mine()
    net.serve(net.world)
    assert added(follower.poll()) == hashes(gone)


def test_a_block_that_moved_to_an_earlier_host_block_is_not_missed(net: Net) -> None:
    other = net.copy()
    net.world.chain.mine()
    net.world.chain.mine()
    follower = follow(net)
    assert follower.poll() == []
    moved = other.grow(1, 1, 1)
    net.serve(other)
    assert added(follower.poll()) == hashes(moved)


def test_a_node_that_lags_behind_takes_nothing_back(net: Net) -> None:
    behind = net.copy()
    blocks = net.world.grow(1, 1)
    follower = follow(net)
    assert added(follower.poll()) == hashes(blocks)
    net.serve(behind)
    assert follower.poll() == []
    net.serve(net.world)
    assert follower.poll() == []


@pytest.mark.parametrize("failures", range(1, 8))
def test_a_lost_connection_loses_no_block_and_repeats_none(net: Net, failures: int) -> None:
    blocks = net.world.grow(1, 1, 1)
    follower = follow(net)
    seen: list[bytes] = []
    for failing_after in range(8):
        net.node.fail_after, net.node.failing = failing_after, failures
        try:
            seen += added(follower.poll())
        except LedgerError:
            continue
    net.node.failing = 0
    seen += added(follower.poll())
    assert seen == hashes(blocks)


@pytest.mark.parametrize("questions", range(1, 8))
def test_a_reorganisation_that_is_interrupted_and_taken_back_leaves_no_gap(net: Net, questions: int) -> None:
    other = net.copy()
    blocks = net.world.grow(1, 1, 1)
    follower = follow(net)
    assert added(follower.poll()) == hashes(blocks)
    new = other.grow(2, 1, 1, 1)
    net.serve(other)
    net.node.fail_after, net.node.failing = questions, 1
    held = hashes(blocks)
    for world in (other, net.world, other):
        with suppress(LedgerError):
            held = applied(held, follower.poll())
        net.node.fail_after = net.node.failing = 0
        net.serve(world)
    assert applied(held, follower.poll()) == hashes(new)


def applied(held: list[bytes], changes: list[Change]) -> list[bytes]:
    """What somebody who follows the changes holds afterwards."""
    held = list(held)
    for change in changes:
        digest = change.recorded.block.header.hash
        if isinstance(change, BlockAdded):
            held.append(digest)
        else:
            assert held.pop() == digest
    return held


def test_a_node_that_bounds_queries_is_asked_for_less(net: Net) -> None:
    blocks = net.world.grow(*[1] * 9)
    net.node.longest_range = 2
    assert added(follow(net).poll()) == hashes(blocks)


def test_unconfirmed_blocks_wait(net: Net) -> None:
    blocks = net.world.grow(1, 1)
    follower = follow(net, confirmations=1)
    assert added(follower.poll()) == hashes(blocks[:1])
    net.world.chain.mine()
    assert added(follower.poll()) == hashes(blocks[1:])


def test_a_reorganisation_below_the_checkpoint_is_refused_and_changes_nothing(net: Net) -> None:
    other = net.copy()
    net.world.grow(1)
    first = follow(net)
    first.poll()
    follower = follow(net, first.checkpoint)
    net.world.grow(1)
    follower.poll()
    before = follower.checkpoint
    other.grow(2, 1, 1)
    net.serve(other)
    with pytest.raises(LedgerError, match="older checkpoint"):
        follower.poll()
    assert follower.checkpoint == before
    net.serve(net.world)
    assert follower.poll() == []


def test_a_reorganisation_deeper_than_the_depth_is_refused(net: Net) -> None:
    other = net.copy()
    net.world.grow(1, 1, 1)
    follower = follow(net, depth=2)
    follower.poll()
    other.grow(2, 1, 1, 1)
    net.serve(other)
    with pytest.raises(LedgerError, match="deeper"):
        follower.poll()
