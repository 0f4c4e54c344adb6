"""An address names one place, in the spellings that people use; a secret never becomes visible."""

from __future__ import annotations

import base64
import logging
from pathlib import Path

import pytest
from cases import cases
from daemon_doubles import CLIENTS, daemon_at, guarding, server
from hypothesis import given
from hypothesis import strategies as st

from bflmec.errors import StorageError, StorageUnavailableError
from bflmec.storage.ipfs_address import DaemonAddress, is_daemon_address
from bflmec.storage.ipfs_authorization import Authorization

SECRET = "5up3r-s3cret"


@pytest.mark.parametrize(
    ("text", "api"),
    [
        ("", "http://127.0.0.1:5001/api/v0/"),
        ("http://127.0.0.1:5001", "http://127.0.0.1:5001/api/v0/"),
        ("http://localhost:5001/", "http://localhost:5001/api/v0/"),
        ("http://[::1]:5001/api/v0", "http://[::1]:5001/api/v0/"),
        ("https://ipfs.example", "https://ipfs.example:443/api/v0/"),
        ("https://ipfs.example/node-1/", "https://ipfs.example:443/node-1/api/v0/"),
        ("/ip4/127.0.0.1/tcp/5001", "http://127.0.0.1:5001/api/v0/"),
        ("/ip6/::1/tcp/5001/http", "http://[::1]:5001/api/v0/"),
        ("/dns4/ipfs.example/tcp/443/https", "https://ipfs.example:443/api/v0/"),
        ("unix:///run/ipfs.sock", "http://localhost:80/api/v0/"),
        ("/unix/run/ipfs.sock", "http://localhost:80/api/v0/"),
    ],
)
def test_an_address_leads_to_an_api(text: str, api: str) -> None:
    assert DaemonAddress.parse(text).api == api


def test_both_spellings_of_a_socket_name_its_path() -> None:
    assert {DaemonAddress.parse(text).socket for text in ("unix:///run/ipfs.sock", "/unix/run/ipfs.sock")} == {
        "/run/ipfs.sock"
    }


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:5001", "https://[::1]:1/x", "unix:///run/ipfs.sock", "http://ipfs.example:80"]
)
def test_an_address_reads_back_from_its_text_and_from_its_multiaddr(text: str) -> None:
    address = DaemonAddress.parse(text)
    assert DaemonAddress.parse(str(address)) == address
    if not address.prefix:
        assert DaemonAddress.parse(address.multiaddr) == address


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:5001",
        "ftp://127.0.0.1",
        "http://",
        "http://host:0",
        "http://host:65536",
        "http://host:x",
        "http://host/?key=1",
        "http://host/#x",
        "http://host/a b",
        "http://ho st",
        "http://host/..%2f",
        "http://a:b:c",
        "http://[::1",
        "/ip4/127.0.0.1",
        "/ip4/127.0.0.1/udp/5001",
        "/ip4/127.0.0.1/tcp/5001/ws",
        "unix://relative",
        "unix:///" + "x" * 200,
        "unix:///a\nb",
        "/home/me/store",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(StorageError):
        DaemonAddress.parse(text)


@cases(100)
@given(st.text(max_size=60) | st.from_regex(r"(https?|unix)://\S{0,40}", fullmatch=True))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = DaemonAddress.parse(text)
    except StorageError:
        return
    assert DaemonAddress.parse(str(address)) == address


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    for text in (f"http://me:{SECRET}@host", f"https://{SECRET}@host:1", f"http://host/?token={SECRET}"):
        with pytest.raises(StorageError) as caught:
            DaemonAddress.parse(text)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "is_address"),
    [("http://x", True), ("unix:///x", True), ("/ip4/127.0.0.1/tcp/1", True), ("runs/x/blobs", False), ("/tmp", False)],
)
def test_an_address_can_be_told_from_a_folder(location: str, is_address: bool) -> None:
    assert is_daemon_address(location) is is_address


def test_both_kinds_of_secrets_become_a_header() -> None:
    assert Authorization.parse("bearer:abc").header == "Bearer abc"
    assert Authorization.parse("basic:me:a:b").header == "Basic " + base64.b64encode(b"me:a:b").decode()


@pytest.mark.parametrize(
    "secret",
    [
        "",
        SECRET,
        "bearer:",
        "bearer:a b",
        f"bearer:{SECRET}\nb",
        "bearer:ä",
        "basic:me",
        f"basic::{SECRET}",
        "b:" + "x" * 5000,
    ],
)
def test_a_malformed_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(StorageError) as caught:
        Authorization.parse(secret)
    assert SECRET not in str(caught.value)


def test_a_secret_is_not_in_its_repr() -> None:
    assert SECRET not in repr(Authorization.parse(f"bearer:{SECRET}"))


def test_a_secret_comes_from_a_private_file_or_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"bearer:{SECRET}\n")
    file.chmod(0o600)
    wanted = Authorization.parse(f"bearer:{SECRET}")
    assert Authorization.from_file(file) == wanted
    assert Authorization.from_environment({"BFLMEC_IPFS_AUTH_FILE": str(file)}) == wanted
    assert Authorization.from_environment({"BFLMEC_IPFS_AUTH": f"bearer:{SECRET}"}) == wanted
    assert Authorization.from_environment({}) is None


@pytest.mark.parametrize(("content", "mode"), [(b"bearer:x", 0o640), (b"bearer:\xff", 0o600), (b"", 0o600)])
def test_a_secret_file_that_is_open_to_others_or_damaged_is_refused(tmp_path: Path, content: bytes, mode: int) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(StorageError):
        Authorization.from_file(file)


def test_a_missing_secret_file_is_an_error_not_a_call_without_secret(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="can't read"):
        Authorization.from_environment({"BFLMEC_IPFS_AUTH_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize("client", CLIENTS)
def test_a_secret_does_not_cross_a_network_unencrypted(client: str) -> None:
    secret = Authorization.parse(f"bearer:{SECRET}")
    with pytest.raises(StorageError, match="unencrypted"):
        daemon_at(client, "http://192.0.2.1:5001", authorization=secret)
    for address in ("https://192.0.2.1", "http://127.0.0.1:5001", "unix:///run/ipfs.sock"):
        daemon_at(client, address, authorization=secret)


@pytest.mark.toolchain
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("secret", [f"bearer:{SECRET}", f"basic:me:{SECRET}"])
def test_a_guarded_daemon_opens_to_the_secret_alone(
    client: str, secret: str, js_ipfs: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (None, "httpx", "httpcore", "urllib3"):  # the command line quietens them in its process
        caplog.set_level(logging.DEBUG, logger=name)
    authorization = Authorization.parse(secret)
    with server(guarding(js_ipfs, authorization.header)) as address:
        daemon = daemon_at(client, address, authorization=authorization)
        assert daemon.get(daemon.put(b"guarded"), 100) == b"guarded"
        for wrong in (None, Authorization.parse(f"bearer:{SECRET}x")):
            with pytest.raises(StorageUnavailableError, match="refuses this user") as caught:
                daemon_at(client, address, authorization=wrong).put(b"guarded")
            assert SECRET not in str(caught.value)
    assert caplog.records
    assert SECRET not in caplog.text
    assert authorization.header not in caplog.text


@pytest.mark.toolchain
@pytest.mark.parametrize("client", CLIENTS)
def test_a_daemon_behind_a_unix_socket(client: str, js_ipfs: str, tmp_path: Path) -> None:
    with server(guarding(js_ipfs, None), tmp_path / "api.sock") as address:
        daemon = daemon_at(client, address)
        cid = daemon.put(b"through a socket")
        daemon.pin(cid)
        assert daemon.get(cid, 100) == b"through a socket"
        assert cid in daemon.pins()
        daemon.unpin(cid)
