"""Whatever answers in a daemon's place: no wrong byte gets through, nothing hangs or grows, and errors are typed."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator

import pytest
from daemon_doubles import CLIENTS, Answer, Request, daemon_at, server
from hypothesis import given, settings
from hypothesis import strategies as st

from bflmec.errors import StorageError, StorageUnavailableError
from bflmec.storage import DAG_PB, RAW, Cid, IpfsDaemon, unixfs
from bflmec.storage.ipfs_api import Timeouts

MIB = 1 << 20
BLOB = b"global gradient"
CID = unixfs.cid_of(BLOB)
SHORT = Timeouts(connect=1, local=0.3, peers=0.3, add=0.3, gc=0.3)

METHODS: dict[str, Callable[[IpfsDaemon], object]] = {
    "put": lambda daemon: daemon.put(BLOB),
    "get": lambda daemon: daemon.get(CID, MIB),
    "has": lambda daemon: daemon.has(CID),
    "pin": lambda daemon: daemon.pin(CID),
    "unpin": lambda daemon: daemon.unpin(CID),
    "pins": lambda daemon: daemon.pins(),
    "gc": lambda daemon: daemon.gc(),
}
"""What `has`, `pin` and `gc` say depends on a daemon that is trusted to keep blobs; it may not do more than lie."""


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def always(answer: Answer) -> Callable[[Request], Answer]:
    return lambda request: answer


def test_wrong_bytes_do_not_get_through(client: str) -> None:
    with server(always(Answer(b"global gr4dient"))) as address, pytest.raises(StorageError, match="wrong bytes"):
        daemon_at(client, address).get(CID, MIB)


def test_a_node_of_another_blob_does_not_get_through(client: str) -> None:
    blobs = [bytes([fill]) * (2 * MIB) for fill in (1, 2)]
    wanted = unixfs.cid_of(blobs[0])
    blocks = {str(cid): bytes(block) for cid, block in unixfs.encode(blobs[1])}
    other = blocks[str(unixfs.cid_of(blobs[1]))]
    with (
        server(lambda request: Answer(blocks.get(request.parameters["arg"], other))) as address,
        pytest.raises(StorageError, match="wrong bytes"),
    ):
        daemon_at(client, address).get(wanted, 4 * MIB)


def test_a_wrong_leaf_below_a_right_node_does_not_get_through(client: str) -> None:
    blob = bytes(2 * MIB) + b"end"
    blocks = {str(cid): bytes(block) for cid, block in unixfs.encode(blob)}
    leaf = str(Cid.of(RAW, b"end"))
    blocks[leaf] = b"eND"
    with (
        server(lambda request: Answer(blocks[request.parameters["arg"]])) as address,
        pytest.raises(StorageError, match="wrong bytes"),
    ):
        daemon_at(client, address).get(unixfs.cid_of(blob), 4 * MIB)


def test_an_endless_block_is_cut_off() -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += MIB
            yield bytes(MIB)

    with (
        server(lambda request: Answer(endless())) as address,
        pytest.raises(StorageError, match="more than 1048576 bytes"),
    ):
        daemon_at("ipfs", address).get(CID, 1 << 40)
    assert sent < 100 * MIB


def test_a_block_over_the_limit_is_refused(client: str) -> None:
    with (
        server(always(Answer(bytes(2 * MIB)))) as address,
        pytest.raises(StorageError, match="more than 1048576 bytes"),
    ):
        daemon_at(client, address).get(CID, 1 << 40)


def test_another_content_id_is_refused(client: str) -> None:
    other = str(Cid.of(RAW, b"other"))
    with (
        server(always(Answer(json.dumps({"Name": "blob", "Hash": other, "Size": "15"}).encode()))) as address,
        pytest.raises(StorageError, match="another content id"),
    ):
        daemon_at(client, address).put(BLOB)


def test_the_same_content_id_in_another_base_is_accepted(client: str) -> None:
    # The CID of "blob", as js-ipfs writes it.
    with server(always(Answer(b'{"Hash":"zb2rhoUrWzEigaKeTQiwQprCVSmfUaRgGgtHqLQDbtFMfR6Qo"}'))) as address:
        assert daemon_at(client, address).put(b"blob") == unixfs.cid_of(b"blob")


def test_everything_that_the_content_id_depends_on_is_sent(client: str) -> None:
    seen: list[Request] = []

    def behaviour(request: Request) -> Answer:
        seen.append(request)
        return Answer(json.dumps({"Hash": str(CID)}).encode())

    with server(behaviour) as address:
        daemon_at(client, address).put(BLOB)
    (request,) = seen
    wanted = {"cid-version": "1", "chunker": "size-1048576", "max-file-links": "1024", "hash": "sha2-256"}
    assert wanted.items() <= request.parameters.items()
    assert (request.parameters["raw-leaves"].lower(), request.parameters["pin"].lower()) == ("true", "false")
    assert BLOB in request.body


def test_pins_of_other_kinds_are_passed_over(client: str) -> None:
    keys = {
        "QmRaaUwTNfwgFZpeUy8qrZwrp2dY4kCKmmB5xEqvH3vtD1": {"Type": "recursive"},
        "zdj7WfF7zep3Rewhsag6XZ9FWp2T223V6JK4qYedqKsYYJ9Dc": {"Type": "recursive"},
        "zb2rhoUrWzEigaKeTQiwQprCVSmfUaRgGgtHqLQDbtFMfR6Qo": {"Type": "recursive"},
        "z" + "0" * 48: {"Type": "recursive"},
        str(CID): {"Type": "recursive"},
    }
    with server(always(Answer(json.dumps({"Keys": keys}).encode()))) as address:
        found = daemon_at(client, address).pins()
    assert len(found) == 3
    assert {CID, unixfs.cid_of(b"blob")} < set(found)


def test_a_pin_that_the_daemon_does_not_confirm_is_an_error(client: str) -> None:
    replies = {"block/stat": b'{"Key":"x","Size":1}', "pin/add": b'{"Pins":[]}'}
    with (
        server(lambda request: Answer(replies[request.command])) as address,
        pytest.raises(StorageError, match="did not confirm"),
    ):
        daemon_at(client, address).pin(CID)


def test_a_failed_garbage_collection_is_an_error(client: str) -> None:
    lines = b'{"Key":{"/":"bafkreih2fsgmj4ubo2565vfxg3pvngruy6ong4r6t3cc7ftuwtkgvrvyxa"}}\n{"Error":"disk on fire"}\n'
    replies = {"repo/stat": b'{"RepoSize":100}', "repo/gc": lines}
    with (
        server(lambda request: Answer(replies[request.command])) as address,
        pytest.raises(StorageError, match="disk on fire"),
    ):
        daemon_at(client, address).gc()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "API.Authorizations"),
        (403, "API.Authorizations"),
        (404, "no IPFS API"),
        (405, "no IPFS API"),
        (503, "try again later"),
    ],
)
def test_a_server_that_does_not_serve_is_unavailable(client: str, method: str, status: int, says: str) -> None:
    with server(always(Answer(b"<html>", status))) as address, pytest.raises(StorageUnavailableError, match=says):
        METHODS[method](daemon_at(client, address))


@pytest.mark.parametrize("method", METHODS)
def test_nobody_listening_is_unavailable(client: str, method: str) -> None:
    with pytest.raises(StorageUnavailableError, match="start it"):
        METHODS[method](daemon_at(client, "http://127.0.0.1:1"))


@pytest.mark.parametrize("method", METHODS)
def test_a_daemon_that_says_nothing_is_not_waited_for(
    client: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bflmec.storage.ipfs_api._GRACE", 0.0)

    def silence(request: Request) -> Answer:
        time.sleep(1.5)
        return Answer()

    with server(silence) as address, pytest.raises(StorageUnavailableError):
        METHODS[method](daemon_at(client, address, SHORT))


def test_a_daemon_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bflmec.storage.ipfs_api._GRACE", 0.0)

    def drops() -> Iterator[bytes]:
        while True:
            yield b"x"
            time.sleep(0.05)

    with server(lambda request: Answer(drops())) as address, pytest.raises(StorageUnavailableError, match="in time"):
        daemon_at("ipfs", address, SHORT).get(CID, MIB)


def test_a_block_that_breaks_off_is_an_error(client: str) -> None:
    with server(always(Answer(BLOB, length=100))) as address, pytest.raises(StorageError):
        daemon_at(client, address).get(CID, MIB)


def test_redirects_are_not_followed() -> None:
    asked: list[str] = []

    def elsewhere(request: Request) -> Answer:
        asked.append(request.command)
        return Answer(BLOB)

    with server(elsewhere) as trap:
        redirect = Answer(status=307, headers={"Location": f"{trap}/api/v0/block/get"})
        with server(always(redirect)) as address, pytest.raises(StorageUnavailableError, match="307"):
            daemon_at("ipfs", address).get(CID, MIB)
    assert asked == []


def test_a_daemons_words_are_shown_short_and_printable(client: str) -> None:
    words = "\x1b[2J" + "x" * 5000
    with (
        server(always(Answer(json.dumps({"Message": words, "Code": 0, "Type": "error"}).encode(), 500))) as address,
        pytest.raises(StorageError) as caught,
    ):
        daemon_at(client, address).put(BLOB)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_compressed_answer_is_not_unpacked() -> None:
    import gzip

    bomb = gzip.compress(BLOB)
    with (
        server(always(Answer(bomb, headers={"Content-Encoding": "gzip"}))) as address,
        pytest.raises(StorageError, match="wrong bytes"),
    ):
        daemon_at("ipfs", address).get(CID, MIB)


REPLIES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([b"", b"{}", b"[]", b"null", b'{"Keys":7}', b'{"Pins":[1]}', b'{"Hash":[]}', b'{"RepoSize":"x"}'])
    | st.just(b"[" * 60_000)
    | st.just(b'{"Key":' * 10_000),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["Keys", "Pins", "Hash", "Key", "RepoSize", "Error", "Message", "/"]), inner
            )
        ),
        max_leaves=6,
    ).map(lambda value: json.dumps(value).encode()),
)


@pytest.mark.parametrize("client", CLIENTS)
@settings(max_examples=30)
@given(replies=st.lists(REPLIES, min_size=1, max_size=3), status=st.sampled_from([200, 200, 200, 204, 500, 418]))
def test_any_answer_ends_in_a_result_of_the_right_kind_or_a_storage_error(
    client: str, replies: list[bytes], status: int
) -> None:
    answers = itertools.cycle(replies)
    with server(lambda request: Answer(b"" if status == 204 else next(answers), status)) as address:
        daemon = daemon_at(client, address)
        for name, call in METHODS.items():
            try:
                result = call(daemon)
            except StorageError:
                continue
            assert name not in ("get", "put") or result in (BLOB, CID)
        daemon.close()


def test_a_dag_that_never_ends_is_bounded_by_the_limit(client: str) -> None:
    """A node that says it is huge is refused before any leaf is asked for."""
    from bflmec.storage.dagpb import Link, encode_node

    leaf = Cid.of(RAW, bytes(MIB))
    node = encode_node(tuple(Link(leaf, MIB, MIB) for _ in range(1024)))
    root = Cid.of(DAG_PB, node)
    asked: list[str] = []

    def behaviour(request: Request) -> Answer:
        asked.append(request.parameters["arg"])
        return Answer(node)

    with server(behaviour) as address, pytest.raises(StorageError, match="at most"):
        daemon_at(client, address).get(root, MIB)
    assert asked == [str(root)]
