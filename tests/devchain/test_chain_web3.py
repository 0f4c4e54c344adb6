"""web3.py on the embedded chain, as an application uses it, and the same on eth-tester's chain for comparison."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from chain_tools import ALICE, BOB, PROBE, genesis, ticking_clock
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.exceptions import (
    ContractCustomError,
    ContractLogicError,
    ContractPanicError,
    TransactionNotFound,
    Web3RPCError,
)

from bflmec.devchain import DevChain, DevChainProvider


@pytest.fixture
def w3() -> Web3:
    return Web3(DevChainProvider(DevChain.create(None, genesis(), clock=ticking_clock())))


def send(w3: Web3, account: LocalAccount, fields: dict[str, Any]) -> Any:
    signed = account.sign_transaction(fields)
    return w3.eth.wait_for_transaction_receipt(w3.eth.send_raw_transaction(signed.raw_transaction))


def deploy(w3: Web3, account: LocalAccount = ALICE) -> Any:
    factory = w3.eth.contract(abi=PROBE["abi"], bytecode=PROBE["bytecode"])
    nonce = w3.eth.get_transaction_count(account.address)
    receipt = send(w3, account, factory.constructor().build_transaction({"from": account.address, "nonce": nonce}))
    return w3.eth.contract(address=receipt["contractAddress"], abi=PROBE["abi"])


def transact(w3: Web3, account: LocalAccount, function: Any, **fields: Any) -> Any:
    nonce = w3.eth.get_transaction_count(account.address, "pending")
    return send(w3, account, function.build_transaction({"from": account.address, "nonce": nonce} | fields))


def test_a_contract_is_deployed_called_and_changed(w3: Web3) -> None:
    probe = deploy(w3)
    receipt = transact(w3, ALICE, probe.functions.store(7, b"note"))
    assert receipt["status"] == 1
    assert probe.functions.value().call() == 7
    assert probe.functions.value().call(block_identifier=1) == 0


def test_events_are_decoded_from_receipts_and_logs(w3: Web3) -> None:
    probe = deploy(w3)
    receipt = transact(w3, BOB, probe.functions.store(7, b"note"))
    (event,) = probe.events.Stored().process_receipt(receipt)
    assert dict(event["args"]) == {"sender": BOB.address, "value": 7, "note": b"note"}
    assert probe.events.Stored().get_logs(from_block=0) == [event]
    assert probe.events.Stored().get_logs(from_block=0, argument_filters={"value": 8}) == []


def test_reverts_keep_their_reason(w3: Web3) -> None:
    probe = deploy(w3)
    with pytest.raises(ContractLogicError, match="the reason"):
        probe.functions.complain().call()
    with pytest.raises(ContractLogicError, match="the reason"):
        probe.functions.complain().estimate_gas({"from": ALICE.address})
    with pytest.raises(ContractPanicError):
        probe.functions.panic().call()
    with pytest.raises(ContractCustomError) as caught:
        probe.functions.refuse(5).call({"from": ALICE.address})
    assert (
        caught.value.data
        == probe.encode_abi("refuse", args=[5]).replace(
            Web3.keccak(text="refuse(uint256)")[:4].hex(), Web3.keccak(text="ProbeRefused(uint256,address)")[:4].hex()
        )
        + "00" * 12
        + ALICE.address[2:].lower()
    )


def test_a_reverted_transaction_is_mined_with_status_0(w3: Web3) -> None:
    probe = deploy(w3)
    receipt = transact(w3, ALICE, probe.functions.refuse(1), gas=100_000)
    assert receipt["status"] == 0
    assert receipt["logs"] == []


def test_legacy_gas_prices_work(w3: Web3) -> None:
    probe = deploy(w3)
    receipt = transact(w3, ALICE, probe.functions.store(1, b""), gas=100_000, gasPrice=w3.eth.gas_price)
    assert receipt["type"] == 0
    assert receipt["effectiveGasPrice"] >= w3.eth.get_block(receipt["blockNumber"])["baseFeePerGas"]


def test_the_fee_suggestions_are_enough(w3: Web3) -> None:
    assert w3.eth.max_priority_fee == 10**9
    assert w3.eth.gas_price > w3.eth.max_priority_fee
    assert w3.eth.fee_history(2, "latest", [50])["reward"] == [[0]]


def test_an_unknown_transaction_is_not_found(w3: Web3) -> None:
    with pytest.raises(TransactionNotFound):
        w3.eth.get_transaction_receipt("0x" + "ab" * 32)  # type: ignore[arg-type]


def test_a_refused_transaction_raises(w3: Web3) -> None:
    with pytest.raises(Web3RPCError, match="nonce too high"):
        send(w3, ALICE, {"to": BOB.address, "nonce": 9, "gas": 21_000, "gasPrice": 10**10, "chainId": 1337, "value": 1})


def test_the_provider_is_connected(w3: Web3) -> None:
    assert w3.is_connected()
    assert w3.eth.chain_id == 1337
    assert w3.eth.accounts == []


def test_execution_is_the_same_as_on_another_chain(w3: Web3) -> None:
    """Gas, status, return values and logs do not depend on our consensus, database or RPC."""
    from eth_tester import EthereumTester, PyEVMBackend

    other = Web3(Web3.EthereumTesterProvider(EthereumTester(PyEVMBackend())))
    chain_id = other.eth.chain_id
    other.eth.send_transaction({"from": other.eth.accounts[0], "to": ALICE.address, "value": 10**20})
    assert _outcomes(w3, 1337) == _outcomes(other, chain_id)


def _outcomes(w3: Web3, chain_id: int) -> list[Any]:
    fees = {"from": ALICE.address, "chainId": chain_id, "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9}
    factory = w3.eth.contract(abi=PROBE["abi"], bytecode=PROBE["bytecode"])
    receipts = [send(w3, ALICE, factory.constructor().build_transaction({"nonce": 0, "gas": 10**6, **fees}))]
    probe = w3.eth.contract(address=receipts[0]["contractAddress"], abi=PROBE["abi"])
    store, fill = probe.functions.store, probe.functions.fill
    calls = [store(3, b"abc"), store(0, b"x" * 300), fill(5, 12), fill(5, 12), probe.functions.refuse(1), store(4, b"")]
    for nonce, function in enumerate(calls, start=1):
        receipts.append(send(w3, ALICE, function.build_transaction({"nonce": nonce, "gas": 10**6, **fees})))
    return [
        [(receipt["gasUsed"], receipt["status"], receipt["contractAddress"]) for receipt in receipts],
        [(log["address"], log["topics"], log["data"]) for receipt in receipts for log in receipt["logs"]],
        w3.eth.get_code(probe.address),
        w3.eth.get_storage_at(probe.address, 1005),
        probe.functions.value().call(),
    ]


def test_hostile_json_does_not_overflow_the_stack() -> None:
    script = (
        "import json, bflmec.devchain.chain\ntry: json.loads('[' * 1_000_000)\nexcept RecursionError: print('refused')"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "refused\n"


def test_the_deepest_calls_that_gas_pays_for_are_executed(w3: Web3) -> None:
    """A contract that calls itself with all its gas until none is left: more than 500 calls deep."""
    runtime = bytes.fromhex("60006000600060006000305af100")
    creation = bytes([0x60, len(runtime), 0x60, 12, 0x60, 0, 0x39, 0x60, len(runtime), 0x60, 0, 0xF3]) + runtime
    fields = {"nonce": 0, "gas": 200_000, "gasPrice": 10**10, "chainId": 1337, "data": creation}
    contract = send(w3, ALICE, fields)["contractAddress"]
    receipt = send(w3, ALICE, fields | {"nonce": 1, "gas": 30_000_000, "to": contract, "data": b""})
    assert receipt["status"] == 1
    assert receipt["gasUsed"] > 21_000 + 500 * 115  # what each of the calls costs
