"""Hostile HTTP: oversized, slow, truncated, concurrent, and whatever the API's own description leads to."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance
from service_world import World, digest_of, wait_until, world

from bflmec.edge import guard
from bflmec.transport.sealing import seal

HTTP = httpx.Client(verify=False)


def connect(made: World, number: int = 0) -> socket.socket:
    parts = urlsplit(made.servers[number].url)
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side hangs up instead of answering."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def head(length: int) -> bytes:
    return f"POST /v1/gradients HTTP/1.1\r\nHost: edge\r\nContent-Length: {length}\r\n\r\n".encode()


def test_an_oversized_announcement_is_refused_before_its_body(edge_world: World) -> None:
    with closing(connect(edge_world)) as connection:
        connection.sendall(head(10**11))
        assert b" 413 " in connection.recv(4096).split(b"\r\n", 1)[0]


@pytest.mark.parametrize("sent", [b"", b"POST", head(1000), head(1000) + b"x" * 999], ids=range(4))
def test_a_request_that_breaks_off_leaves_nothing_behind(edge_world: World, sent: bytes) -> None:
    service = edge_world.servers[0].service
    with closing(connect(edge_world)) as connection:
        connection.sendall(sent)
    wait_until(lambda: service.uploads._present == 0, "the end of the upload")
    assert HTTP.get(f"{edge_world.servers[0].url}/health").status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00" * 100,
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /v1/gradients HTTP/1.1\r\nHost: e\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/gradients HTTP/1.1\r\nHost: e\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST /v1/gradients HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
    ],
    ids=range(5),
)
def test_what_is_no_http_is_refused(edge_world: World, sent: bytes) -> None:
    with closing(connect(edge_world)) as connection:
        connection.sendall(sent)
        assert connection.recv(4096).split(b" ")[1:2] in ([b"400"], [b"431"], [])
    assert HTTP.get(f"{edge_world.servers[0].url}/health").status_code == 200


def test_who_sends_too_slowly_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(guard, "CHECK_SECONDS", 0.05)
    with world(tmp_path, 1) as made:
        server = made.start(0)
        with closing(connect(made)) as connection:
            connection.sendall(head(10_000) + b"x")
            assert is_closed(connection)
        wait_until(lambda: server.service.uploads._present == 0, "the end of the upload")


def test_who_never_reads_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "ANSWER_SECONDS", 0.2)
    with world(tmp_path, 1) as made:
        server = made.start(0)
        parts = urlsplit(server.url)
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect((parts.hostname, parts.port))
            connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: e\r\n\r\n" * 1000)
            wait_until(lambda: server.connections == 0, "the end of the connection")


def test_more_uploads_than_are_taken_at_a_time_are_told_to_come_back(tmp_path: Path) -> None:
    with world(tmp_path, 1) as made:
        made.start(0, uploads_at_a_time=2)
        with closing(connect(made)) as first, closing(connect(made)) as second:
            for connection in (first, second):
                connection.sendall(head(1000) + b"x")
            wait_until(lambda: made.servers[0].service.uploads._present == 2, "both")
            answer = HTTP.post(f"{made.servers[0].url}/v1/gradients", content=b"x")
        assert (answer.status_code, answer.json()["type"]) == (503, "EdgeBusyError")
        assert int(answer.headers["retry-after"]) >= 1


def test_many_clients_at_once_are_all_acknowledged(tmp_path: Path) -> None:
    with world(tmp_path, 1) as made:
        made.start(0)
        uploaders = [made.uploader(number) for number in range(8)]
        envelopes = [uploader.envelope() for uploader in uploaders for _ in range(6)]
        made.recipient(0)
        with ThreadPoolExecutor(16) as pool:
            receipts = list(pool.map(lambda envelope: made.upload(0, envelope), envelopes))
        assert [receipt.gradient for receipt in receipts] == list(map(digest_of, envelopes))


def test_strangers_lead_to_few_questions_to_the_ledger(tmp_path: Path) -> None:
    with world(tmp_path, 1) as made:
        service = made.start(0, lookups_per_second=1.0).service
        asked = []
        participants = service.parts.registry._participants
        original = participants.client_key_digest
        participants.client_key_digest = lambda account: asked.append(account) or original(account)  # type: ignore[method-assign]
        recipient = made.recipient(0)
        strangers = [made.uploader(1000 + number, register=False).envelope() for number in range(20)]
        statuses = []
        for envelope in strangers + strangers:
            sealed = seal(envelope, recipient.encapsulation_key, recipient.binding)
            statuses.append(HTTP.post(f"{made.servers[0].url}/v1/gradients", content=sealed).status_code)
        assert set(statuses) <= {403, 503}
        assert 1 <= len(asked) <= 10  # two at once, then one a second


@given(st.binary(max_size=2000))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_body_gets_a_problem(edge_world: World, body: bytes) -> None:
    for path in ("/v1/gradients", "/v1/peers/sessions", "/v1/peers/messages"):
        answer = HTTP.post(edge_world.servers[0].url + path, content=body)
        assert answer.status_code in (400, 403, 413, 503)
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_api_keeps_to_its_description(edge_world: World) -> None:
    """Short form of benchmarks/hostile_http.py."""
    schema = schemathesis.openapi.from_url(f"{edge_world.servers[0].url}/openapi.json")

    for operation in schema.exclude(path="/v1/events").get_all_operations():
        _check_operation(operation.ok())
    assert HTTP.get(f"{edge_world.servers[0].url}/health").status_code == 200


def _check_operation(operation: object) -> None:
    @given(case=operation.as_strategy())  # type: ignore[attr-defined]
    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(excluded_checks=[positive_data_acceptance])  # any bytes are valid, and few are a message

    check()
