"""The typed client against the real contracts on an embedded chain."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from ledger_tools import (
    BASE,
    CLIENT,
    FIRST,
    OWNER,
    PARAMETERS,
    SECOND,
    STRANGER,
    World,
    address,
    digest,
)
from web3 import Web3

from bflmec.devchain import DevChainProvider
from bflmec.errors import LedgerError, LedgerRevertedError
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.events import decode_log
from bflmec.ledger.sender import Sender
from bflmec.protocol.blocks import genesis_parent
from bflmec.storage.cid import RAW, Cid


@pytest.fixture(scope="module")
def shared() -> World:
    """Blocks 1 to 5 of 1, 2, 1, 4, 2 transactions; global updates in 2 and 4. For reading only."""
    world = World.start()
    world.grow(1, 2, 1, 4, 2)
    return world


@pytest.fixture
def world() -> World:
    return World.start()


def test_head(shared: World) -> None:
    head = shared.client.head()
    assert (head.number, head.anchor, head.pending) == (5, 4, 2)
    assert shared.client.head_number() == 5
    assert shared.client.block_hash(5) == head.hash


def test_an_empty_ledger_stands_on_genesis(world: World) -> None:
    parent = genesis_parent(1337, world.deployment.ledger)
    assert world.client.head() == (parent, 0, 0, 0)
    assert world.client.latest_anchor() == (0, parent, PARAMETERS.genesis)
    assert world.client.genesis_hash == world.client.block_hash(0) == parent
    assert list(world.client.blocks(0, 100)) == []


def test_anchors_are_read_by_index_and_walked_by_number(shared: World) -> None:
    client = shared.client
    assert client.anchor_count() == 3
    assert [client.anchor_by_index(index).number for index in range(3)] == [0, 2, 4]
    walked = [anchor for number in range(6) if (anchor := client.anchor_at(number)) is not None]
    assert walked == [client.anchor_by_index(index) for index in range(3)]
    assert client.latest_anchor() == walked[-1]
    assert client.first_transaction(4) == Cid(RAW, digest("global", 3))
    assert client.first_transaction(5) is None


def test_unknown_blocks_and_anchors_are_refused(shared: World) -> None:
    with pytest.raises(LedgerRevertedError) as caught:
        shared.client.first_transaction(6)
    assert (caught.value.name, caught.value.arguments) == ("LedgerUnknownBlock", (6,))
    with pytest.raises(LedgerRevertedError, match=r"LedgerUnknownIndex\(3\)"):
        shared.client.anchor_by_index(3)


def test_parameters(shared: World) -> None:
    parameters = shared.client.parameters()
    assert (parameters.chain_id, parameters.ledger) == (1337, shared.deployment.ledger)
    for name in ("difficulty", "aggregation_threshold", "max_transactions", "base_reward", "rules_digest", "genesis"):
        assert getattr(parameters, name) == getattr(PARAMETERS, name)


def test_appended_blocks_come_back_whole(world: World) -> None:
    blocks = world.grow(1, 3, 2, 2)
    recorded = list(world.client.blocks(1, 100))
    assert [one.block for one in recorded] == blocks
    assert [world.client.certificate(one) for one in recorded] == [world.certificate(block) for block in blocks]
    assert [one.block for one in world.client.blocks(2, 3)] == blocks[1:3]
    assert [one.block for one in world.as_(STRANGER).blocks(3, 3)] == [blocks[2]]
    assert world.client.block(4).block == blocks[3]


def test_blocks_are_found_across_many_host_blocks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bflmec.ledger.events.HOST_BLOCKS_PER_QUERY", 3)
    monkeypatch.setattr("bflmec.ledger.events._REORGANISATION", 2)
    blocks = []
    for count in (1, 1, 3):
        for _ in range(5):
            world.chain.mine()
        blocks += world.grow(count)
    assert [one.block for one in world.client.blocks(1, 3)] == blocks
    assert [one.block for one in world.client.blocks(3, 3)] == blocks[2:]
    assert [one.block for one in world.client.blocks(2, 9)] == blocks[1:]


def test_a_block_that_the_contract_forgot_is_found_in_its_event(world: World) -> None:
    blocks = world.grow(*[1] * 66)
    assert [world.client.block_hash(number) for number in (1, 2, 66)] == [blocks[n].header.hash for n in (0, 1, 65)]
    assert world.client.block_hash(0) == world.client.genesis_hash


def test_append_reports_where_and_for_how_much(world: World) -> None:
    block = world.block(3)
    appended = world.append(block)
    assert appended.host_block == world.chain.head.number
    assert appended.host_transaction == world.client.block(1).host_transaction
    assert 50_000 < appended.gas_used < 200_000


def test_the_largest_block_fits_its_gas(world: World) -> None:
    assert world.append(world.block(40)).gas_used < 400_000


def test_the_largest_block_fits_its_gas_when_archived() -> None:
    world = World.start(archive=True)
    assert world.append(world.block(40)).gas_used < 4_000_000


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another parent": ({"parent": digest("elsewhere")}, "LedgerParentMismatch"),
    "a number ahead": ({"number": 7}, "LedgerNumberMismatch"),
    "an unexpected update": ({"global_digest": digest("w"), "global_codec": RAW}, "LedgerGlobalUpdateNotDue"),
    "another count": ({"transaction_count": 2}, "LedgerTransactionsLength"),
    "another transaction set": ({"transactions_hash": digest("t")}, "LedgerTransactionsHashMismatch"),
    "another anchor": ({"anchor": 1}, "LedgerAnchorMismatch"),
    "more rewards": ({"rewards_total": 5}, "LedgerRewardsTotalMismatch"),
    "another root": ({"rewards_root": digest("r")}, "LedgerRewardsRootMismatch"),
    "a stranger's block": ({"edge_node": address(STRANGER)}, "LedgerMinerNotCertified"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_block_says_why_and_changes_nothing(shared: World, name: str) -> None:
    changes, error = REFUSED[name]
    world = World.start()
    block = world.block(1, **changes)
    with pytest.raises(LedgerRevertedError) as caught:
        world.client.append(block, world.certificate(block))
    assert caught.value.name == error
    assert error in str(caught.value)
    with pytest.raises(LedgerRevertedError) as checked:
        world.client.check_append(block, world.certificate(block))
    assert (checked.value.name, checked.value.arguments) == (error, caught.value.arguments)
    assert world.client.head_number() == 0


def test_the_loser_of_a_race_learns_the_number(world: World) -> None:
    winner, loser = world.block(1), world.block(2)
    world.append(winner)
    with pytest.raises(LedgerRevertedError) as caught:
        world.client.append(loser, world.certificate(loser))
    assert (caught.value.name, caught.value.arguments) == ("LedgerNumberMismatch", (2, 1))


def test_a_certificate_of_one_is_no_quorum(world: World) -> None:
    block = world.block(1)
    with pytest.raises(LedgerRevertedError, match=r"LedgerQuorumMissed\(1, 2\)"):
        world.client.append(block, world.certifiers[0].sign(block.header.hash))


def test_anybody_may_relay_a_block(world: World) -> None:
    block = world.block(1)
    world.as_(STRANGER).append(block, world.certificate(block))
    assert world.client.block(1).block == block


def test_a_block_that_is_on_the_ledger_is_appended_once_whoever_did_it(world: World) -> None:
    block = world.block(1)
    certificate = world.certificate(block)
    appended = world.as_(STRANGER).append(block, certificate)
    newest = world.w3.eth.block_number
    assert world.client.append(block, certificate) == appended
    assert world.w3.eth.block_number == newest
    world.grow(2)
    assert world.client.append(block, certificate) == appended


def test_a_block_that_somebody_else_appends_first_is_appended(world: World) -> None:
    block = world.block(1)
    certificate = world.certificate(block)
    world.chain.auto_mine = False
    relayed = world.as_(STRANGER).submit(block, certificate)
    own = world.client.submit(block, certificate)
    world.chain.mine()
    assert world.w3.eth.get_transaction_receipt(own)["status"] == 0  # type: ignore[arg-type]
    assert world.client.append(block, certificate).host_transaction == relayed


def test_two_blocks_wait_for_one_host_block(world: World) -> None:
    world.chain.auto_mine = False
    first = world.block(1)
    hashes = [world.client.submit(first, world.certificate(first))]
    second = world.block(1, parent=first.header.hash, number=2)
    hashes.append(world.client.submit(second, world.certificate(second)))
    world.chain.mine()
    assert len({world.client.sender.confirm(one)["blockNumber"] for one in hashes}) == 1
    assert [one.block for one in world.client.blocks(1, 2)] == [first, second]


def test_confirmations_hide_the_newest_host_blocks(world: World) -> None:
    careful = LedgerClient(world.w3, world.deployment, confirmations=3)
    world.grow(1)
    assert careful.head_number() == 0
    assert list(careful.blocks(1, 9)) == []
    for _ in range(3):
        world.chain.mine()
    assert careful.head_number() == 1
    assert len(list(careful.blocks(1, 9))) == 1


def test_a_client_without_an_account_only_reads(world: World) -> None:
    reader = LedgerClient(world.w3, world.deployment)
    assert reader.head_number() == 0
    block = world.block(1)
    with pytest.raises(LedgerError, match="only reads"):
        reader.append(block, world.certificate(block))


# Participants


def test_clients_register_rotate_and_leave(world: World) -> None:
    owner, client = world.as_(OWNER).participants, world.as_(CLIENT).participants
    assert client.client_key_digest(address(CLIENT)) is None
    with pytest.raises(LedgerRevertedError) as caught:
        client.register_client(digest("key"))
    assert (caught.value.name, caught.value.arguments) == ("ParticipantsClientNotAllowed", (address(CLIENT),))
    owner.allow_clients([address(CLIENT)])
    assert owner.is_client_allowed(address(CLIENT))
    for key in ("key", "rotated"):
        client.register_client(digest(key))
        assert owner.client_key_digest(address(CLIENT)) == digest(key)
    owner.remove_client(address(CLIENT))
    assert owner.client_key_digest(address(CLIENT)) is None


def test_many_clients_are_allowed_in_several_transactions(world: World) -> None:
    accounts = [digest("client", index)[:20] for index in range(450)]
    owner = world.as_(OWNER).participants
    owner.allow_clients(accounts)
    assert all(owner.is_client_allowed(accounts[index]) for index in (0, 199, 200, 449))


def test_registrations_share_a_host_block(world: World) -> None:
    world.as_(OWNER).participants.allow_clients([address(account) for account in (CLIENT, STRANGER)])
    world.chain.auto_mine = False
    clients = [world.as_(account) for account in (CLIENT, STRANGER)]
    hashes = [client.participants.submit_registration(digest("key")) for client in clients]
    world.chain.mine()
    for client, transaction_hash in zip(clients, hashes, strict=True):
        client.sender.confirm(transaction_hash)
        assert client.participants.client_key_digest(client.sender.address) == digest("key")


def test_an_open_registry_takes_everybody() -> None:
    world = World.start(open_registration=True)
    client = world.as_(CLIENT).participants
    assert client.open_registration()
    client.register_client(digest("key"))
    assert client.client_key_digest(address(CLIENT)) == digest("key")


def test_edge_nodes_are_admitted_moved_and_retired(world: World) -> None:
    owner, reader = world.as_(OWNER).participants, world.client.participants
    assert reader.edge_nodes() == {1: address(FIRST), 2: address(SECOND)}
    assert owner.admit_edge_node(address(STRANGER), digest("a"), digest("b"), "https://third") == 3
    assert reader.edge_nodes() == {1: address(FIRST), 2: address(SECOND), 3: address(STRANGER)}
    node = reader.edge_node(3)
    assert (node.account, node.signature_key_digest, node.encapsulation_key_digest) == (
        address(STRANGER),
        digest("a"),
        digest("b"),
    )
    owner.update_endpoint(3, "https://moved")
    assert reader.edge_node(3).endpoint == "https://moved"
    owner.replace_edge_node_keys(3, digest("c"), digest("d"))
    assert reader.edge_node(3).signature_key_digest == digest("c")
    owner.retire_edge_node(2)
    assert reader.edge_nodes() == {1: address(FIRST), 3: address(STRANGER)}
    assert not reader.edge_node(2).active
    assert (reader.active_edge_nodes(), reader.last_edge_node_id()) == (2, 3)
    assert reader.edge_node_id(address(OWNER)) is None
    with pytest.raises(LedgerRevertedError) as caught:
        reader.edge_node(4)
    assert caught.value.name == "ParticipantsUnknownEdgeNode"


def test_only_the_owner_admits(world: World) -> None:
    with pytest.raises(LedgerRevertedError) as caught:
        world.as_(STRANGER).participants.admit_edge_node(address(CLIENT), digest("a"), digest("b"), "https://x")
    assert (caught.value.name, caught.value.arguments) == ("OwnableUnauthorizedAccount", (address(STRANGER),))


# Rewards


def test_rewards_are_claimed_once(world: World) -> None:
    (block,) = world.grow(4)
    token, account = world.client.token, block.rewards[1].account
    assert world.client.rewards() == (block.header.rewards_root, BASE)
    assert token.claim(world.balances, account) == block.rewards[1].amount
    assert token.claimed(account) == token.balance(account) == token.supply() == block.rewards[1].amount
    with pytest.raises(LedgerRevertedError) as caught:
        token.claim(world.balances, account)
    assert caught.value.name == "RewardTokenAlreadyClaimed"


def test_one_claim_collects_what_several_updates_paid(world: World) -> None:
    first, second = world.grow(3, 3)
    account = first.rewards[0].account
    assert world.client.token.claim(world.balances, account) == first.rewards[0].amount + second.rewards[0].amount


def test_a_claim_with_other_balances_than_the_recorded_is_refused(world: World) -> None:
    world.grow(3)
    account = next(iter(world.balances))
    with pytest.raises(LedgerRevertedError) as caught:
        world.client.token.claim(world.balances | {account: BASE}, account)
    assert caught.value.name == "RewardTokenInvalidProof"
    with pytest.raises(LedgerError, match="no reward was ever recorded"):
        world.client.token.claim(world.balances, b"\x01" * 20)


# Networks


def test_fees_follow_a_chain_without_base_fee(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    get_block = world.w3.eth.get_block
    monkeypatch.setattr(
        world.w3.eth, "get_block", lambda *given: {k: v for k, v in get_block(*given).items() if k != "baseFeePerGas"}
    )
    world.grow(1)
    transaction = world.w3.eth.get_transaction(world.client.block(1).host_transaction)  # type: ignore[arg-type]
    assert transaction["type"] == 0


def test_a_host_chain_that_is_gone_is_a_ledger_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*given: object) -> None:
        raise ConnectionRefusedError("nobody listens")

    monkeypatch.setattr(DevChainProvider, "make_request", gone)
    unreachable = Web3(DevChainProvider(world.chain))
    with pytest.raises(LedgerError, match="can't be reached"):
        LedgerClient(unreachable, world.deployment)


def test_a_transaction_that_is_never_mined_is_given_up(world: World) -> None:
    world.chain.auto_mine = False
    sender = Sender(world.w3, STRANGER, timeout=0.2)
    with pytest.raises(LedgerError, match="no block has transaction"):
        sender.send(address(STRANGER), b"", 21_000)


def test_out_of_gas_is_named(world: World) -> None:
    block = world.block(1)
    data = world.client._append_call(block, world.certificate(block))
    with pytest.raises(LedgerRevertedError, match="gas"):
        Sender(world.w3, STRANGER).send(world.deployment.ledger, data, 90_000)


def test_a_log_that_contradicts_itself_is_refused(world: World) -> None:
    world.grow(3)
    (log,) = world.w3.eth.get_logs({"address": world.w3.to_checksum_address(world.deployment.ledger), "fromBlock": 0})
    whole = dict(log)
    assert decode_log(whole).block.header.number == 1
    other_topics = [log["topics"][0], log["topics"][1], sha256(b"other").digest(), log["topics"][3]]
    for damage in (
        {"data": bytes(log["data"])[:-32]},
        {"data": bytes(log["data"])[:100]},
        {"data": b"\xff" + bytes(log["data"])[1:]},
        {"topics": other_topics},
    ):
        with pytest.raises(LedgerError):
            decode_log(whole | damage)


def test_a_missing_event_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.grow(1, 1, 1)
    get_logs = world.w3.eth.get_logs
    monkeypatch.setattr(world.w3.eth, "get_logs", lambda given: get_logs(given)[:1] + get_logs(given)[2:])
    with pytest.raises(LedgerError, match="no event of block 2"):
        list(world.client.blocks(1, 3))


def test_a_reader_is_not_fooled_by_another_contract(world: World) -> None:
    wrong = replace(world.deployment, ledger=world.deployment.participants)
    with pytest.raises(LedgerError):
        LedgerClient(world.w3, wrong).head()
