"""web3.py over HTTP, as an application uses a node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from chain_service import connected, served, wait_until
from chain_tools import ALICE, BOB, PROBE, transfer
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.exceptions import ContractCustomError, ContractLogicError, MethodUnavailable, Web3RPCError
from web3.middleware import SignAndSendRawMiddlewareBuilder

from bflmec.devchain import JsonRpc


@pytest.fixture(scope="module")
def w3() -> Iterator[Web3]:
    """A node that signs nothing; ALICE's and BOB's transactions are signed by the application."""
    with served() as (_, server):
        w3 = Web3(Web3.HTTPProvider(server.url, request_kwargs={"timeout": 60}))
        w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build([ALICE, BOB]), layer=0)  # type: ignore[arg-type]
        yield w3


@pytest.fixture(scope="module")
def probe(w3: Web3) -> Any:
    factory = w3.eth.contract(abi=PROBE["abi"], bytecode=PROBE["bytecode"])
    receipt = w3.eth.wait_for_transaction_receipt(factory.constructor().transact({"from": ALICE.address}), 60, 0.01)
    return w3.eth.contract(address=receipt["contractAddress"], abi=PROBE["abi"])


def transact(w3: Web3, account: LocalAccount, function: Any, **fields: Any) -> Any:
    sent = function.transact({"from": account.address} | fields)
    return w3.eth.wait_for_transaction_receipt(sent, 60, 0.01)


def test_a_contract_is_deployed_called_and_changed(w3: Web3, probe: Any) -> None:
    receipt = transact(w3, ALICE, probe.functions.store(7, b"note"))
    assert receipt["status"] == 1
    assert probe.functions.value().call() == 7
    (event,) = probe.events.Stored().process_receipt(receipt)
    assert dict(event["args"]) == {"sender": ALICE.address, "value": 7, "note": b"note"}
    assert probe.events.Stored().get_logs(from_block=receipt["blockNumber"]) == [event]


def test_reverts_keep_their_reason(w3: Web3, probe: Any) -> None:
    with pytest.raises(ContractLogicError, match="the reason"):
        probe.functions.complain().call()
    with pytest.raises(ContractLogicError, match="the reason"):
        probe.functions.complain().transact({"from": ALICE.address})
    with pytest.raises(ContractCustomError):
        probe.functions.refuse(5).call()
    assert transact(w3, ALICE, probe.functions.refuse(5), gas=100_000)["status"] == 0


def test_a_contract_filter_reports_new_events(w3: Web3, probe: Any) -> None:
    events = probe.events.Stored().create_filter(from_block="latest", argument_filters={"value": 9})
    blocks = w3.eth.filter("latest")
    transact(w3, ALICE, probe.functions.store(8, b""))
    receipt = transact(w3, ALICE, probe.functions.store(9, b""))
    assert [event["args"]["value"] for event in events.get_new_entries()] == [9]
    assert events.get_new_entries() == []
    assert blocks.get_new_entries()[-1] == receipt["blockHash"]
    assert w3.eth.uninstall_filter(events.filter_id)
    with pytest.raises(Web3RPCError, match="filter not found"):
        events.get_new_entries()


def test_requests_go_in_batches(w3: Web3, probe: Any) -> None:
    with w3.batch_requests() as batch:
        batch.add(w3.eth.get_block("latest"))
        batch.add(w3.eth.get_balance(BOB.address))
        batch.add(probe.functions.value())
        block, balance, value = batch.execute()
    assert block["number"] == w3.eth.block_number  # type: ignore[index]
    assert balance == w3.eth.get_balance(BOB.address)
    assert value == probe.functions.value().call()


def test_receipts_blocks_and_places_agree(w3: Web3, probe: Any) -> None:
    receipt = transact(w3, BOB, probe.functions.store(1, b""))
    block = w3.eth.get_block(receipt["blockHash"], full_transactions=True)
    (transaction,) = block["transactions"]
    assert transaction == w3.eth.get_transaction(receipt["transactionHash"])
    assert transaction == w3.eth.get_transaction_by_block(block["number"], 0)
    assert w3.eth.get_block_transaction_count(block["hash"]) == 1
    assert w3.eth.get_block_receipts(block["number"]) == [receipt]
    assert w3.eth.get_raw_transaction(receipt["transactionHash"])[0] == 2


def test_a_transaction_is_replaced_through_the_library() -> None:
    with served(block_time=3600) as (_, server):
        slow = Web3(Web3.HTTPProvider(server.url, request_kwargs={"timeout": 60}))
        slow.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build([ALICE]), layer=0)  # type: ignore[arg-type]
        fields = {"from": ALICE.address, "to": BOB.address, "value": 1, "gas": 21_000, "nonce": 0}
        first = slow.eth.send_transaction(fields | {"gasPrice": 10**10})  # type: ignore[arg-type]
        second = slow.eth.replace_transaction(first, fields | {"gasPrice": 2 * 10**10})  # type: ignore[arg-type]
        assert slow.eth.get_transaction_count(ALICE.address, "pending") == 1
        assert slow.eth.get_transaction(second)["gasPrice"] == 2 * 10**10


def test_what_the_node_can_not_do_is_said(w3: Web3) -> None:
    plain = Web3(w3.provider)
    with pytest.raises((Web3RPCError, MethodUnavailable), match="eth_sendRawTransaction"):
        plain.eth.send_transaction({"from": ALICE.address, "to": BOB.address, "value": 1, "gas": 21_000})  # type: ignore[typeddict-item]
    with pytest.raises((Web3RPCError, MethodUnavailable), match="not supported"):
        plain.eth.get_proof(ALICE.address, [0])


def test_over_http_everything_is_as_in_process() -> None:
    """The same chain, asked both ways."""
    with served() as (chain, server), connected(server.url) as rpc:
        chain.send(transfer(ALICE, 0, to=b"", value=0, data=PROBE["bytecode"], gas=1_000_000))
        wait_until(lambda: chain.head.number == 1)
        inside = JsonRpc(chain)
        for method, params in (
            ("eth_getBlockByNumber", ["0x1", True]),
            ("eth_getBlockReceipts", ["0x1"]),
            ("eth_feeHistory", ["0x2", "latest", [50]]),
            ("eth_getCode", ["0x" + "00" * 20]),
        ):
            assert rpc.call(method, *params) == inside.handle(method, params)


def test_the_deepest_calls_that_gas_pays_for_are_executed_in_a_worker() -> None:
    """A contract that calls itself with all its gas until none is left: more than 500 calls deep."""
    runtime = bytes.fromhex("60006000600060006000305af100")
    creation = bytes([0x60, len(runtime), 0x60, 12, 0x60, 0, 0x39, 0x60, len(runtime), 0x60, 0, 0xF3]) + runtime
    with served() as (chain, server), connected(server.url) as rpc:
        chain.send(transfer(ALICE, 0, to=b"", value=0, data=creation, gas=200_000))
        contract = wait_until(lambda: chain.position(chain.head.transaction_hashes[0]) if chain.head.number else None)
        created = JsonRpc(chain).handle("eth_getBlockReceipts", [hex(contract.block.number)])[0]["contractAddress"]
        assert rpc.call("eth_call", {"to": created, "gas": hex(30_000_000)}) == "0x"
        deep = chain.send(transfer(ALICE, 1, to=created, value=0, gas=30_000_000))
        assert wait_until(lambda: rpc.call("eth_getTransactionReceipt", "0x" + deep.hex()))["status"] == "0x1"
