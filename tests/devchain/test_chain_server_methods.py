"""Methods beyond those of a node in the same process: filters, positions in blocks, and what is not supported."""

from __future__ import annotations

from typing import Any

import pytest
from chain_tools import ALICE, BOB, PROBE, PROBE_ADDRESS, address, genesis, ticking_clock, transfer
from eth_abi.abi import encode
from eth_hash.auto import keccak

from bflmec.devchain import DevChain, JsonRpc
from bflmec.devchain.logs import LogFilter
from bflmec.devchain.mempool import CAPACITY, Arrivals
from bflmec.devchain.rpc import filters as filters_module
from bflmec.devchain.rpc.filters import Filters
from bflmec.errors import ChainError, RpcError

STORED = "0x" + keccak(b"Stored(address,uint256,bytes)").hex()


def store(chain: DevChain, nonce: int, value: int) -> None:
    call = keccak(b"store(uint256,bytes)")[:4] + encode(["uint256", "bytes"], [value, b""])
    chain.send(transfer(ALICE, nonce, to=PROBE_ADDRESS, value=0, data=call, gas=200_000))


def value_of(log: dict[str, Any]) -> int:
    return int(log["data"][2:66], 16) if len(log["topics"]) == 2 else int(log["topics"][2], 16)


@pytest.fixture
def chain() -> DevChain:
    """Block 1 deploys the probe contract, block 2 stores 1 in it."""
    chain = DevChain.create(None, genesis(), clock=ticking_clock())
    chain.send(transfer(ALICE, 0, to=b"", value=0, data=PROBE["bytecode"], gas=1_000_000))
    store(chain, 1, 1)
    return chain


@pytest.fixture
def rpc(chain: DevChain) -> JsonRpc:
    return JsonRpc(chain)


def test_a_block_filter_reports_each_new_block_once(chain: DevChain, rpc: JsonRpc) -> None:
    name = rpc.handle("eth_newBlockFilter")
    assert rpc.handle("eth_getFilterChanges", [name]) == []
    expected = ["0x" + chain.mine().hash.hex() for _ in range(3)]
    assert rpc.handle("eth_getFilterChanges", [name]) == expected
    assert rpc.handle("eth_getFilterChanges", [name]) == []


@pytest.mark.parametrize("auto_mine", [True, False], ids=["mined at once", "waiting"])
def test_a_transaction_filter_reports_each_arrival_once(chain: DevChain, rpc: JsonRpc, auto_mine: bool) -> None:
    chain.auto_mine = auto_mine
    chain.send(transfer(BOB, 0))
    name = rpc.handle("eth_newPendingTransactionFilter")
    assert rpc.handle("eth_getFilterChanges", [name]) == []
    expected = ["0x" + chain.send(transfer(BOB, nonce)).hex() for nonce in (1, 2)]
    with pytest.raises(ChainError):
        chain.send(transfer(BOB, 2))
    assert rpc.handle("eth_getFilterChanges", [name]) == expected
    assert rpc.handle("eth_getFilterChanges", [name]) == []
    with pytest.raises(ChainError, match="this filter is for transactions"):
        rpc.handle("eth_getFilterLogs", [name])


def test_what_arrived_is_remembered_up_to_a_bound() -> None:
    arrivals = Arrivals()
    hashes = [index.to_bytes(32, "big") for index in range(3 * CAPACITY)]
    for one in hashes:
        arrivals.add(one)
    assert arrivals.since(0) == hashes[CAPACITY:]
    assert arrivals.since(3 * CAPACITY - 2) == hashes[-2:]
    assert arrivals.since(3 * CAPACITY + 5) == []


def test_a_log_filter_reports_each_new_log_once(chain: DevChain, rpc: JsonRpc) -> None:
    name = rpc.handle("eth_newFilter", [{"address": PROBE_ADDRESS, "topics": [STORED]}])
    for value in (2, 3):
        store(chain, value, value)
    chain.send(transfer(BOB, 0))
    assert [value_of(log) for log in rpc.handle("eth_getFilterChanges", [name])] == [2, 3]
    store(chain, 4, 4)
    assert [value_of(log) for log in rpc.handle("eth_getFilterChanges", [name])] == [4]
    assert rpc.handle("eth_getFilterChanges", [name]) == []


def test_a_log_filter_keeps_to_its_range(chain: DevChain, rpc: JsonRpc) -> None:
    name = rpc.handle("eth_newFilter", [{"fromBlock": "0x4", "toBlock": "0x5"}])
    for value in (2, 3, 4, 5):  # blocks 3 to 6
        store(chain, value, value)
    assert [value_of(log) for log in rpc.handle("eth_getFilterLogs", [name])] == [3, 4]
    assert [value_of(log) for log in rpc.handle("eth_getFilterChanges", [name])] == [3, 4]
    assert rpc.handle("eth_getFilterChanges", [name]) == []


def test_the_logs_of_a_filter_are_those_of_the_same_query(chain: DevChain, rpc: JsonRpc) -> None:
    wanted = {"fromBlock": "earliest", "topics": [STORED]}
    name = rpc.handle("eth_newFilter", [wanted])
    store(chain, 2, 2)
    assert rpc.handle("eth_getFilterLogs", [name]) == rpc.handle("eth_getLogs", [wanted])
    assert len(rpc.handle("eth_getFilterLogs", [name])) == 2


def test_a_filter_of_one_block_finds_its_logs_and_no_others(chain: DevChain, rpc: JsonRpc) -> None:
    name = rpc.handle("eth_newFilter", [{"blockHash": "0x" + chain.head.hash.hex()}])
    store(chain, 2, 2)
    assert [value_of(log) for log in rpc.handle("eth_getFilterLogs", [name])] == [1]
    assert rpc.handle("eth_getFilterChanges", [name]) == []


def test_a_block_filter_has_no_logs(rpc: JsonRpc) -> None:
    name = rpc.handle("eth_newBlockFilter")
    with pytest.raises(ChainError, match="this filter is for blocks"):
        rpc.handle("eth_getFilterLogs", [name])


@pytest.mark.parametrize(
    "wanted",
    [
        "latest",
        {"topics": [None] * 5},
        {"topics": "0x"},
        {"address": ["0x" + "00" * 20] * 1001},
        {"fromBlock": 1},
        {"toBlock": "0xzz"},
        {"address": "0x00"},
    ],
)
def test_a_malformed_filter_is_refused(rpc: JsonRpc, wanted: Any) -> None:
    for method in ("eth_newFilter", "eth_getLogs"):
        with pytest.raises(RpcError) as caught:
            rpc.handle(method, [wanted])
        assert caught.value.code == -32602


def test_a_filter_is_gone_when_it_is_uninstalled(rpc: JsonRpc) -> None:
    name = rpc.handle("eth_newBlockFilter")
    assert rpc.handle("eth_uninstallFilter", [name]) is True
    assert rpc.handle("eth_uninstallFilter", [name]) is False
    with pytest.raises(ChainError, match="filter not found"):
        rpc.handle("eth_getFilterChanges", [name])


def test_a_filter_is_forgotten_when_nobody_asks(chain: DevChain) -> None:
    now = [0.0]
    filters = Filters(chain, lambda: now[0])
    asked, forgotten = filters.watch_blocks(), filters.watch_blocks()
    for _ in range(3):
        now[0] += 0.6 * filters_module.LIFETIME
        filters.changes(asked)
    with pytest.raises(ChainError, match="install it again"):
        filters.changes(forgotten)


def test_filters_are_bounded(chain: DevChain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters_module, "CAPACITY", 2)
    filters = Filters(chain)
    names = [filters.watch_blocks(), filters.watch_logs(LogFilter(), 0, None)]
    with pytest.raises(RpcError, match="2 filters are open"):
        filters.watch_blocks()
    filters.close(names[0])
    filters.watch_blocks()


def test_a_long_absence_is_made_up_in_steps(chain: DevChain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters_module, "MAX_BLOCK_RANGE", 2)
    filters = Filters(chain)
    name = filters.watch_blocks()
    for _ in range(3):
        chain.mine()
    assert [len(filters.changes(name)) for _ in range(3)] == [2, 1, 0]


def test_transactions_are_found_by_their_place_in_a_block(rpc: JsonRpc) -> None:
    block = rpc.handle("eth_getBlockByNumber", ["0x2", True])
    (expected,) = block["transactions"]
    assert rpc.handle("eth_getTransactionByBlockNumberAndIndex", ["0x2", "0x0"]) == expected
    assert rpc.handle("eth_getTransactionByBlockHashAndIndex", [block["hash"], "0x0"]) == expected
    assert rpc.handle("eth_getTransactionByBlockNumberAndIndex", ["0x2", "0x1"]) is None
    assert rpc.handle("eth_getTransactionByBlockNumberAndIndex", ["0x9", "0x0"]) is None


def test_transactions_and_uncles_of_a_block_are_counted(rpc: JsonRpc) -> None:
    block_hash = rpc.handle("eth_getBlockByNumber", ["0x2"])["hash"]
    for way, block in (("Number", "0x2"), ("Hash", block_hash)):
        assert rpc.handle(f"eth_getBlockTransactionCountBy{way}", [block]) == "0x1"
        assert rpc.handle(f"eth_getUncleCountByBlock{way}", [block]) == "0x0"
        assert rpc.handle(f"eth_getUncleByBlock{way}AndIndex", [block, "0x0"]) is None
    assert rpc.handle("eth_getBlockTransactionCountByNumber", ["0x9"]) is None
    assert rpc.handle("eth_getUncleCountByBlockHash", ["0x" + "00" * 32]) is None


def test_the_receipts_of_a_block_are_those_of_its_transactions(rpc: JsonRpc) -> None:
    block = rpc.handle("eth_getBlockByNumber", ["0x2"])
    expected = [rpc.handle("eth_getTransactionReceipt", [name]) for name in block["transactions"]]
    assert rpc.handle("eth_getBlockReceipts", ["0x2"]) == expected
    assert rpc.handle("eth_getBlockReceipts", [block["hash"]]) == expected
    assert rpc.handle("eth_getBlockReceipts", [{"blockHash": block["hash"]}]) == expected
    assert rpc.handle("eth_getBlockReceipts", ["0x9"]) is None


def test_a_raw_transaction_is_what_was_sent(chain: DevChain, rpc: JsonRpc) -> None:
    mined, waiting = transfer(BOB, 0), transfer(BOB, 1)
    names = ["0x" + chain.send(mined).hex()]
    chain.auto_mine = False
    names.append("0x" + chain.send(waiting).hex())
    raw = [rpc.handle("eth_getRawTransactionByHash", [name]) for name in [*names, "0x" + "00" * 32]]
    assert raw == ["0x" + mined.hex(), "0x" + waiting.hex(), None]


def test_the_node_says_what_it_is(rpc: JsonRpc) -> None:
    assert rpc.handle("web3_sha3", ["0x68656c6c6f"]) == "0x" + keccak(b"hello").hex()
    assert rpc.handle("net_listening") is True
    assert rpc.handle("net_peerCount") == "0x0"
    assert rpc.handle("eth_mining") is True
    assert rpc.handle("eth_hashrate") == "0x0"
    assert rpc.handle("eth_coinbase") == "0x" + "00" * 20


@pytest.mark.parametrize(
    ("method", "advice"),
    [
        ("eth_sendTransaction", "eth_sendRawTransaction"),
        ("personal_sign", "sign on your side"),
        ("eth_getProof", "eth_getStorageAt"),
        ("evm_increaseTime", "blocks come from transactions"),
        ("hardhat_setBalance", "no methods that change"),
        ("debug_traceTransaction", "eth_call"),
        ("eth_subscribe", "eth_newFilter"),
    ],
)
def test_what_is_not_supported_says_what_to_do_instead(rpc: JsonRpc, method: str, advice: str) -> None:
    response = rpc.respond({"jsonrpc": "2.0", "id": 1, "method": method, "params": [{}]})
    assert response["error"]["code"] == -32004
    assert advice in response["error"]["message"]


def test_what_exists_nowhere_is_not_found(rpc: JsonRpc) -> None:
    response = rpc.respond({"jsonrpc": "2.0", "id": 1, "method": "eth_makeCoffee"})
    assert response["error"]["code"] == -32601


def test_an_address_without_ether_has_a_nonce_and_a_balance(rpc: JsonRpc) -> None:
    nobody = "0x" + "77" * 20
    assert rpc.handle("eth_getTransactionCount", [nobody, "pending"]) == "0x0"
    assert rpc.handle("eth_getBalance", [nobody]) == "0x0"
    assert rpc.handle("eth_getBalance", ["0x" + address(BOB).hex()]) == hex(10**24)
