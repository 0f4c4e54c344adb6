"""BFLLedger: deployment, reads and the archive."""

from __future__ import annotations

from typing import Any

import pytest
import rlp
from consortium import (
    DAG_PB,
    GAS,
    PARAMETERS,
    RAW,
    Chain,
    Consortium,
    account,
    digest,
    reverts,
    share,
    transactions,
)
from eth_hash.auto import keccak
from web3.contract import Contract

from bflmec.protocol.blocks import ZERO_DIGEST, genesis_parent

GENESIS = [0, PARAMETERS["genesisDigest"], RAW]
CODE_LIMIT = 24_576  # EIP-170
LARGEST_ARCHIVED_BLOCK = 207  # transactions, and two rewards more (threshold 3), in one contract's code


def raw(address: str) -> bytes:
    return bytes.fromhex(address[2:])


# --- deployment


def test_parameters_are_what_was_deployed(consortium: Consortium) -> None:
    found = consortium.ledger.functions.parameters().call()
    assert list(found) == list(consortium.parameters.values())


IMPOSSIBLE = [
    ("participants", account(1)),
    ("certificates", account(1)),
    ("difficulty", 0),
    ("difficulty", 2**64 + 1),
    ("aggregationThreshold", 0),
    ("maxTransactions", 0),
    ("rulesDigest", bytes(32)),
    ("genesisDigest", bytes(32)),
    ("genesisCodec", 0),
    ("genesisCodec", 0x71),
]


@pytest.mark.parametrize(("name", "value"), IMPOSSIBLE, ids=[f"{n}={v!r:.8}" for n, v in IMPOSSIBLE])
def test_constructor_refuses_an_impossible_value(consortium: Consortium, name: str, value: object) -> None:
    with reverts("LedgerImpossibleParameter", name):
        deploy(consortium, **{name: value})


def test_constructor_refuses_to_archive_blocks_that_do_not_fit(consortium: Consortium) -> None:
    deploy(consortium, archive=True, maxTransactions=LARGEST_ARCHIVED_BLOCK)
    with reverts("LedgerImpossibleParameter", "archive"):
        deploy(consortium, archive=True, maxTransactions=LARGEST_ARCHIVED_BLOCK + 1)
    with reverts("LedgerImpossibleParameter", "archive"):
        deploy(consortium, archive=True, aggregationThreshold=700)
    # One transaction, and the rewards of the 764 before it and its own: 86 + 32 · 765 = 24,566 of 24,575 bytes.
    deploy(consortium, archive=True, maxTransactions=1, aggregationThreshold=765)
    with reverts("LedgerImpossibleParameter", "archive"):
        deploy(consortium, archive=True, maxTransactions=1, aggregationThreshold=766)


def test_constructor_accepts_the_extreme_values(consortium: Consortium) -> None:
    extremes = {
        "difficulty": 2**64,
        "aggregationThreshold": 2**16 - 1,
        "maxTransactions": 2**16 - 1,
        "baseReward": 2**96 - 1,
        "minerReward": 2**96 - 1,
        "genesisCodec": DAG_PB,
    }
    ledger = deploy(consortium, **extremes)
    assert list(ledger.functions.parameters().call()[2:7]) == list(extremes.values())[:5]
    assert ledger.functions.latestAnchor().call() == [0, PARAMETERS["genesisDigest"], DAG_PB]


def deploy(consortium: Consortium, **changes: object) -> Contract:
    return consortium.chain.deploy("BFLLedger", tuple({**consortium.parameters, **changes}.values()))


@pytest.mark.parametrize("name", ["participants", "certificates", "ledger", "token"])
def test_contracts_fit_the_code_size_limit(consortium: Consortium, name: str) -> None:
    address = getattr(consortium, name).address
    assert 0 < len(consortium.chain.web3.eth.get_code(address)) <= CODE_LIMIT


# --- reads


def test_an_empty_ledger_starts_at_genesis(consortium: Consortium) -> None:
    read = consortium.ledger.functions
    parent = genesis_parent(consortium.chain.web3.eth.chain_id, raw(consortium.ledger.address))
    assert read.head().call() == [parent, 0, 0, 0]
    assert read.blockHash(0).call() == parent
    assert read.latestAnchor().call() == read.anchorAt(0).call() == GENESIS
    assert read.firstTransaction(0).call() == GENESIS[1:]
    assert read.anchorCount().call() == 1
    assert read.rewards().call() == [ZERO_DIGEST, 0]


def test_anchor_at_lists_every_global_update(consortium: Consortium) -> None:
    expected = [GENESIS]
    for update in range(10):
        codec = (RAW, DAG_PB)[update % 2]
        consortium.append(consortium.block(1))
        consortium.append(consortium.block(2, global_codec=codec))
        expected.append([2 * update + 2, digest("global", 2 * update + 2), codec])
        assert consortium.ledger.functions.latestAnchor().call() == expected[-1]
    read = consortium.ledger.functions
    assert [read.anchorAt(index).call() for index in range(read.anchorCount().call())] == expected


def test_anchor_at_refuses_an_index_beyond_the_newest(consortium: Consortium) -> None:
    consortium.append_update()
    with reverts("LedgerUnknownIndex", 2):
        consortium.ledger.functions.anchorAt(2).call()


def test_first_transaction_is_zero_where_there_is_no_update(consortium: Consortium) -> None:
    consortium.append(consortium.block(2))
    consortium.append(consortium.block(1))
    read = consortium.ledger.functions
    assert read.firstTransaction(1).call() == [ZERO_DIGEST, 0]
    assert read.firstTransaction(2).call() == [digest("global", 2), RAW]


@pytest.mark.parametrize("function", ["firstTransaction", "blockHash"])
@pytest.mark.parametrize("number", [1, 2**64 - 1])
def test_reads_refuse_a_block_beyond_the_head(consortium: Consortium, function: str, number: int) -> None:
    with reverts("LedgerUnknownBlock", number):
        consortium.ledger.functions[function](number).call()


def test_block_hash_reaches_back_over_the_window(chain: Chain) -> None:
    consortium = Consortium.found(chain, edge_nodes=1)
    window = consortium.ledger.functions.HASH_WINDOW().call()
    hashes = [consortium.ledger.functions.blockHash(0).call()]
    for _ in range(window):
        block = consortium.block(1)
        consortium.append(block)
        hashes.append(block.header.hash)
    read = consortium.ledger.functions
    assert [read.blockHash(number).call() for number in range(1, window + 1)] == hashes[1:]
    with reverts("LedgerNotArchived", 0):
        read.blockHash(0).call()


# --- archive


@pytest.fixture
def archive(chain: Chain) -> Consortium:
    return Consortium.found(chain, edge_nodes=1, archive=True)


def test_transaction_at_gives_back_what_was_appended(archive: Consortium) -> None:
    archive.append(archive.block(2))
    archive.append(archive.block(1))
    for number, count in ((1, 2), (2, 1)):
        expected = [(t.client, t.receiver, t.gradient, t.signature) for t in transactions(count, number)]
        found = [archive.ledger.functions.transactionAt(number, index).call() for index in range(count)]
        assert [(raw(client), *rest) for client, *rest in found] == expected


def test_reward_at_gives_back_what_was_appended(archive: Consortium) -> None:
    rewards = share(PARAMETERS["baseReward"], 5)
    archive.append(archive.block(5, rewards))
    found = [archive.ledger.functions.rewardAt(1, index).call() for index in range(5)]
    assert [(raw(account_), amount) for account_, amount in found] == [(r.account, r.amount) for r in rewards]


def test_counts_at_tells_how_many_there_are(archive: Consortium) -> None:
    archive.append(archive.block(1))
    archive.append(archive.block(4, share(PARAMETERS["baseReward"], 2)))
    assert [archive.ledger.functions.countsAt(number).call() for number in (1, 2)] == [[1, 0], [4, 2]]


def test_block_hash_of_every_block_is_kept_by_an_archive(archive: Consortium) -> None:
    window = archive.ledger.functions.HASH_WINDOW().call()
    first = archive.block(1)
    archive.append(first)
    for _ in range(window):
        archive.append(archive.block(1))
    assert archive.ledger.functions.blockHash(1).call() == first.header.hash


CONTENTS: list[tuple[str, tuple[Any, ...]]] = [("countsAt", ()), ("transactionAt", (0,)), ("rewardAt", (0,))]


@pytest.mark.parametrize(("function", "index"), CONTENTS, ids=[name for name, _ in CONTENTS])
def test_contents_are_refused_where_nothing_is_archived(
    consortium: Consortium, function: str, index: tuple[Any, ...]
) -> None:
    consortium.append_update()
    with reverts("LedgerNotArchived", 1):
        consortium.ledger.functions[function](1, *index).call()


@pytest.mark.parametrize(("function", "index"), CONTENTS, ids=[name for name, _ in CONTENTS])
@pytest.mark.parametrize("number", [0, 2])
def test_contents_are_refused_where_there_is_no_block(
    archive: Consortium, function: str, index: tuple[Any, ...], number: int
) -> None:
    archive.append_update()
    with reverts("LedgerUnknownBlock", number):
        archive.ledger.functions[function](number, *index).call()


@pytest.mark.parametrize("function", ["transactionAt", "rewardAt"])
def test_contents_are_refused_beyond_the_last_entry(archive: Consortium, function: str) -> None:
    archive.append_update(kept=3)
    archive.ledger.functions[function](1, 2).call()
    with reverts("LedgerUnknownIndex", 3):
        archive.ledger.functions[function](1, 3).call()


def test_the_largest_archived_block_fits_one_transaction(chain: Chain) -> None:
    consortium = Consortium.found(chain, edge_nodes=1, archive=True, maxTransactions=LARGEST_ARCHIVED_BLOCK)
    consortium.append(consortium.block(2))
    rewards = share(PARAMETERS["baseReward"], LARGEST_ARCHIVED_BLOCK + 2)
    assert consortium.append(consortium.block(LARGEST_ARCHIVED_BLOCK, rewards))["gasUsed"] <= GAS
    last = consortium.ledger.functions.rewardAt(2, LARGEST_ARCHIVED_BLOCK + 1).call()
    assert (raw(last[0]), last[1]) == (rewards[-1].account, rewards[-1].amount)


def test_a_call_into_archived_contents_does_nothing(archive: Consortium) -> None:
    archive.append_update()
    # The store is the ledger's first and only creation.
    store = created_by(archive, archive.ledger.address)
    assert archive.chain.web3.eth.get_code(store)[:1] == b"\0"
    assert archive.chain.web3.eth.call({"to": store, "data": "0x1234"}) == b""


def created_by(consortium: Consortium, creator: str) -> str:
    """Address of the first contract that a contract creates (EIP-161: nonces of contracts start at 1)."""
    address = keccak(rlp.encode([raw(creator), 1]))[12:]
    return str(consortium.chain.web3.to_checksum_address(address))
