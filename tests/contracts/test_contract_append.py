"""BFLLedger.append: what it accepts, what it records, and what it refuses with which error."""

from __future__ import annotations

from dataclasses import replace

import pytest
from consortium import (
    DAG_PB,
    PARAMETERS,
    RAW,
    TOKEN,
    Append,
    Chain,
    Consortium,
    account,
    certify,
    digest,
    edge_node_key,
    entry,
    reverts,
    share,
    transactions,
)
from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey

from bflmec.crypto.seal import seal_holds
from bflmec.protocol.blocks import (
    ZERO_DIGEST,
    Header,
    Reward,
    encode_rewards,
    encode_transactions,
    genesis_parent,
    transactions_hash,
)

BASE = PARAMETERS["baseReward"]


def address(key: PrivateKey) -> bytes:
    return bytes(key.public_key.to_canonical_address())


def head(consortium: Consortium) -> tuple[bytes, int, int, int]:
    hash_, number, anchor, pending = consortium.ledger.functions.head().call()
    return hash_, number, anchor, pending


# --- what is recorded


def test_append_makes_the_block_the_head(consortium: Consortium) -> None:
    block = consortium.block(2)
    consortium.append(block)
    assert head(consortium) == (block.header.hash, 1, 0, 2)


def test_append_binds_the_first_block_to_chain_and_ledger(consortium: Consortium) -> None:
    ledger = bytes.fromhex(consortium.ledger.address[2:])
    assert consortium.block().header.parent == genesis_parent(consortium.chain.web3.eth.chain_id, ledger)


def test_append_emits_everything_an_indexer_needs(consortium: Consortium) -> None:
    block = consortium.block(3, share(BASE, 3))
    ((name, event),) = consortium.chain.events(consortium.ledger, consortium.append(block))
    assert name == "BlockAppended"
    assert (event["number"], event["hash"], event["nonce"]) == (1, block.header.hash, block.nonce)
    assert event["edgeNode"].lower() == "0x" + block.header.edge_node.hex()
    assert (event["transactions"], event["rewards"]) == (block.transactions, block.rewards)
    values = [bytes.fromhex(v[2:]) if isinstance(v, str) else v for v in event["header"].values()]
    assert Header(*values) == block.header


def test_append_is_relayed_by_anybody(consortium: Consortium) -> None:
    consortium.append(consortium.block(), sender=consortium.chain.user(5))
    assert head(consortium)[1] == 1


def test_append_counts_transactions_until_the_threshold(consortium: Consortium) -> None:
    for pending in (1, 2):
        consortium.append(consortium.block(1))
        assert head(consortium)[2:] == (0, pending)
    consortium.append(consortium.block(1))
    assert head(consortium)[2:] == (3, 0)


def test_append_takes_more_than_the_threshold_in_one_update(consortium: Consortium) -> None:
    consortium.append(consortium.block(7))
    assert head(consortium)[2:] == (1, 0)


@pytest.mark.parametrize("codec", [RAW, DAG_PB])
def test_append_records_the_global_gradient(consortium: Consortium, codec: int) -> None:
    consortium.append(consortium.block(3, global_codec=codec))
    assert consortium.ledger.functions.latestAnchor().call() == [1, digest("global", 1), codec]


def test_append_records_rewards_root_and_total(consortium: Consortium) -> None:
    block = consortium.block(3, share(BASE, 2))
    consortium.append(block)
    assert consortium.ledger.functions.rewards().call() == [block.header.rewards_root, BASE]


def test_append_accepts_an_update_that_pays_nobody(consortium: Consortium) -> None:
    consortium.append(consortium.block(3, rewards=()))
    assert consortium.ledger.functions.rewards().call() == [ZERO_DIGEST, 0]


def test_append_credits_the_miner_without_listing_it(chain: Chain) -> None:
    consortium = Consortium.found(chain, minerReward=5 * TOKEN)
    consortium.append(consortium.block(1))
    assert consortium.ledger.functions.rewards().call()[1] == 5 * TOKEN
    consortium.append(consortium.block(2, share(BASE, 2)))
    assert consortium.ledger.functions.rewards().call()[1] == BASE + 10 * TOKEN
    consortium.claim(address(consortium.keys[0]))
    assert consortium.token.functions.balanceOf(address(consortium.keys[0])).call() == 10 * TOKEN


@pytest.mark.parametrize("count", [1, 40])
def test_append_accepts_one_to_max_transactions(consortium: Consortium, count: int) -> None:
    consortium.append(consortium.block(count))
    assert head(consortium)[1] == 1


def test_append_costs_the_same_whoever_has_registered(consortium: Consortium) -> None:
    clients = [account(1000 + i) for i in range(200)]
    block = consortium.block(3)
    snapshot = consortium.chain.tester.take_snapshot()
    before = consortium.append(block)["gasUsed"]
    consortium.chain.tester.revert_to_snapshot(snapshot)
    consortium.chain.send(consortium.participants.functions.allowClients(clients))
    assert consortium.append(block)["gasUsed"] == before


# --- position


def test_append_refuses_the_loser_of_a_race(consortium: Consortium) -> None:
    winner = consortium.block(1)
    loser = consortium.block(1, edge_node=address(consortium.keys[1]), body_digest=digest("other"))
    consortium.append(winner)
    with reverts("LedgerNumberMismatch", 2, 1):
        consortium.append(loser)


@pytest.mark.parametrize("number", [0, 2, 2**64 - 1])
def test_append_refuses_another_number(consortium: Consortium, number: int) -> None:
    with reverts("LedgerNumberMismatch", 1, number):
        consortium.append(consortium.block(number=number))


def test_append_refuses_another_parent(consortium: Consortium) -> None:
    with reverts("LedgerParentMismatch", head(consortium)[0], digest("parent")):
        consortium.append(consortium.block(parent=digest("parent")))


def test_append_refuses_a_block_of_another_ledger(consortium: Consortium) -> None:
    other = Consortium.found(consortium.chain)
    with reverts("LedgerParentMismatch"):
        consortium.append(other.block())


# --- seal


def missing_nonce(header_hash: bytes, difficulty: int) -> int:
    return next(nonce for nonce in range(2**20) if not seal_holds(header_hash, nonce, difficulty))


def test_append_refuses_a_nonce_that_misses(consortium: Consortium) -> None:
    block = consortium.block()
    nonce = missing_nonce(block.header.hash, consortium.parameters["difficulty"])
    with reverts("LedgerSealMissed", block.header.hash, nonce):
        consortium.append(replace(block, nonce=nonce))


def test_append_agrees_with_the_python_seal_on_every_nonce(consortium: Consortium) -> None:
    block = consortium.block()
    for nonce in [*range(40), 2**32, 2**64 - 1]:
        call = consortium.ledger.functions.append(*replace(block, nonce=nonce).arguments())
        if seal_holds(block.header.hash, nonce, consortium.parameters["difficulty"]):
            call.call()
        else:
            with reverts("LedgerSealMissed"):
                call.call()


def test_append_refuses_a_seal_whose_miner_was_replaced(consortium: Consortium) -> None:
    block = consortium.block()
    header = replace(block.header, edge_node=address(consortium.keys[1]))
    nonce = missing_nonce(header.hash, consortium.parameters["difficulty"])
    with reverts("LedgerSealMissed"):
        consortium.append(Append(header, nonce, block.transactions, b"", certify(header.hash, consortium.keys)))


# --- transactions


@pytest.mark.parametrize("count", [0, 41, 2**32 - 1])
def test_append_refuses_an_impossible_number_of_transactions(consortium: Consortium, count: int) -> None:
    with reverts("LedgerTransactionCount", count, 40):
        consortium.append(consortium.block(transaction_count=count))


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0", lambda data: b""])
def test_append_refuses_packed_transactions_of_another_length(consortium: Consortium, change) -> None:
    packed = change(encode_transactions(transactions(2)))
    block = consortium.seal(consortium.header(2, transactions_hash=keccak(packed)), packed)
    with reverts("LedgerTransactionsLength", 172, len(packed)):
        consortium.append(block)


def test_append_refuses_transactions_that_the_header_does_not_hash(consortium: Consortium) -> None:
    block = consortium.block(2)
    packed = bytes([block.transactions[0] ^ 1]) + block.transactions[1:]
    with reverts("LedgerTransactionsHashMismatch", block.header.transactions_hash, keccak(packed)):
        consortium.append(replace(block, transactions=packed))


# --- global update


def test_append_refuses_a_block_without_the_update_that_is_due(consortium: Consortium) -> None:
    consortium.append(consortium.block(2))
    with reverts("LedgerGlobalUpdateDue", 3):
        consortium.append(consortium.block(1, global_digest=ZERO_DIGEST, global_codec=0, anchor=0))


def test_append_refuses_an_update_that_is_not_due(consortium: Consortium) -> None:
    with reverts("LedgerGlobalUpdateNotDue", 2):
        consortium.append(consortium.block(2, global_digest=digest("early"), global_codec=RAW, anchor=1))


def test_append_refuses_an_update_with_an_older_anchor(consortium: Consortium) -> None:
    with reverts("LedgerAnchorMismatch", 1, 0):
        consortium.append(consortium.block(3, anchor=0))


def test_append_refuses_an_anchor_without_an_update(consortium: Consortium) -> None:
    with reverts("LedgerAnchorMismatch", 0, 1):
        consortium.append(consortium.block(1, anchor=1))


@pytest.mark.parametrize("codec", [0, 1, 0x54, 0x71, 255])
def test_append_refuses_a_global_gradient_of_unknown_codec(consortium: Consortium, codec: int) -> None:
    with reverts("LedgerUnknownCodec", codec):
        consortium.append(consortium.block(3, global_codec=codec))


def test_append_refuses_a_codec_without_a_global_gradient(consortium: Consortium) -> None:
    with reverts("LedgerUnknownCodec", RAW):
        consortium.append(consortium.block(1, global_codec=RAW))


# --- rewards


def test_append_refuses_rewards_without_an_update(consortium: Consortium) -> None:
    with reverts("LedgerRewardsLength", 64):
        consortium.append(consortium.block(1, share(BASE, 2)))


@pytest.mark.parametrize("length", [1, 31, 33, 95])
def test_append_refuses_a_part_of_a_reward(consortium: Consortium, length: int) -> None:
    block = consortium.block(3, share(BASE, 3))
    with reverts("LedgerRewardsLength", length):
        consortium.append(replace(block, rewards=block.rewards[:length]))


def test_append_refuses_more_rewards_than_transactions_since_the_anchor(consortium: Consortium) -> None:
    consortium.append(consortium.block(2))
    with reverts("LedgerRewardsLength", 6 * 32):
        consortium.append(consortium.block(3, share(BASE, 6)))
    consortium.append(consortium.block(3, share(BASE, 5)))


def test_append_pays_more_clients_than_one_block_has_transactions(chain: Chain) -> None:
    consortium = Consortium.found(chain, maxTransactions=2, aggregationThreshold=6)
    for _ in range(2):
        consortium.append(consortium.block(2))
    consortium.append(consortium.block(2, share(BASE, 6)))
    assert consortium.ledger.functions.rewards().call()[1] == BASE


@pytest.mark.parametrize("total", [1, BASE - 1, BASE + 1, 2 * BASE])
def test_append_refuses_a_reward_list_that_does_not_sum_to_base(consortium: Consortium, total: int) -> None:
    with reverts("LedgerRewardsSumMismatch", BASE, total):
        consortium.append(consortium.block(3, share(total, 1)))


def test_append_sums_the_largest_amounts_without_overflow(consortium: Consortium) -> None:
    largest = Reward(account(0), 2**96 - 1)
    with reverts("LedgerRewardsSumMismatch", BASE, 40 * (2**96 - 1)):
        consortium.append(consortium.block(40, [largest] * 40, rewards_total=0))


def test_append_refuses_a_listed_reward_of_zero(consortium: Consortium) -> None:
    with reverts("LedgerZeroReward", account(9)):
        consortium.append(consortium.block(3, [*share(BASE, 2), Reward(account(9), 0)]))


@pytest.mark.parametrize("difference", [-1, 1])
def test_append_refuses_a_total_that_does_not_grow_by_what_is_paid(consortium: Consortium, difference: int) -> None:
    with reverts("LedgerRewardsTotalMismatch", BASE, BASE + difference):
        consortium.append(consortium.block(3, share(BASE, 2), rewards_total=BASE + difference))


def test_append_refuses_a_total_that_forgets_the_miner(chain: Chain) -> None:
    consortium = Consortium.found(chain, minerReward=TOKEN)
    with reverts("LedgerRewardsTotalMismatch", TOKEN, 0):
        consortium.append(consortium.block(1, rewards_total=0))


def test_append_refuses_another_root_when_nothing_is_paid(consortium: Consortium) -> None:
    consortium.append_update()
    root = consortium.ledger.functions.rewards().call()[0]
    with reverts("LedgerRewardsRootMismatch", root, digest("root")):
        consortium.append(consortium.block(1, rewards_root=digest("root")))


def test_append_pays_nothing_where_base_is_zero(chain: Chain) -> None:
    consortium = Consortium.found(chain, baseReward=0)
    consortium.append(consortium.block(3))
    with reverts("LedgerRewardsSumMismatch", 0, 1):
        consortium.append(consortium.block(3, share(1, 1)))


# --- certificate


def test_append_accepts_a_majority(consortium: Consortium) -> None:
    consortium.append(consortium.block(keys=consortium.keys[:2]))
    assert head(consortium)[1] == 1


@pytest.mark.parametrize(("edge_nodes", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_append_needs_more_than_half_of_the_active_edge_nodes(chain: Chain, edge_nodes: int, needed: int) -> None:
    consortium = Consortium.found(chain, edge_nodes)
    if needed > 1:
        with reverts("LedgerQuorumMissed", needed - 1, edge_nodes):
            consortium.append(consortium.block(keys=consortium.keys[: needed - 1]))
    consortium.append(consortium.block(keys=consortium.keys[:needed]))
    assert head(consortium)[1] == 1


def test_append_refuses_a_certificate_without_the_miner(consortium: Consortium) -> None:
    with reverts("LedgerMinerNotCertified", address(consortium.keys[0])):
        consortium.append(consortium.block(keys=consortium.keys[1:]))


def test_append_refuses_a_foreign_signer(consortium: Consortium) -> None:
    foreigner = edge_node_key(99)
    with reverts("ParticipantsNotActive", address(foreigner)):
        consortium.append(consortium.block(keys=[*consortium.keys, foreigner]))


def test_append_refuses_a_foreign_miner(consortium: Consortium) -> None:
    foreigner = edge_node_key(99)
    with reverts("ParticipantsNotActive", address(foreigner)):
        consortium.append(consortium.block(keys=[*consortium.keys, foreigner], edge_node=address(foreigner)))


def test_append_refuses_a_retired_signer(consortium: Consortium) -> None:
    block = consortium.block()
    consortium.chain.send(consortium.participants.functions.retireEdgeNode(3))
    with reverts("ParticipantsNotActive", address(consortium.keys[2])):
        consortium.append(block)


def test_append_follows_the_quorum_when_edge_nodes_come_and_go(consortium: Consortium) -> None:
    consortium.admit(edge_node_key(3))
    two = consortium.block(keys=consortium.keys[:2])
    with reverts("LedgerQuorumMissed", 2, 4):
        consortium.append(two)
    consortium.chain.send(consortium.participants.functions.retireEdgeNode(4))
    consortium.append(two)
    assert head(consortium)[1] == 1


def test_append_refuses_the_certificate_of_another_block(consortium: Consortium) -> None:
    block = consortium.block()
    other = certify(digest("another header"), consortium.keys)
    call = consortium.ledger.functions.append(*replace(block, certificate=other).arguments())
    # A signature over another header recovers to an arbitrary account, never to an edge node's.
    with pytest.raises(Exception, match="execution reverted"):
        call.call()


def test_append_refuses_a_duplicate_signer(consortium: Consortium) -> None:
    block = consortium.block()
    miner = consortium.keys[0]
    with reverts("CertificatesNotAscending", 1, address(miner)):
        consortium.append(replace(block, certificate=2 * entry(block.header.hash, miner)))


@pytest.mark.parametrize("certificate", [b"", b"\0" * 64, b"\0" * 66])
def test_append_refuses_a_malformed_certificate(consortium: Consortium, certificate: bytes) -> None:
    with reverts("CertificatesMalformed", len(certificate)):
        consortium.append(replace(consortium.block(), certificate=certificate))


# --- bytes


NARROW = {1: 8, 2: 8, 3: 20, 5: 4, 8: 1, 10: 16}


@pytest.mark.parametrize("word", NARROW)
def test_append_refuses_dirty_bits_above_a_narrow_field(consortium: Consortium, word: int) -> None:
    data = bytearray.fromhex(consortium.ledger.encode_abi("append", consortium.block(3).arguments())[2:])
    data[4 + 32 * word + 31 - NARROW[word]] ^= 1
    transaction = {"from": consortium.chain.owner, "to": consortium.ledger.address, "data": bytes(data)}
    with pytest.raises(Exception, match="execution reverted"):
        consortium.chain.web3.eth.call(transaction)


def test_append_hashes_the_header_as_python_does(consortium: Consortium) -> None:
    for count in (1, 2, 5):
        block = consortium.block(count)
        consortium.append(block)
        assert head(consortium)[0] == block.header.hash == keccak(block.header.encode())


def test_append_packs_transactions_and_rewards_as_python_does(consortium: Consortium) -> None:
    block = consortium.block(3, share(BASE, 3))
    assert block.header.transactions_hash == transactions_hash(transactions(3, 1))
    assert (len(block.transactions), block.rewards) == (3 * 86, encode_rewards(share(BASE, 3)))
    consortium.append(block)
