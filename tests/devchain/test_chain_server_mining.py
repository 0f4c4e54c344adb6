"""The miner: blocks come by themselves, nobody waits for a nonce, and waiting transactions can be replaced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

import pytest
from chain_service import Connection, connected, served, wait_until
from chain_tools import ALICE, BOB, RECIPIENT, address, genesis, ticking_clock, transfer

from bflmec.devchain import DevChain
from bflmec.devchain import chain as chain_module
from bflmec.devchain.consensus import seal
from bflmec.devchain.database import ChainFile
from bflmec.devchain.service import miner
from bflmec.devchain.service.miner import Miner
from bflmec.errors import ChainError

ENDLESS = 1 << 40  # a difficulty at which a search outlasts any test
ALICE_HEX = "0x" + address(ALICE).hex()


@dataclass
class Search:
    """Each search for a nonce announces itself, and waits until it is released or cancelled."""

    started: Event
    released: Event

    def __call__(self, header: Any, cancelled: Any) -> Any:
        self.started.set()
        while not self.released.wait(0.01) and not cancelled():
            pass
        return seal(header, cancelled)


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Iterator[Search]:
    held = Search(Event(), Event())
    monkeypatch.setattr(chain_module, "seal", held)
    yield held
    held.released.set()


def send(rpc: Connection, raw: bytes) -> Any:
    return rpc.call("eth_sendRawTransaction", "0x" + raw.hex())


def receipt(rpc: Connection, transaction_hash: str) -> Any:
    return wait_until(lambda: rpc.call("eth_getTransactionReceipt", transaction_hash))


def test_a_transaction_is_mined_by_itself() -> None:
    with served() as (_, server), connected(server.url) as rpc:
        assert receipt(rpc, send(rpc, transfer(ALICE, 0)))["status"] == "0x1"


def test_a_transaction_that_is_not_valid_yet_waits_and_makes_no_blocks() -> None:
    with served() as (chain, server), connected(server.url) as rpc:
        early = send(rpc, transfer(ALICE, 1))
        receipt(rpc, send(rpc, transfer(BOB, 0)))
        assert chain.head.number == 1
        assert rpc.call("eth_getTransactionByHash", early)["blockNumber"] is None
        send(rpc, transfer(ALICE, 0))
        assert receipt(rpc, early)["blockNumber"] != "0x1"


def test_with_a_block_time_empty_blocks_come_too() -> None:
    with served(block_time=0.05) as (chain, _):
        wait_until(lambda: chain.head.number >= 3)
        assert not chain.head.raw_transactions


def test_while_a_nonce_is_searched_everything_can_be_read_and_sent(search: Search) -> None:
    with served() as (_, server), connected(server.url) as rpc:
        first = send(rpc, transfer(ALICE, 0))
        assert search.started.wait(60)
        second = send(rpc, transfer(ALICE, 1))
        assert rpc.call("eth_blockNumber") == "0x0"
        assert rpc.call("eth_getTransactionCount", ALICE_HEX, "pending") == "0x2"
        assert rpc.call("eth_getTransactionCount", ALICE_HEX) == "0x0"
        assert rpc.call("eth_getTransactionByHash", first)["blockHash"] is None
        assert rpc.call("eth_getTransactionReceipt", first) is None
        assert rpc.call("eth_call", {"to": ALICE_HEX}) == "0x"
        assert rpc.call("eth_estimateGas", {"from": ALICE_HEX, "to": ALICE_HEX}) == hex(21_000)
        assert rpc.call("eth_getLogs", {"fromBlock": "0x0"}) == []
        search.released.set()
        assert receipt(rpc, first)["blockNumber"] == "0x1"
        assert receipt(rpc, second)["blockNumber"] == "0x2"


def test_a_waiting_transaction_is_replaced_by_one_that_pays_10_percent_more(search: Search) -> None:
    with served() as (chain, server), connected(server.url) as rpc:
        send(rpc, transfer(BOB, 0))
        assert search.started.wait(60)
        fees = {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9}
        cheap = send(rpc, transfer(ALICE, 0, **fees))
        underpriced = transfer(ALICE, 0, value=2, **fees | {"maxFeePerGas": 109 * 10**8})
        assert "underpriced" in rpc.error("eth_sendRawTransaction", "0x" + underpriced.hex())["message"]
        better = send(rpc, transfer(ALICE, 0, value=2, maxFeePerGas=11 * 10**9, maxPriorityFeePerGas=11 * 10**8))
        assert rpc.call("eth_getTransactionByHash", cheap) is None
        search.released.set()
        receipt(rpc, better)
        assert chain.balance(RECIPIENT) == 1 + 2


def test_a_replacement_that_comes_while_its_forerunner_is_sealed_is_dropped(search: Search) -> None:
    with served() as (_, server), connected(server.url) as rpc:
        first = send(rpc, transfer(ALICE, 0))
        assert search.started.wait(60)
        late = send(rpc, transfer(ALICE, 0, maxFeePerGas=2 * 10**10, maxPriorityFeePerGas=2 * 10**9))
        search.released.set()
        receipt(rpc, first)
        assert rpc.call("eth_getTransactionByHash", late) is None
        assert rpc.call("eth_getTransactionCount", ALICE_HEX, "pending") == "0x1"


def test_leaving_ends_an_endless_search_and_the_chain_is_as_before(search: Search) -> None:
    with DevChain.create(None, genesis(difficulty=ENDLESS), clock=ticking_clock()) as chain:
        with Miner(chain):
            chain.send(transfer(ALICE, 0))
            assert search.started.wait(60)
        assert chain.head.number == 0
        assert chain.next_nonce(address(ALICE)) == 1
        assert chain.balance(RECIPIENT) == 0


def test_closing_a_chain_ends_an_endless_search(search: Search) -> None:
    chain = DevChain.create(None, genesis(difficulty=ENDLESS), clock=ticking_clock())
    refused: list[ChainError] = []

    def mine() -> None:
        try:
            chain.mine()
        except ChainError as error:
            refused.append(error)

    thread = Thread(target=mine)
    thread.start()
    assert search.started.wait(60)
    chain.close()
    thread.join()
    assert "was not mined" in str(refused[0])


def test_a_block_that_can_not_be_written_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(miner, "RETRY_SECONDS", 0.01)
    written, full = ChainFile.append, iter([True, True])

    def append(self: ChainFile, *arguments: Any) -> None:
        if next(full, False):
            raise ChainError("the disk is full")
        written(self, *arguments)

    monkeypatch.setattr(ChainFile, "append", append)
    with served() as (chain, _):
        chain.send(transfer(ALICE, 0))
        wait_until(lambda: chain.head.number == 1)
        assert next(full, None) is None


def test_many_senders_and_readers_at_once_lose_nothing() -> None:
    per_thread, failures = 10, []

    def use(url: str, account: Any) -> None:
        try:
            with connected(url) as rpc:
                for nonce in range(per_thread):
                    send(rpc, transfer(account, nonce))
                    rpc.call("eth_estimateGas", {"from": ALICE_HEX, "to": ALICE_HEX})
                    rpc.call("eth_getBlockByNumber", "latest", True)
                    rpc.call("eth_getBalance", ALICE_HEX)
        except BaseException as error:
            failures.append(error)

    with served() as (chain, server):
        threads = [Thread(target=use, args=(server.url, account)) for account in (ALICE, BOB)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        wait_until(lambda: chain.balance(RECIPIENT) == 2 * per_thread)
        assert chain.verify() == chain.head.number
