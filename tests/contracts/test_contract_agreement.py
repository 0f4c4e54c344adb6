"""`LedgerState.check`, by which edge nodes judge a block, and `append` accept and refuse the same blocks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from consortium import DAG_PB, PARAMETERS, RAW, Append, Chain, Consortium, account, digest, share
from eth_tester.exceptions import TransactionFailed
from hypothesis import given, settings
from hypothesis import strategies as st

from bflmec.errors import BFLMECError
from bflmec.protocol.blocks import Reward, SealedBlock, decode_rewards, decode_transactions
from bflmec.protocol.ledger_state import LedgerParameters, LedgerState
from bflmec.storage.cid import Cid

BASE = PARAMETERS["baseReward"]


@dataclass(frozen=True)
class Numbered:
    """As much of a local gradient header as applying a block needs."""

    sequence: int


def state_of(consortium: Consortium) -> LedgerState:
    given_ = consortium.parameters
    return LedgerState(
        LedgerParameters(
            chain_id=consortium.chain.web3.eth.chain_id,
            ledger=bytes.fromhex(consortium.ledger.address[2:]),
            difficulty=given_["difficulty"],
            aggregation_threshold=given_["aggregationThreshold"],
            max_transactions=given_["maxTransactions"],
            base_reward=given_["baseReward"],
            miner_reward=given_["minerReward"],
            rules_digest=given_["rulesDigest"],
            genesis=Cid(given_["genesisCodec"], given_["genesisDigest"]),
        )
    )


def sealed(block: Append) -> SealedBlock:
    transactions = tuple(decode_transactions(block.transactions))
    return SealedBlock(block.header, block.nonce, transactions, tuple(decode_rewards(block.rewards)))


def state_accepts(state: LedgerState, block: Append) -> bool:
    try:
        state.check(sealed(block))
    except BFLMECError:
        return False
    return True


def contract_accepts(consortium: Consortium, block: Append) -> bool:
    try:
        consortium.ledger.functions.append(*block.arguments()).call()
    except TransactionFailed:
        return False
    return True


World = tuple[Consortium, LedgerState]


@pytest.fixture(scope="module")
def worlds(evm: Chain) -> Iterator[list[World]]:
    """Ledgers in different states: empty, one transaction short of an update, after paid updates."""
    snapshot = evm.tester.take_snapshot()
    histories: list[tuple[list[int], dict[str, Any]]] = [([], {}), ([2], {}), ([3, 1, 4], {"minerReward": 3})]
    worlds = []
    for counts, changes in histories:
        consortium = Consortium.found(evm, edge_nodes=2, maxTransactions=6, difficulty=2, **changes)
        state = state_of(consortium)
        for count in counts:
            is_update = len(state.pending) + count >= PARAMETERS["aggregationThreshold"]
            block = consortium.block(count, share(BASE, 2) if is_update else ())
            state.check(sealed(block))
            header = Numbered(sequence=block.header.number)
            state.apply(sealed(block), defaultdict(lambda header=header: header))
            consortium.append(block)
        worlds.append((consortium, state))
    yield worlds
    evm.tester.revert_to_snapshot(snapshot)


CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "parent": st.just(digest("stray")),
    "number": st.sampled_from([0, 1, 2, 3, 4, 5, 2**64 - 1]),
    "anchor": st.sampled_from([0, 1, 2, 3, 4, 5]),
    "transactions_hash": st.just(digest("stray")),
    "transaction_count": st.integers(0, 7),
    "body_digest": st.binary(min_size=32, max_size=32),
    "global_digest": st.sampled_from([bytes(32), digest("global")]),
    "global_codec": st.sampled_from([0, 1, RAW, DAG_PB, 255]),
    "rewards_total": st.sampled_from([0, 1, 3, 6, 9, 12, BASE, BASE + 3, 2 * BASE, 2 * BASE + 9, 2 * BASE + 12]),
}
reward_lists = st.one_of(
    st.integers(1, 7).map(lambda kept: share(BASE, kept)),
    st.lists(st.builds(Reward, st.integers(0, 3).map(account), st.sampled_from([0, 1, BASE - 1, BASE])), max_size=3),
)


@settings(max_examples=60, deadline=None)
@given(
    world=st.integers(0, 2),
    count=st.integers(1, 7),
    rewards=st.one_of(st.just(()), reward_lists),
    fields=st.lists(st.sampled_from(sorted(CHANGES)), max_size=2, unique=True),
    nonce=st.one_of(st.none(), st.integers(0, 2**64 - 1)),
    data=st.data(),
)
def test_contract_and_state_accept_the_same_blocks(
    worlds: list[World],
    world: int,
    count: int,
    rewards: list[Reward],
    fields: list[str],
    nonce: int | None,
    data: st.DataObject,
) -> None:
    consortium, state = worlds[world]
    changes = {name: data.draw(CHANGES[name], label=name) for name in fields}
    block = consortium.block(count, rewards, **changes)
    if nonce is not None:
        block = replace(block, nonce=nonce)
    assert contract_accepts(consortium, block) == state_accepts(state, block)


@pytest.mark.parametrize("world", [0, 1, 2])
def test_contract_and_state_accept_the_honest_next_block(worlds: list[World], world: int) -> None:
    consortium, state = worlds[world]
    block = consortium.block(5, share(BASE, 4))
    assert contract_accepts(consortium, block)
    assert state_accepts(state, block)
