"""`bflmec keys`: key files are made, shown and used as an operator expects, and no secret is ever printed."""

from __future__ import annotations

import json
import os
import pty
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bflmec.cli.main import app
from bflmec.crypto.keys import account_address, key_digest
from bflmec.crypto.keystore import ACCOUNT_SCHEME, read_key
from bflmec.crypto.schemes import signature_scheme
from bflmec.errors import BFLMECError, ConfigError, KeystoreError, SignatureError

PASSWORD = "correct horse"


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password.txt"
    file.write_text(PASSWORD + "\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def key(tmp_path: Path, password: Path) -> Path:
    file = tmp_path / "client.json"
    keys("new", file, "--light", "-p", password)
    return file


@pytest.fixture
def document(tmp_path: Path) -> Path:
    file = tmp_path / "request.txt"
    file.write_text("please admit https://edge.example\n")
    return file


def keys(*arguments: str | Path) -> str:
    """What a `bflmec keys` command prints. Raises what ended it."""
    result = CliRunner().invoke(app, ["keys", *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    return result.output


def fails(*arguments: str | Path) -> BFLMECError:
    with pytest.raises(BFLMECError) as caught:
        keys(*arguments)
    return caught.value


@pytest.mark.parametrize("scheme", ["ML-DSA-44", "ML-DSA-65", "ML-DSA-87"])
def test_new_makes_a_signature_key_for_its_owner_only(tmp_path: Path, password: Path, scheme: str) -> None:
    file = tmp_path / "folder" / "key.json"
    output = keys("new", file, "--scheme", scheme, "--light", "-p", password)
    stored = read_key(file, PASSWORD.encode())
    public_key = signature_scheme(scheme).from_seed(stored.secret).public_key
    assert stored.scheme == scheme
    assert f"0x{key_digest(public_key).hex()}" in output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_new_makes_an_account_that_a_wallet_opens(tmp_path: Path, password: Path) -> None:
    from eth_account import Account

    file = tmp_path / "account.json"
    output = keys("new", file, "--scheme", "account", "--light", "-p", password)
    secret = bytes(Account.decrypt(json.loads(file.read_bytes()), PASSWORD))
    assert Account.from_key(secret).address in output


def test_a_backend_is_no_part_of_the_stored_scheme(tmp_path: Path, password: Path) -> None:
    keys("new", tmp_path / "key.json", "--scheme", "ML-DSA-44@dilithium-py", "--light", "-p", password)
    assert read_key(tmp_path / "key.json", PASSWORD.encode()).scheme == "ML-DSA-44"


def test_two_new_keys_differ(tmp_path: Path, password: Path, key: Path) -> None:
    keys("new", tmp_path / "other.json", "--light", "-p", password)
    assert read_key(key, PASSWORD.encode()).secret != read_key(tmp_path / "other.json", PASSWORD.encode()).secret


def test_new_never_overwrites(key: Path, password: Path) -> None:
    before = key.read_bytes()
    error = fails("new", key, "--light", "-p", password)
    assert isinstance(error, KeystoreError)
    assert "never overwritten" in str(error)
    assert key.read_bytes() == before


def test_an_unknown_scheme_names_the_nearest(tmp_path: Path, password: Path) -> None:
    error = fails("new", tmp_path / "key.json", "--scheme", "ML-DSA-66", "-p", password)
    assert isinstance(error, ConfigError)
    assert "ML-DSA-65" in str(error)
    assert not (tmp_path / "key.json").exists()


def test_without_a_terminal_the_password_must_be_in_a_file(tmp_path: Path) -> None:
    error = fails("new", tmp_path / "key.json")
    assert "--password-file" in str(error)
    assert not (tmp_path / "key.json").exists()


def test_a_password_file_that_others_can_read_is_refused(tmp_path: Path, password: Path) -> None:
    password.chmod(0o644)
    assert "chmod 600" in str(fails("new", tmp_path / "key.json", "-p", password))


def test_show_needs_no_password_and_tells_what_new_told(tmp_path: Path, password: Path) -> None:
    created = keys("new", tmp_path / "key.json", "--light", "-p", password)
    assert keys("show", tmp_path / "key.json") in created


def test_check_tells_the_same_once_the_file_is_open(key: Path, password: Path) -> None:
    assert keys("check", key, "-p", password) == keys("show", key) + "opens       yes\n"


def test_check_computes_the_address_that_a_wallet_left_out(tmp_path: Path, password: Path) -> None:
    file = tmp_path / "account.json"
    keys("new", file, "--scheme", "account", "--light", "-p", password)
    content = json.loads(file.read_bytes())
    del content["address"]
    file.write_text(json.dumps(content))
    assert "not in the file" in keys("show", file)
    stored = read_key(file, PASSWORD.encode())
    assert stored.scheme == ACCOUNT_SCHEME
    assert account_address(stored.secret).hex() in keys("check", file, "-p", password).lower()


def test_a_wrong_password_is_told(tmp_path: Path, key: Path, password: Path) -> None:
    password.write_text("wrong")
    assert "wrong password" in str(fails("check", key, "-p", password))


def test_a_missing_key_file_is_told_before_a_password_is_asked_for(tmp_path: Path) -> None:
    assert "nothing.json" in str(fails("check", tmp_path / "nothing.json"))


def test_a_signature_holds_and_names_its_signer(key: Path, password: Path, document: Path) -> None:
    signed = keys("sign", key, document, "-p", password)
    verified = keys("verify", document)
    (digest,) = re.findall(r"0x[0-9a-f]{64}", keys("show", key))
    assert digest in signed
    assert digest in verified
    assert "holds       yes" in verified
    assert keys("verify", document, "--signer", digest) == verified


def test_a_changed_document_does_not_verify(key: Path, password: Path, document: Path) -> None:
    keys("sign", key, document, "-p", password)
    document.write_text(document.read_text().replace("edge.", "evil."))
    error = fails("verify", document)
    assert isinstance(error, SignatureError)
    assert "another file" in str(error)


def test_the_signature_of_another_key_is_told_from_the_expected_one(key: Path, password: Path, document: Path) -> None:
    keys("sign", key, document, "-p", password)
    assert "that of 0x" in str(fails("verify", document, "--signer", "0x" + 64 * "0"))


def test_a_signature_can_be_kept_elsewhere(tmp_path: Path, key: Path, password: Path, document: Path) -> None:
    keys("sign", key, document, "-p", password, "--out", tmp_path / "elsewhere.json")
    assert "holds" in keys("verify", document, tmp_path / "elsewhere.json")
    assert not document.with_name("request.txt.sig").exists()


def test_an_account_key_signs_no_documents(tmp_path: Path, password: Path, document: Path) -> None:
    keys("new", tmp_path / "account.json", "--scheme", "account", "--light", "-p", password)
    assert "ML-DSA key file" in str(fails("sign", tmp_path / "account.json", document, "-p", password))


@pytest.mark.parametrize("command", ["new", "show", "check", "sign"])
def test_no_secret_is_ever_printed(tmp_path: Path, key: Path, password: Path, document: Path, command: str) -> None:
    arguments: dict[str, list[str | Path]] = {
        "new": [tmp_path / "another.json", "--light", "-p", password],
        "show": [key],
        "check": [key, "-p", password],
        "sign": [key, document, "-p", password],
    }
    output = keys(command, *arguments[command])
    made = tmp_path / "another.json" if command == "new" else key
    assert read_key(made, PASSWORD.encode()).secret.hex() not in output.lower()
    assert PASSWORD not in output


def test_errors_end_the_process_with_their_code_and_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bflmec", "keys", "show", str(tmp_path / "nothing.json")]
    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert ended.returncode == KeystoreError.exit_code
    assert ended.stdout == ""
    assert ended.stderr.startswith("bflmec: ")
    assert ended.stderr.count("\n") == 1


def test_on_a_terminal_a_new_password_is_asked_for_twice_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    seen = on_a_terminal(["keys", "new", str(file), "--light"], answers=["first", "second", "third", "third"])
    assert "do not match" in seen
    assert not {"first", "second", "third"} & set(seen.split())
    assert read_key(file, b"third").scheme == "ML-DSA-44"


def on_a_terminal(arguments: list[str], answers: list[str]) -> str:
    """What a bflmec process writes to a terminal on which each question is answered by the next answer."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "bflmec", *arguments])
    seen = b""
    waiting = list(answers)
    while chunk := _read(terminal):
        seen += chunk
        if waiting and seen.endswith(b": "):
            os.write(terminal, waiting.pop(0).encode() + b"\n")
    os.waitpid(pid, 0)
    os.close(terminal)
    return seen.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # what Linux says when the other end is gone
        return b""
