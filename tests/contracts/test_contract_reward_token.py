"""RewardToken: who is paid what, once, and never more than the ledger has recorded."""

from __future__ import annotations

import pytest
from consortium import PARAMETERS, Chain, Consortium, account, digest, reverts
from hypothesis import given, settings
from hypothesis import strategies as st

from bflmec.protocol import merkle
from bflmec.protocol.blocks import Reward

BASE = PARAMETERS["baseReward"]


def balance(consortium: Consortium, index: int) -> int:
    return int(consortium.token.functions.balanceOf(account(index)).call())


def test_constructor_refuses_a_ledger_without_code(chain: Chain) -> None:
    with reverts("RewardTokenNotAContract", account(1)):
        chain.deploy("RewardToken", account(1))


def test_token_names_itself_and_its_ledger(consortium: Consortium) -> None:
    token = consortium.token.functions
    assert (token.name().call(), token.symbol().call(), token.decimals().call()) == ("BFL-MEC Reward", "BFL", 18)
    assert token.ledger().call() == consortium.ledger.address


def test_claim_pays_what_one_update_rewarded(consortium: Consortium) -> None:
    consortium.append_update(3)
    receipt = consortium.claim(account(1))
    owed = consortium.balances[account(1)]
    assert balance(consortium, 1) == owed == consortium.token.functions.claimed(account(1)).call()
    name, event = consortium.chain.events(consortium.token, receipt)[-1]
    assert (name, event["amount"], event["cumulative"]) == ("RewardClaimed", owed, owed)


def test_claim_collects_several_updates_with_one_proof(consortium: Consortium) -> None:
    for _ in range(3):
        consortium.append_update(2)
    consortium.claim(account(0))
    assert balance(consortium, 0) == consortium.balances[account(0)]


def test_claim_pays_only_what_came_since_the_last_claim(consortium: Consortium) -> None:
    consortium.append_update(2)
    consortium.claim(account(0))
    before = consortium.balances[account(0)]
    consortium.append_update(2)
    _, event = consortium.chain.events(consortium.token, consortium.claim(account(0)))[-1]
    assert event["amount"] == consortium.balances[account(0)] - before
    assert balance(consortium, 0) == consortium.balances[account(0)]


def test_claim_pays_the_account_whoever_calls(consortium: Consortium) -> None:
    consortium.append_update(2)
    stranger = consortium.chain.user(3)
    consortium.claim(account(0), sender=stranger)
    assert consortium.token.functions.balanceOf(stranger).call() == 0
    assert balance(consortium, 0) > 0


def test_claim_by_all_mints_exactly_what_was_recorded(consortium: Consortium) -> None:
    for kept in (1, 3, 5):
        consortium.append_update(kept)
    for account_ in consortium.balances:
        consortium.claim(account_)
    assert consortium.token.functions.totalSupply().call() == 3 * BASE


def test_claim_refuses_a_second_time(consortium: Consortium) -> None:
    consortium.append_update(2)
    consortium.claim(account(0))
    with reverts("RewardTokenAlreadyClaimed", account(0), consortium.balances[account(0)]):
        consortium.claim(account(0))


def test_claim_refuses_another_amount(consortium: Consortium) -> None:
    consortium.append_update(3)
    proof = merkle.proof(consortium.balances, account(0))
    more = consortium.balances[account(0)] + 1
    with reverts("RewardTokenInvalidProof", account(0), more):
        consortium.chain.send(consortium.token.functions.claim(account(0), more, proof))


def test_claim_refuses_the_proof_of_another_account(consortium: Consortium) -> None:
    consortium.append_update(3)
    proof = merkle.proof(consortium.balances, account(1))
    with reverts("RewardTokenInvalidProof"):
        consortium.chain.send(consortium.token.functions.claim(account(0), consortium.balances[account(0)], proof))


def test_claim_refuses_a_stranger(consortium: Consortium) -> None:
    consortium.append_update(3)
    with reverts("RewardTokenInvalidProof", account(77), 1):
        consortium.chain.send(consortium.token.functions.claim(account(77), 1, []))


def test_claim_refuses_everything_before_the_first_reward(consortium: Consortium) -> None:
    with reverts("RewardTokenInvalidProof", account(0), 0):
        consortium.chain.send(consortium.token.functions.claim(account(0), 0, []))


def test_claim_refuses_an_outdated_proof(consortium: Consortium) -> None:
    consortium.append_update(3)
    old = dict(consortium.balances)
    consortium.append_update(2)
    with reverts("RewardTokenInvalidProof"):
        proof = merkle.proof(old, account(0))
        consortium.chain.send(consortium.token.functions.claim(account(0), old[account(0)], proof))


def test_claim_stays_within_the_recorded_total_even_if_the_quorum_lies(consortium: Consortium) -> None:
    greedy = {account(0): BASE, account(1): 1}
    consortium.append(consortium.block(3, [Reward(account(0), BASE)], rewards_root=merkle.root(greedy)))
    consortium.balances = greedy
    consortium.claim(account(0))
    with reverts("RewardTokenExceedsRecorded", BASE + 1, BASE):
        consortium.claim(account(1))


def test_claim_refuses_an_inner_node_as_a_leaf(consortium: Consortium) -> None:
    consortium.append_update(4)
    leaves = sorted(merkle.leaf(account_, amount) for account_, amount in consortium.balances.items())
    # Read as (account, cumulative), an inner node's preimage would need a leaf with twelve leading zero bytes.
    with reverts("RewardTokenInvalidProof"):
        call = consortium.token.functions.claim(leaves[0][12:], int.from_bytes(leaves[1], "big"), [leaves[2]])
        consortium.chain.send(call)


@settings(max_examples=10, deadline=None)
@given(amounts=st.lists(st.integers(1, BASE), min_size=1, max_size=9))
def test_merkle_proofs_of_any_size_verify_on_chain(founded: Consortium, amounts: list[int]) -> None:
    chain = founded.chain
    snapshot = chain.tester.take_snapshot()
    try:
        balances = {digest("holder", i)[:20]: amount for i, amount in enumerate(amounts)}
        consortium = Consortium.found(chain, edge_nodes=1, baseReward=sum(amounts), maxTransactions=9)
        consortium.append(consortium.block(9, _listed(balances)))
        for account_ in balances:
            consortium.claim(account_)
        assert consortium.token.functions.totalSupply().call() == sum(amounts)
    finally:
        chain.tester.revert_to_snapshot(snapshot)


def _listed(balances: dict[bytes, int]) -> list[Reward]:

    return [Reward(account_, amount) for account_, amount in balances.items()]


@pytest.mark.parametrize("amount", [1, 50])
def test_tokens_move_like_any_erc20(consortium: Consortium, amount: int) -> None:
    miner = consortium.chain.user(2)
    holder = bytes.fromhex(miner[2:])
    balances = {holder: BASE}
    consortium.append(consortium.block(3, _listed(balances)))
    consortium.claim(holder)
    consortium.chain.send(consortium.token.functions.transfer(account(1), amount), miner)
    assert balance(consortium, 1) == amount
