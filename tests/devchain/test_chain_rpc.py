"""The JSON-RPC method table: Ethereum's forms, strict parameters, typed refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rlp
from chain_tools import (
    ALICE,
    BOB,
    PROBE,
    PROBE_ADDRESS,
    START,
    address,
    genesis,
    legacy_transfer,
    ticking_clock,
    transfer,
)
from eth_abi.abi import encode
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from bflmec.devchain import DevChain, JsonRpc
from bflmec.devchain.logs import LogFilter, bloom_bits
from bflmec.errors import RpcError

ALICE_HEX = "0x" + address(ALICE).hex()
STORED = "0x" + keccak(b"Stored(address,uint256,bytes)").hex()


def selector(signature: str) -> bytes:
    return bytes(keccak(signature.encode()))[:4]


def store(value: int, note: bytes = b"") -> bytes:
    return selector("store(uint256,bytes)") + encode(["uint256", "bytes"], [value, note])


@pytest.fixture(scope="module")
def rpc() -> JsonRpc:
    """Block 1 deploys the probe contract, blocks 2 to 5 store 0 to 3 in it, block 6 stores twice, block 7 is empty."""
    chain = DevChain.create(None, genesis(), clock=ticking_clock())
    chain.send(transfer(ALICE, 0, to=b"", value=0, data=PROBE["bytecode"], gas=1_000_000))
    for value in range(4):
        chain.send(transfer(ALICE, value + 1, to=PROBE_ADDRESS, value=0, data=store(value), gas=200_000))
    chain.auto_mine = False
    chain.send(legacy_transfer(BOB, 0, to=PROBE_ADDRESS, value=0, data=store(3, b"legacy"), gas=200_000))
    chain.send(transfer(ALICE, 5, to=PROBE_ADDRESS, value=0, data=store(9, b"second"), gas=200_000))
    chain.mine()
    chain.mine()
    return JsonRpc(chain)


@pytest.fixture(scope="module")
def probe() -> str:
    return PROBE_ADDRESS


def error_of(rpc: JsonRpc, method: str, params: list[Any]) -> dict[str, Any]:
    response = rpc.respond({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    error: dict[str, Any] = response["error"]
    return error


def test_identity(rpc: JsonRpc) -> None:
    assert rpc.handle("eth_chainId") == "0x539"
    assert rpc.handle("net_version") == "1337"
    assert rpc.handle("web3_clientVersion").startswith("bflmec/")
    assert rpc.handle("eth_accounts") == []
    assert rpc.handle("eth_syncing") is False
    assert rpc.handle("eth_blockNumber") == "0x7"


def test_every_result_is_json(rpc: JsonRpc, probe: str) -> None:
    block = rpc.handle("eth_getBlockByNumber", ["0x6", True])
    results = [
        block,
        rpc.handle("eth_getTransactionByHash", [block["transactions"][0]["hash"]]),
        rpc.handle("eth_getTransactionReceipt", [block["transactions"][1]["hash"]]),
        rpc.handle("eth_getLogs", [{"fromBlock": "earliest", "address": probe}]),
        rpc.handle("eth_feeHistory", ["0x4", "latest", [25, 75]]),
    ]
    assert json.loads(json.dumps(results)) == results


def test_blocks_link_and_are_found_by_tag_number_and_hash(rpc: JsonRpc) -> None:
    latest = rpc.handle("eth_getBlockByNumber", ["latest", False])
    parent = rpc.handle("eth_getBlockByHash", [latest["parentHash"], False])
    assert latest["number"] == "0x7"
    assert parent == rpc.handle("eth_getBlockByNumber", ["0x6", False])
    assert rpc.handle("eth_getBlockByNumber", ["earliest", False])["number"] == "0x0"
    for tag in ("pending", "safe", "finalized"):
        assert rpc.handle("eth_getBlockByNumber", [tag, False]) == latest


def test_a_header_hashes_to_its_hash(rpc: JsonRpc) -> None:
    block = rpc.handle("eth_getBlockByNumber", ["0x6", False])
    digests = ("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom")
    numbers = ("difficulty", "number", "gasLimit", "gasUsed", "timestamp")
    blobs = ("withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash")
    names = (*digests, *numbers, "extraData", "mixHash", "nonce", "baseFeePerGas", *blobs)
    quantities = {*numbers, "baseFeePerGas", "blobGasUsed", "excessBlobGas"}
    fields = [
        rlp.sedes.big_endian_int.serialize(int(block[name], 16))
        if name in quantities
        else bytes.fromhex(block[name][2:])
        for name in names
    ]
    assert "0x" + keccak(rlp.encode(fields)).hex() == block["hash"]


def test_what_does_not_exist_is_null(rpc: JsonRpc) -> None:
    nothing = "0x" + "ab" * 32
    assert rpc.handle("eth_getBlockByNumber", ["0x64", False]) is None
    assert rpc.handle("eth_getBlockByHash", [nothing, False]) is None
    assert rpc.handle("eth_getTransactionByHash", [nothing]) is None
    assert rpc.handle("eth_getTransactionReceipt", [nothing]) is None


def test_receipts_split_the_gas_of_a_block(rpc: JsonRpc) -> None:
    block = rpc.handle("eth_getBlockByNumber", ["0x6", False])
    first, second = (rpc.handle("eth_getTransactionReceipt", [h]) for h in block["transactions"])
    assert int(first["gasUsed"], 16) == int(first["cumulativeGasUsed"], 16)
    assert int(first["gasUsed"], 16) + int(second["gasUsed"], 16) == int(second["cumulativeGasUsed"], 16)
    assert second["cumulativeGasUsed"] == block["gasUsed"]
    assert [log["logIndex"] for log in (*first["logs"], *second["logs"])] == ["0x0", "0x1"]
    assert (first["type"], second["type"]) == ("0x0", "0x2")
    assert int(first["effectiveGasPrice"], 16) == 10**10
    assert int(second["effectiveGasPrice"], 16) == int(block["baseFeePerGas"], 16) + 10**9


def test_whole_transactions_equal_those_asked_for_one_by_one(rpc: JsonRpc) -> None:
    for number in range(8):
        for transaction in rpc.handle("eth_getBlockByNumber", [hex(number), True])["transactions"]:
            assert transaction == rpc.handle("eth_getTransactionByHash", [transaction["hash"]])


def test_a_waiting_transaction_has_no_block() -> None:
    chain = DevChain.create(None, genesis(), auto_mine=False)
    rpc = JsonRpc(chain)
    transaction_hash = rpc.handle("eth_sendRawTransaction", ["0x" + transfer(ALICE, 0).hex()])
    assert rpc.handle("eth_getTransactionByHash", [transaction_hash])["blockNumber"] is None
    assert rpc.handle("eth_getTransactionReceipt", [transaction_hash]) is None
    assert rpc.handle("eth_getTransactionCount", [ALICE_HEX, "pending"]) == "0x1"
    assert rpc.handle("eth_getTransactionCount", [ALICE_HEX, "latest"]) == "0x0"


def test_state_is_read_at_any_block(rpc: JsonRpc, probe: str) -> None:
    slots = [rpc.handle("eth_getStorageAt", [probe, "0x0", hex(number)]) for number in range(2, 8)]
    assert [int(slot, 16) for slot in slots] == [0, 1, 2, 3, 9, 9]
    assert rpc.handle("eth_getStorageAt", [probe, "0x" + "00" * 32, "latest"]) == slots[-1]
    assert rpc.handle("eth_getCode", [probe, "0x0"]) == "0x"
    assert len(rpc.handle("eth_getCode", [probe, "latest"])) > 1000
    block_hash = rpc.handle("eth_getBlockByNumber", ["0x3", False])["hash"]
    assert rpc.handle("eth_getStorageAt", [probe, "0x0", {"blockHash": block_hash}]) == slots[1]
    assert rpc.handle("eth_getStorageAt", [probe, "0x0", {"blockNumber": "0x3"}]) == slots[1]


def test_calls_read_the_state_at_any_block_and_change_nothing(rpc: JsonRpc, probe: str) -> None:
    value = {"to": probe, "data": "0x" + selector("value()").hex()}
    assert [int(rpc.handle("eth_call", [value, hex(number)]), 16) for number in (3, 5, 7)] == [1, 3, 9]
    rpc.handle("eth_call", [{"to": probe, "input": "0x" + store(77).hex()}])
    assert int(rpc.handle("eth_call", [value]), 16) == 9


def test_a_call_sees_the_block_that_it_is_made_on(rpc: JsonRpc, probe: str) -> None:
    block = rpc.handle("eth_getBlockByNumber", ["0x5", False])
    result = rpc.handle("eth_call", [{"to": probe, "data": "0x" + selector("context()").hex()}, "0x5"])
    words = [result[2 + 64 * i : 66 + 64 * i] for i in range(6)]
    assert int(words[0], 16) == 5
    assert int(words[1], 16) == START + 5 == int(block["timestamp"], 16)
    assert "0x" + words[2] == block["mixHash"]
    assert "0x" + words[3] == block["parentHash"]
    assert int(words[4], 16) == int(block["miner"], 16)
    assert int(words[5], 16) == 1337


def test_a_reverted_call_has_code_3_and_the_revert_data(rpc: JsonRpc, probe: str) -> None:
    error = error_of(rpc, "eth_call", [{"from": ALICE_HEX, "to": probe, "data": "0x" + selector("complain()").hex()}])
    assert (error["code"], error["message"]) == (3, "execution reverted: the reason")
    data = selector("refuse(uint256)") + encode(["uint256"], [5])
    error = error_of(rpc, "eth_call", [{"from": ALICE_HEX, "to": probe, "data": "0x" + data.hex()}])
    expected = selector("ProbeRefused(uint256,address)") + encode(["uint256", "address"], [5, ALICE_HEX])
    assert (error["code"], error["data"]) == (3, "0x" + expected.hex())


def test_a_call_without_end_runs_out_of_gas(rpc: JsonRpc, probe: str) -> None:
    error = error_of(rpc, "eth_call", [{"to": probe, "data": "0x" + selector("spin()").hex(), "gas": "0x30d40"}])
    assert error["code"] == 3
    assert "gas" in error["message"]


def test_estimates_suffice_and_are_tight(rpc: JsonRpc, probe: str) -> None:
    for data in (store(1), store(10, b"x" * 500), selector("fill(uint256,uint256)") + encode(["uint256"] * 2, [1, 9])):
        request = {"from": ALICE_HEX, "to": probe, "data": "0x" + data.hex()}
        estimate = int(rpc.handle("eth_estimateGas", [request]), 16)
        chain = DevChain.create(None, genesis(), clock=ticking_clock())
        chain.send(transfer(ALICE, 0, to=b"", value=0, data=PROBE["bytecode"], gas=1_000_000))
        chain.send(transfer(ALICE, 1, to=probe, value=0, data=store(5), gas=200_000))
        raw = transfer(ALICE, 2, to=probe, value=0, data=data, gas=estimate)
        receipt = JsonRpc(chain).handle("eth_getTransactionReceipt", ["0x" + chain.send(raw).hex()])
        assert receipt["status"] == "0x1"
        assert estimate <= int(receipt["gasUsed"], 16) * 1.1 + 5000


def test_the_estimate_of_a_transfer_is_exact(rpc: JsonRpc) -> None:
    assert rpc.handle("eth_estimateGas", [{"from": ALICE_HEX, "to": ALICE_HEX, "value": "0x1"}]) == hex(21_000)


def test_the_estimate_of_what_reverts_is_the_revert(rpc: JsonRpc, probe: str) -> None:
    error = error_of(rpc, "eth_estimateGas", [{"to": probe, "data": "0x" + selector("complain()").hex()}])
    assert (error["code"], error["message"]) == (3, "execution reverted: the reason")


def test_a_call_that_can_not_pay_its_value_is_refused(rpc: JsonRpc, probe: str) -> None:
    error = error_of(rpc, "eth_call", [{"from": "0x" + "99" * 20, "to": probe, "value": "0x1"}])
    assert error["code"] == -32000


@pytest.mark.parametrize(
    ("wanted", "values"),
    [
        ({}, [0, 1, 2, 3, 3, 9]),
        ({"topics": []}, [0, 1, 2, 3, 3, 9]),
        ({"topics": [STORED]}, [0, 1, 2, 3, 3, 9]),
        ({"topics": ["0x" + "00" * 32]}, []),
        ({"topics": [None, None, "0x" + "00" * 31 + "03"]}, [3, 3]),
        ({"topics": [STORED, None, ["0x" + "00" * 31 + "01", "0x" + "00" * 31 + "09"]]}, [1, 9]),
        ({"topics": [STORED, "0x" + "00" * 12 + address(BOB).hex()]}, [3]),
        ({"topics": [None, None, None, None]}, []),
        ({"address": "0x" + "12" * 20}, []),
        ({"fromBlock": "0x3", "toBlock": "0x4"}, [1, 2]),
        ({"fromBlock": "0x6", "toBlock": "latest"}, [3, 9]),
        ({"fromBlock": "0x6", "toBlock": "0x100"}, [3, 9]),
        ({"fromBlock": "0x5", "toBlock": "0x2"}, []),
    ],
)
def test_logs(rpc: JsonRpc, wanted: dict[str, Any], values: list[int]) -> None:
    found = rpc.handle("eth_getLogs", [{"fromBlock": "earliest"} | wanted])
    assert [int(log["topics"][2], 16) for log in found] == values


def test_logs_of_one_block_are_found_by_its_hash(rpc: JsonRpc, probe: str) -> None:
    block = rpc.handle("eth_getBlockByNumber", ["0x6", False])
    found = rpc.handle("eth_getLogs", [{"blockHash": block["hash"], "address": [probe, ALICE_HEX]}])
    receipts = [rpc.handle("eth_getTransactionReceipt", [h]) for h in block["transactions"]]
    assert found == [log for receipt in receipts for log in receipt["logs"]]


def test_a_range_of_logs_is_bounded(rpc: JsonRpc, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "at most" in error_of(rpc, "eth_getLogs", [{"fromBlock": "0x0", "toBlock": "0x2710"}])["message"]
    monkeypatch.setattr("bflmec.devchain.history.MAX_LOGS", 3)
    assert "more than 3" in error_of(rpc, "eth_getLogs", [{"fromBlock": "0x0"}])["message"]


def test_the_bloom_filter_passes_what_a_block_holds(rpc: JsonRpc, probe: str) -> None:
    bloom = int(rpc.handle("eth_getBlockByNumber", ["0x6", False])["logsBloom"], 16)
    contract = bytes.fromhex(probe[2:])
    assert bloom & bloom_bits(contract) == bloom_bits(contract)
    assert LogFilter(frozenset({contract})).may_match(bloom)
    assert not LogFilter(frozenset({b"\x55" * 20})).may_match(bloom)


def test_fee_history(rpc: JsonRpc) -> None:
    history = rpc.handle("eth_feeHistory", ["0x3", "0x6", [0, 100]])
    assert history["oldestBlock"] == "0x4"
    assert len(history["baseFeePerGas"]) == 4
    assert len(history["gasUsedRatio"]) == 3
    assert history["baseFeePerGas"][-1] == rpc.handle("eth_getBlockByNumber", ["0x7", False])["baseFeePerGas"]
    tips = [[int(tip, 16) for tip in tips] for tips in history["reward"]]
    assert tips[0] == [10**9, 10**9]
    assert tips[2][0] == 10**9 < tips[2][1]
    assert "reward" not in rpc.handle("eth_feeHistory", ["0x64", "latest", []])


INVALID: list[tuple[str, list[Any]]] = [
    ("eth_getBlockByNumber", []),
    ("eth_getBlockByNumber", ["0x1", False, 7]),
    ("eth_getBlockByNumber", ["newest", False]),
    ("eth_getBlockByNumber", ["0x01", False]),
    ("eth_getBlockByNumber", [1, False]),
    ("eth_getBlockByNumber", ["0x" + "f" * 65, False]),
    ("eth_getBlockByHash", ["0x12", False]),
    ("eth_getBalance", ["0x12"]),
    ("eth_getBalance", ["0x" + "zz" * 20]),
    ("eth_getStorageAt", [ALICE_HEX, "slot"]),
    ("eth_call", ["0x"]),
    ("eth_call", [{"to": "0x12"}]),
    ("eth_call", [{"to": ALICE_HEX, "data": "0x1"}]),
    ("eth_call", [{"to": ALICE_HEX, "data": "0x11", "input": "0x22"}]),
    ("eth_call", [{"to": ALICE_HEX, "gas": -1}]),
    ("eth_sendRawTransaction", ["hello"]),
    ("eth_getLogs", ["0x"]),
    ("eth_getLogs", [{"topics": [None] * 5}]),
    ("eth_getLogs", [{"topics": "0x"}]),
    ("eth_getLogs", [{"address": ["0x" + "11" * 20] * 1001}]),
    ("eth_feeHistory", ["0x0", "latest", []]),
    ("eth_feeHistory", ["0x1", "latest", [101]]),
    ("eth_feeHistory", ["0x1", "latest", ["a"]]),
    ("eth_feeHistory", ["0x1", "0xfff", []]),
]


@pytest.mark.parametrize(("method", "params"), INVALID, ids=lambda value: str(value)[:40])
def test_invalid_parameters_are_refused(rpc: JsonRpc, method: str, params: list[Any]) -> None:
    with pytest.raises(RpcError) as caught:
        rpc.handle(method, params)
    assert caught.value.code == -32602


def test_an_unknown_method_is_refused(rpc: JsonRpc) -> None:
    assert error_of(rpc, "eth_mine", [])["code"] == -32601


def test_a_refused_transaction_says_why(rpc: JsonRpc) -> None:
    error = error_of(rpc, "eth_sendRawTransaction", ["0x" + transfer(ALICE, 0).hex()])
    assert error == {"code": -32000, "message": "nonce too low: 0 given, 6 is next"}


def test_a_batch_is_answered_in_order(rpc: JsonRpc) -> None:
    batch = [{"jsonrpc": "2.0", "id": n, "method": m} for n, m in enumerate(("eth_chainId", "nonsense", "net_version"))]
    responses = rpc.respond(batch)
    assert [response["id"] for response in responses] == [0, 1, 2]
    assert [set(response) - {"jsonrpc", "id"} for response in responses] == [{"result"}, {"error"}, {"result"}]
    assert rpc.respond([])["error"]["code"] == -32600
    assert rpc.respond([{}] * 101)["error"]["code"] == -32600


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=70),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=9), children, max_size=4),
    max_leaves=8,
)


@settings(deadline=None)
@given(request=json_values)
def test_any_json_is_answered(rpc: JsonRpc, request: Any) -> None:
    head = rpc.chain.head.hash
    response = rpc.respond(request)
    assert isinstance(response, list) or "error" in response or "result" in response
    assert rpc.chain.head.hash == head


@settings(deadline=None)
@given(data=st.data())
def test_any_parameters_give_a_result_or_a_typed_error(rpc: JsonRpc, data: st.DataObject) -> None:
    method = data.draw(st.sampled_from(sorted(rpc._methods)))
    hexadecimal = st.sampled_from(["0x", "0x0", "0x7", ALICE_HEX, "0x" + "00" * 32, "latest", "pending"])
    call = st.fixed_dictionaries({}, optional=dict.fromkeys(("to", "from", "data", "gas", "value"), hexadecimal))
    params = data.draw(st.lists(hexadecimal | call | json_values, max_size=4))
    response = rpc.respond({"id": 1, "method": method, "params": params})
    assert response.get("error", {}).get("code") != -32603, response
