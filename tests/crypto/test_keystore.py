"""Key files open for their owner with the right secret, and in no other way."""

from __future__ import annotations

import copy
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bflmec.crypto.keys import account_address
from bflmec.crypto.keystore import (
    ACCOUNT_SCHEME,
    KeyInfo,
    StoredKey,
    describe_key,
    read_key,
    read_password,
    write_key,
)
from bflmec.errors import BFLMECError, KeystoreError

PASSWORD = "pässword".encode()
FAST = 2
SEED = StoredKey("ML-DSA-44", bytes(range(1, 33)))
ACCOUNT = StoredKey(ACCOUNT_SCHEME, bytes(range(2, 34)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "key.json"


@pytest.fixture
def written(path: Path) -> Path:
    write_key(path, SEED, PASSWORD, FAST)
    return path


def replace(path: Path, text: str | bytes) -> None:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_bytes())
    change(document)
    replace(path, json.dumps(document))


@pytest.mark.parametrize("scheme", ["ML-DSA-44", "ML-DSA-65", "ML-DSA-87", ACCOUNT_SCHEME])
def test_a_key_comes_back(path: Path, scheme: str) -> None:
    write_key(path, StoredKey(scheme, SEED.secret), PASSWORD, FAST)
    key = read_key(path, PASSWORD)
    assert (key.scheme, key.secret) == (scheme, SEED.secret)


def test_a_wallet_opens_the_file_of_an_account(path: Path) -> None:
    write_key(path, ACCOUNT, PASSWORD, FAST)
    document = json.loads(path.read_bytes())
    assert bytes(Account.decrypt(document, PASSWORD)) == ACCOUNT.secret
    assert document["address"] == account_address(ACCOUNT.secret).hex()


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
def test_the_file_of_a_wallet_opens(tmp_path: Path, kdf: Any) -> None:
    path = tmp_path / "wallet.json"
    replace(path, json.dumps(Account.encrypt(ACCOUNT.secret, PASSWORD.decode(), kdf=kdf, iterations=FAST)))
    path.chmod(0o600)
    key = read_key(path, PASSWORD)
    assert (key.scheme, key.secret) == (ACCOUNT_SCHEME, ACCOUNT.secret)


# The two test vectors of the Web3 Secret Storage definition; their costs are those of real files.
OFFICIAL = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}


def test_the_standards_own_vector_opens(tmp_path: Path) -> None:
    path = tmp_path / "official.json"
    replace(path, json.dumps(OFFICIAL))
    path.chmod(0o600)
    secret = read_key(path, b"testpassword").secret
    assert secret.hex() == "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"


def test_the_file_of_a_seed_names_its_scheme_and_has_no_address(written: Path) -> None:
    document = json.loads(written.read_bytes())
    assert document["bflmec"] == {"scheme": "ML-DSA-44", "public_key_sha256": SEED.public_id()}
    assert "address" not in document


def test_a_key_file_is_described_without_its_password(written: Path) -> None:
    assert describe_key(written) == KeyInfo("ML-DSA-44", SEED.public_id())


def test_neither_secret_nor_password_is_in_the_file(written: Path) -> None:
    text = written.read_bytes()
    assert SEED.secret.hex().encode() not in text
    assert PASSWORD not in text


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o377])
def test_only_the_owner_may_read_a_new_file(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_key(tmp_path / "key.json", SEED, PASSWORD, FAST)
    finally:
        os.umask(before)
    assert (tmp_path / "key.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o644])
@pytest.mark.parametrize("read", [describe_key, lambda path: read_key(path, PASSWORD), read_password])
def test_a_file_open_to_others_is_refused(written: Path, mode: int, read: Callable[[Path], object]) -> None:
    written.chmod(mode)
    with pytest.raises(KeystoreError, match="chmod 600"):
        read(written)


def test_a_wrong_password_is_refused(written: Path) -> None:
    with pytest.raises(KeystoreError, match="wrong password"):
        read_key(written, PASSWORD + b" ")


def test_an_empty_password_is_refused(path: Path) -> None:
    with pytest.raises(KeystoreError, match="not empty"):
        write_key(path, SEED, b"", FAST)
    assert not path.exists()


@pytest.mark.parametrize("work", [-2, 0, 1, 3, 1 << 20])
def test_an_impossible_work_factor_is_refused(path: Path, work: int) -> None:
    with pytest.raises(KeystoreError, match="power of two"):
        write_key(path, SEED, PASSWORD, work)


@pytest.mark.parametrize(
    "key",
    [
        StoredKey("ML-DSA-43", SEED.secret),
        StoredKey("ML-DSA-44", SEED.secret[1:]),
        StoredKey("ML-DSA-44", bytes(32)),
        StoredKey("ML-DSA-44", b"\xff" * 32),
        StoredKey(ACCOUNT_SCHEME, bytes(32)),
        StoredKey(ACCOUNT_SCHEME, b"\xff" * 32),
    ],
    ids=["scheme", "short seed", "zero seed", "large seed", "zero account", "large account"],
)
def test_an_impossible_key_is_not_written(path: Path, key: StoredKey) -> None:
    with pytest.raises(BFLMECError):
        write_key(path, key, PASSWORD, FAST)
    assert not path.exists()


def test_a_key_is_never_overwritten(written: Path) -> None:
    before = written.read_bytes()
    with pytest.raises(KeystoreError, match="never overwritten"):
        write_key(written, ACCOUNT, PASSWORD, FAST)
    assert written.read_bytes() == before
    assert list(written.parent.iterdir()) == [written]


def test_a_folder_that_can_not_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeystoreError, match="can't write"):
        write_key(tmp_path / "file" / "key.json", SEED, PASSWORD, FAST)


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeystoreError):
        read_key(tmp_path / name, PASSWORD)


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[]", b"\xff\xfe", b"null", b'{"crypto":' * 1000, b"[" * 16000, b" " * 20000],
    ids=["empty", "no fields", "list", "not UTF-8", "null", "nested", "deep", "long"],
)
def test_a_file_that_is_no_envelope_is_refused(written: Path, text: bytes) -> None:
    replace(written, text)
    with pytest.raises(KeystoreError):
        read_key(written, PASSWORD)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(version=4),
        lambda d: d["crypto"].update(kdf="argon2"),
        lambda d: d["crypto"].update(cipher="aes-256-ctr"),
        lambda d: d["crypto"]["kdfparams"].update(n=1 << 30),
        lambda d: d["crypto"]["kdfparams"].update(n=3),
        lambda d: d["crypto"]["kdfparams"].update(n="2"),
        lambda d: d["crypto"]["kdfparams"].update(p=1 << 20),
        lambda d: d["crypto"]["kdfparams"].update(dklen=1 << 40),
        lambda d: d["crypto"]["kdfparams"].update(salt="0"),
        lambda d: d["crypto"].update(ciphertext=d["crypto"]["ciphertext"] + "00"),
        lambda d: d["crypto"].update(mac=d["crypto"]["mac"] + "\n"),
        lambda d: d["crypto"].update(surprise=1),
        lambda d: d.update(address="xyz"),
        lambda d: d["bflmec"].update(scheme="ML-DSA-65"),
        lambda d: d["bflmec"].update(scheme="ML-DSA-1"),
        lambda d: d["bflmec"].update(scheme="../../etc/passwd"),
        lambda d: d["bflmec"].update(public_key_sha256="00" * 32),
        lambda d: d.pop("bflmec") and d.update(address="00" * 20),
    ],
)
def test_a_file_with_an_impossible_field_is_refused(written: Path, change: Callable[[dict[str, Any]], object]) -> None:
    edit(written, change)
    with pytest.raises(KeystoreError):
        read_key(written, PASSWORD)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_one_changed_byte_never_gives_another_key(tmp_path: Path, at: int, byte: int) -> None:
    path = tmp_path / "key.json"
    if not path.exists():
        write_key(path, SEED, PASSWORD, FAST)
    original = path.read_bytes()
    try:
        at %= len(original)
        replace(path, original[:at] + bytes([byte]) + original[at + 1 :])
        try:
            key = read_key(path, PASSWORD)
        except KeystoreError:
            return
        assert key.secret == SEED.secret
    finally:
        replace(path, original)


def test_a_password_file_loses_one_line_break(tmp_path: Path) -> None:
    path = tmp_path / "password"
    for content, password in [
        (b"secret\n", b"secret"),
        (b"secret\r\n", b"secret"),
        (b" two words \n\n", b" two words \n"),
    ]:
        path.write_bytes(content)
        path.chmod(0o600)
        assert read_password(path) == password


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 5000])
def test_an_empty_or_endless_password_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeystoreError):
        read_password(path)


def test_a_stored_key_does_not_leak() -> None:
    assert repr(SEED) == "<StoredKey>"
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copying(SEED)
