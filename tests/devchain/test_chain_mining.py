"""Blocks: how transactions get into them, and that the same input gives the same bytes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from chain_tools import (
    ACCOUNTS,
    ALICE,
    BOB,
    RECIPIENT,
    START,
    address,
    genesis,
    legacy_transfer,
    ticking_clock,
    transfer,
)
from eth_account.signers.local import LocalAccount

from bflmec.crypto.seal import seal_holds
from bflmec.devchain import DevChain
from bflmec.devchain.consensus import BLOCK_REWARD, seal_digest
from bflmec.errors import ChainError


@pytest.fixture
def chain() -> DevChain:
    return DevChain.create(None, genesis(), clock=ticking_clock())


@pytest.fixture
def waiting_chain() -> DevChain:
    return DevChain.create(None, genesis(), clock=ticking_clock(), auto_mine=False)


def test_auto_mine_puts_each_transaction_in_a_block(chain: DevChain) -> None:
    hashes = [chain.send(transfer(ALICE, nonce)) for nonce in range(3)]
    assert chain.head.number == 3
    for number, transaction_hash in enumerate(hashes, start=1):
        position = chain.position(transaction_hash)
        assert position is not None
        assert (position.block.number, position.index) == (number, 0)
    assert chain.balance(RECIPIENT) == 3


def test_mine_puts_all_waiting_transactions_in_one_block(waiting_chain: DevChain) -> None:
    hashes = [waiting_chain.send(transfer(account, nonce)) for nonce in range(5) for account in (ALICE, BOB)]
    block = waiting_chain.mine()
    assert block.transaction_hashes == tuple(hashes)
    assert waiting_chain.balance(RECIPIENT) == 10


def test_mine_without_transactions_seals_an_empty_block(chain: DevChain) -> None:
    assert chain.mine().raw_transactions == ()
    assert chain.head.number == 1


def test_every_block_is_sealed_at_the_constant_difficulty(chain: DevChain) -> None:
    for nonce in range(4):
        chain.send(transfer(ALICE, nonce))
        header = chain.head.header
        assert header.difficulty == chain.genesis.difficulty
        assert seal_holds(seal_digest(header), int.from_bytes(header.nonce, "big"), header.difficulty)


def test_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    heads = []
    for name in ("one", "two"):
        with DevChain.create(tmp_path / name, genesis(), clock=ticking_clock()) as chain:
            for nonce in range(3):
                chain.send(transfer(ALICE, nonce))
            chain.auto_mine = False
            chain.send(transfer(BOB, 0))
            chain.send(legacy_transfer(ALICE, 3))
            heads.append(chain.mine().hash)
    assert heads[0] == heads[1]


def test_a_clock_that_goes_backwards_does_not_take_the_chain_along() -> None:
    times = iter([START + 10, START + 5, START - 100, START + 11])
    chain = DevChain.create(None, genesis(), clock=lambda: next(times))
    assert [chain.mine().timestamp for _ in range(4)] == [START + 10, START + 10, START + 10, START + 11]


def test_the_miner_earns_tips_and_the_block_reward(tmp_path: Path) -> None:
    miner = b"\x77" * 20
    chain = DevChain.create(None, genesis(miner=miner), clock=ticking_clock())
    chain.send(transfer(ALICE, 0))
    assert chain.balance(miner) == BLOCK_REWARD + 21_000 * 10**9


def test_transactions_that_came_in_the_wrong_order_are_mined_in_order_of_nonce(waiting_chain: DevChain) -> None:
    hashes = {nonce: waiting_chain.send(transfer(ALICE, nonce)) for nonce in (2, 1, 0)}
    assert waiting_chain.mine().transaction_hashes == (hashes[0], hashes[1], hashes[2])


def test_a_transaction_behind_a_gap_waits_for_the_missing_one(waiting_chain: DevChain) -> None:
    late = waiting_chain.send(transfer(ALICE, 1))
    assert waiting_chain.mine().raw_transactions == ()
    assert waiting_chain.pending(late) is not None
    first = waiting_chain.send(transfer(ALICE, 0))
    assert waiting_chain.mine().transaction_hashes == (first, late)
    assert waiting_chain.pending(late) is None


def test_transactions_beyond_the_block_gas_limit_wait_for_the_next_block(waiting_chain: DevChain) -> None:
    for account in (ALICE, BOB):
        waiting_chain.send(transfer(account, 0, gas=29_990_000))
    assert [len(waiting_chain.mine().raw_transactions) for _ in range(3)] == [1, 1, 0]


def test_a_transaction_that_another_one_made_unaffordable_is_left_out(waiting_chain: DevChain) -> None:
    all_but_little = 10**24 - 10**16
    waiting_chain.send(transfer(ALICE, 0, value=all_but_little, to=address(BOB)))
    waiting_chain.send(transfer(ALICE, 1, value=10**17))
    assert len(waiting_chain.mine().raw_transactions) == 1
    assert waiting_chain.verify() == 1


def test_a_better_paid_transaction_replaces_the_one_with_its_nonce(waiting_chain: DevChain) -> None:
    replaced = waiting_chain.send(transfer(ALICE, 0))
    better = waiting_chain.send(transfer(ALICE, 0, maxFeePerGas=2 * 10**10, maxPriorityFeePerGas=2 * 10**9))
    assert waiting_chain.mine().transaction_hashes == (better,)
    assert waiting_chain.position(replaced) is None


def test_a_replacement_that_pays_too_little_is_refused(waiting_chain: DevChain) -> None:
    first = waiting_chain.send(transfer(ALICE, 0))
    with pytest.raises(ChainError, match="underpriced"):
        waiting_chain.send(transfer(ALICE, 0, value=2))
    assert waiting_chain.mine().transaction_hashes == (first,)


def test_the_mempool_is_bounded(waiting_chain: DevChain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bflmec.devchain.mempool.CAPACITY", 3)
    for nonce in range(3):
        waiting_chain.send(transfer(ALICE, nonce))
    with pytest.raises(ChainError, match="mempool is full"):
        waiting_chain.send(transfer(ALICE, 3))


def test_pending_nonce_counts_what_waits(waiting_chain: DevChain) -> None:
    waiting_chain.send(transfer(ALICE, 0))
    waiting_chain.send(transfer(ALICE, 1))
    assert waiting_chain.nonce(address(ALICE)) == 0
    assert waiting_chain.next_nonce(address(ALICE)) == 2


def test_the_state_after_an_old_block_stays_readable(chain: DevChain) -> None:
    for nonce in range(3):
        chain.send(transfer(ALICE, nonce))
    assert [chain.balance(RECIPIENT, number) for number in range(4)] == [0, 1, 2, 3]


def test_base_fee_falls_while_blocks_are_empty(chain: DevChain) -> None:
    before = chain.next_base_fee
    chain.mine()
    assert chain.next_base_fee < before


def test_reading_a_block_that_does_not_exist_is_refused(chain: DevChain) -> None:
    assert chain.block(7) is None
    with pytest.raises(ChainError, match="no block 7"):
        chain.balance(RECIPIENT, 7)


def test_threads_share_a_chain() -> None:
    chain = DevChain.create(None, genesis(), clock=ticking_clock())

    def work(account: LocalAccount) -> list[int]:
        return [chain.balance(RECIPIENT) for nonce in range(8) if chain.send(transfer(account, nonce))]

    with ThreadPoolExecutor(len(ACCOUNTS)) as pool:
        seen = list(pool.map(work, ACCOUNTS))
    assert chain.head.number == chain.balance(RECIPIENT) == 8 * len(ACCOUNTS)
    assert all(balances == sorted(balances) for balances in seen)
    assert chain.verify() == chain.head.number
