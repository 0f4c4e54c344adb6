"""Whatever comes over the wire is answered with a JSON-RPC response, and nothing changes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from chain_service import DEADLINE, Connection, connected, request, served, wait_until
from chain_tools import ALICE, PROBE, address, genesis, ticking_clock, transfer
from hypothesis import given, settings
from hypothesis import strategies as st

from bflmec.devchain import DevChain, JsonRpc
from bflmec.devchain.rpc import wire
from bflmec.devchain.rpc.wire import MAX_REQUEST, respond_bytes
from bflmec.devchain.service import guard
from bflmec.devchain.service import server as server_module
from bflmec.devchain.service.server import ChainServer

JSON_HEAD = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
METHODS = sorted(JsonRpc(DevChain.create(None, genesis()))._methods)


@pytest.fixture(scope="module")
def chain() -> DevChain:
    chain = DevChain.create(None, genesis(), clock=ticking_clock())
    chain.send(transfer(ALICE, 0, to=b"", value=0, data=PROBE["bytecode"], gas=1_000_000))
    chain.auto_mine = False
    return chain


@pytest.fixture(scope="module")
def rpc(chain: DevChain) -> JsonRpc:
    return JsonRpc(chain)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served() as (_, server):
        yield server.url


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    with connected(url) as connection:
        yield connection


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
HEX = st.integers(0, 2**70).map(hex) | st.binary(max_size=40).map(lambda data: "0x" + data.hex())
PLAUSIBLE = st.sampled_from(
    [
        "0x" + address(ALICE).hex(),
        "0x" + "00" * 32,
        *("latest", "pending", "earliest", "0x0", "0x1"),
        *(True, None, [], {}, {"blockHash": None}, {"blockNumber": []}, {"fromBlock": "0x1", "topics": [None, []]}),
        {"to": "0x" + address(ALICE).hex(), "value": "0x1"},
        {"data": "0x60006000fd", "gas": "0xffff"},
        [25, 75.5],
    ]
)
REQUEST = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "id": st.integers(), "method": st.sampled_from(METHODS)},
    optional={"params": st.lists(PLAUSIBLE | HEX | JSON, max_size=4)},
)


def assert_is_response(response: Any) -> None:
    if isinstance(response, list):
        assert response
        for one in response:
            assert_is_response(one)
        return
    assert response["jsonrpc"] == "2.0"
    assert "id" in response
    if "error" in response:
        assert isinstance(response["error"]["code"], int)
        assert response["error"]["code"] != -32603, response
        assert isinstance(response["error"]["message"], str)
        assert len(response["error"]["message"]) < 1000
    else:
        assert "result" in response


@settings(max_examples=400, deadline=None)
@given(value=JSON | REQUEST | st.lists(REQUEST | JSON, max_size=3))
def test_any_json_gets_a_response_and_changes_nothing(chain: DevChain, rpc: JsonRpc, value: Any) -> None:
    before = chain.head.hash, chain.next_nonce(address(ALICE)), len(chain._mempool)
    assert_is_response(json.loads(respond_bytes(rpc, json.dumps(value).encode())))
    assert (chain.head.hash, chain.next_nonce(address(ALICE)), len(chain._mempool)) == before


@settings(max_examples=200, deadline=None)
@given(body=st.binary() | st.text().map(str.encode))
def test_any_bytes_get_a_response(rpc: JsonRpc, body: bytes) -> None:
    assert_is_response(json.loads(respond_bytes(rpc, body)))


HOSTILE = {
    "nothing": b"",
    "no JSON": b"{",
    "not UTF-8": b'"\xff\xfe"',
    "UTF-16": json.dumps([]).encode("utf-16"),
    "deep lists": b"[" * 1_000_000,
    "deep objects": b'{"a":' * 500_000,
    "deep parameters": b'{"id":1,"method":"eth_call","params":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "a huge number": b'{"id":1,"method":"eth_call","params":[' + b"9" * 1_000_000 + b"]}",
    "a huge id": b'{"id":' + b"9" * 4000 + b',"method":"eth_chainId"}',
    "an infinite id": b'{"id":1e999,"method":"eth_chainId"}',
    "not a number": b'{"id":NaN,"method":"eth_chainId"}',
    "half a surrogate": b'{"id":"\\ud800","method":"\\ud800"}',
    "an id that is a list": b'{"id":[1],"method":"eth_chainId"}',
    "a method that is a number": b'{"id":1,"method":7}',
    "named parameters": b'{"id":1,"method":"eth_chainId","params":{"a":1}}',
    "no request": b"7",
    "an empty batch": b"[]",
    "a batch of a million": b"[" + b"1," * 999_999 + b"1]",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_requests_get_one_error(connection: Connection, body: bytes) -> None:
    status, response = connection.post(body)
    assert status == 200
    assert_is_response(response)
    assert "result" not in response or response["id"] == "\ud800"
    assert connection.call("eth_chainId") == "0x539"


def test_a_batch_is_answered_in_its_order_with_an_error_for_each_bad_one(connection: Connection) -> None:
    batch = [json.loads(request("eth_chainId")), 7, {"id": 3, "method": "nothing"}, json.loads(request("eth_mining"))]
    _, responses = connection.post(json.dumps(batch).encode())
    assert [response.get("result", response.get("error", {}).get("code")) for response in responses] == [
        "0x539",
        -32600,
        -32601,
        True,
    ]


def test_the_responses_of_a_batch_are_bounded(rpc: JsonRpc, monkeypatch: pytest.MonkeyPatch) -> None:
    one = {"id": 1, "method": "eth_getCode", "params": ["0x" + "77" * 20]}
    room = 2 * len(respond_bytes(rpc, json.dumps(one).encode()))
    monkeypatch.setattr(wire, "MAX_RESPONSE", room)
    responses = json.loads(respond_bytes(rpc, json.dumps([one] * 4).encode()))
    assert [response.get("error", {}).get("code") for response in responses] == [None, None, -32005, -32005]


def test_the_time_of_a_batch_is_bounded(rpc: JsonRpc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_SECONDS", 0.0)
    one = {"id": 1, "method": "eth_chainId"}
    assert json.loads(respond_bytes(rpc, json.dumps([one]).encode()))[0]["error"]["code"] == -32005
    assert json.loads(respond_bytes(rpc, json.dumps(one).encode()))["result"] == "0x539"


def test_a_request_that_is_too_long_is_refused_before_it_is_read(connection: Connection) -> None:
    connection.http.putrequest("POST", "/")
    connection.http.putheader("Content-Type", "application/json")
    connection.http.putheader("Content-Length", str(10**11))
    connection.http.endheaders()
    response = connection.http.getresponse()
    assert response.status == 413
    assert str(MAX_REQUEST) in json.loads(response.read())["error"]["message"]


def test_a_chunked_request_that_becomes_too_long_is_refused(connection: Connection) -> None:
    chunks = (b" " * (1 << 20) for _ in range(6))
    headers = {"Content-Type": "application/json"}
    connection.http.request("POST", "/", chunks, headers, encode_chunked=True)  # type: ignore[arg-type]
    response = connection.http.getresponse()
    assert response.status == 413
    response.read()
    assert connection.call("eth_chainId") == "0x539"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_other_content_types_are_refused(connection: Connection, content_type: str) -> None:
    status, response = connection.post(request("eth_chainId"), **{"Content-Type": content_type})
    assert status == 415
    assert "application/json" in response["error"]["message"]


def test_a_connection_is_kept_for_many_requests(connection: Connection) -> None:
    connection.call("eth_chainId")
    kept = connection.http.sock
    connection.call("eth_chainId")
    assert connection.http.sock is kept


def test_it_listens_on_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with DevChain.create(None, genesis()) as chain, ChainServer(chain, "::1", 0) as server:
        assert server.url.startswith("http://[::1]:")
        assert exchange(server.url, b"no http\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_only_post_is_answered(connection: Connection) -> None:
    connection.http.request("GET", "/")
    response = connection.http.getresponse()
    assert (response.status, response.getheader("Allow")) == (405, "POST")


def test_what_is_not_http_is_refused(url: str) -> None:
    assert exchange(url, b"\x16\x03\x01 no http\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert exchange(url, b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert exchange(url, b"POST / HTTP/1.1\r\nX: " + b"x" * 100_000).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    "unfinished",
    [
        b"",
        b"POST / HT",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    ],
)
def test_a_client_that_does_not_finish_its_request_is_cut_off(
    unfinished: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "REQUEST_SECONDS", 0.1)
    with served() as (_, server):
        assert exchange(server.url, unfinished) == b""


LARGE = 120_000  # bytes of a transaction that is asked for 100 times at once: 24 MB


def large_batch(chain: DevChain) -> bytes:
    waiting = chain.send(transfer(ALICE, 0, data=bytes(LARGE), gas=2_000_000))
    wanted = json.loads(request("eth_getRawTransactionByHash", "0x" + waiting.hex()))
    return json.dumps([wanted] * 100).encode()


def test_a_large_response_arrives_whole() -> None:
    with served(block_time=3600) as (chain, server), connected(server.url) as connection:
        _, responses = connection.post(large_batch(chain))
        assert len(responses) == 100
        assert all(len(response["result"]) > 2 * LARGE for response in responses)


def test_a_client_that_does_not_read_its_response_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "RESPONSE_SECONDS", 0.1)
    with served(block_time=3600) as (chain, server):
        body = large_batch(chain)
        with raw_connection(server.url) as client:
            client.sendall(f"{JSON_HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            wait_until(lambda: server.connections == 1)
            wait_until(lambda: server.connections == 0)


def test_a_connection_without_requests_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "KEEP_ALIVE_SECONDS", 0)
    body = request("eth_chainId")
    with served() as (_, server):
        received = exchange(server.url, f"{JSON_HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert received.endswith(b'"result":"0x539"}')


def raw_connection(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=DEADLINE)


def exchange(url: str, sent: bytes) -> bytes:
    """All that comes back until the server closes the connection."""
    received = b""
    with raw_connection(url) as client:
        try:
            client.sendall(sent)
            while part := client.recv(65536):
                received += part
        except ConnectionError:
            pass
    return received


def test_web_pages_may_ask(connection: Connection) -> None:
    connection.http.request(
        "OPTIONS",
        "/",
        headers={
            "Origin": "https://page.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
    )
    response = connection.http.getresponse()
    response.read()
    assert response.status == 200
    assert response.getheader("Access-Control-Allow-Origin") == "*"
    connection.http.request(
        "POST", "/", request("eth_chainId"), {"Content-Type": "application/json", "Origin": "https://page.example"}
    )
    assert connection.http.getresponse().getheader("Access-Control-Allow-Origin") == "*"
