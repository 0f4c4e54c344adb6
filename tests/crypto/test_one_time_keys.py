"""No key ever signs two messages: not after a crash at any moment, not in two processes, not on a full disk."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bflmec.crypto import key_journal, xmss
from bflmec.crypto.key_journal import KeyJournal
from bflmec.crypto.one_time_keys import OneTimeKeys
from bflmec.errors import KeysExhaustedError, KeystoreError

SEED, ASKER = bytes(range(32)), bytes([1]) * 20
CONTEXT = xmss.context_of(1, bytes([3]) * 20, bytes([2]) * 20, 1)
RECORD = 40


def message(number: object) -> bytes:
    return sha256(repr(number).encode()).digest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.keys"


def used(path: Path) -> int:
    with KeyJournal(path, 16) as journal:
        return journal.next_index


# --- the journal


def test_every_message_gets_the_next_key(path: Path) -> None:
    with KeyJournal(path, 16) as journal:
        assert [journal.reserve(message(i), 0) for i in range(3)] == [0, 1, 2]
        assert journal.next_index == 3


def test_a_message_gets_its_own_key_again(path: Path) -> None:
    with KeyJournal(path, 16) as journal:
        first = [journal.reserve(message(i), 0) for i in range(3)]
    with KeyJournal(path, 16) as journal:
        assert [journal.reserve(message(i), 0) for i in range(3)] == first


def test_a_message_whose_key_was_superseded_gets_another(path: Path) -> None:
    with KeyJournal(path, 16) as journal:
        assert journal.reserve(message(0), 0) == 0
        assert journal.reserve(message(0), 5) == 5
        assert journal.reserve(message(1), 0) == 6


def test_the_spare_key_is_for_who_asks_for_it(path: Path) -> None:
    with KeyJournal(path, 2) as journal:
        assert journal.reserve(message(0), 0, spare=1) == 0
        with pytest.raises(KeysExhaustedError, match="replace the tree"):
            journal.reserve(message(1), 0, spare=1)
        assert journal.reserve(message(2), 0) == 1
        with pytest.raises(KeysExhaustedError):
            journal.reserve(message(3), 0)
        assert journal.reserve(message(2), 0) == 1


@pytest.mark.parametrize("bad", [b"", bytes(32), bytes(33)])
def test_only_digests_get_a_key(path: Path, bad: bytes) -> None:
    with KeyJournal(path, 16) as journal, pytest.raises(KeystoreError, match="digest"):
        journal.reserve(bad, 0)


def test_two_holders_never_give_out_the_same_key(path: Path) -> None:
    with KeyJournal(path, 16) as one, KeyJournal(path, 16) as other:
        assert [journal.reserve(message(i), 0) for i, journal in enumerate((one, other, other, one))] == [0, 1, 2, 3]
        assert other.reserve(message(3), 0) == 3


def test_processes_that_sign_at_once_never_share_a_key(path: Path) -> None:
    out, into = os.pipe()
    children = []
    for child in range(4):
        if not (pid := os.fork()):
            try:
                with KeyJournal(path, 256) as journal:
                    for i in range(20):
                        os.write(into, journal.reserve(message((child, i)), 0).to_bytes(4, "big"))
            finally:
                os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    os.close(into)
    with os.fdopen(out, "rb") as file:
        data = file.read()
    assert sorted(data[i : i + 4] for i in range(0, len(data), 4)) == [i.to_bytes(4, "big") for i in range(80)]


def test_only_the_owner_may_read_it(path: Path) -> None:
    with KeyJournal(path, 16):
        assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(KeystoreError, match="chmod 600"):
        KeyJournal(path, 16)


@pytest.mark.parametrize("cut", range(1, RECORD))
def test_a_record_that_was_cut_off_counts_as_a_used_key(path: Path, cut: int) -> None:
    with KeyJournal(path, 16) as journal:
        for i in range(3):
            journal.reserve(message(i), 0)
    path.write_bytes(path.read_bytes()[:-cut])
    assert [used(path), used(path)] == [3, 3]


def test_a_last_record_of_garbage_counts_as_a_used_key(path: Path) -> None:
    with KeyJournal(path, 16) as journal:
        journal.reserve(message(0), 0)
    with path.open("ab") as file:
        file.write(bytes(RECORD))
    assert [used(path), used(path)] == [2, 2]


def test_a_damaged_record_among_others_stops_everything(path: Path) -> None:
    with KeyJournal(path, 16) as journal:
        for i in range(3):
            journal.reserve(message(i), 0)
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    with pytest.raises(KeystoreError, match="enrol another tree"):
        KeyJournal(path, 16)


def test_keys_out_of_order_stop_everything(path: Path) -> None:
    with KeyJournal(path, 16) as journal:
        for i in range(2):
            journal.reserve(message(i), 0)
    data = path.read_bytes()
    path.write_bytes(data[RECORD:] + data[:RECORD])
    with pytest.raises(KeystoreError, match="ascending"):
        KeyJournal(path, 16)


def test_the_journal_of_a_larger_tree_is_refused(path: Path) -> None:
    with KeyJournal(path, 16) as journal:
        journal.reserve(message(0), 9)
    with pytest.raises(KeystoreError, match="this tree"):
        KeyJournal(path, 8)


@pytest.mark.parametrize("broken", ["write", "fsync"])
def test_a_disk_that_refuses_signs_nothing(path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with KeyJournal(path, 16) as journal:
        journal.reserve(message(0), 0)
        with monkeypatch.context() as patch:
            patch.setattr(os, broken, refuse)
            for _ in range(2):
                with pytest.raises(KeystoreError, match="No space"):
                    journal.reserve(message(1), 0)
        indices = journal.reserve(message(2), 0), journal.reserve(message(1), 0)
    assert sorted(indices) == [1, 2]


def test_a_record_that_was_written_in_part_is_a_used_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_a_part(descriptor: int, data: bytes) -> None:
        os.pwrite(descriptor, data[:17], os.fstat(descriptor).st_size)
        raise OSError(5, "Input/output error")

    with KeyJournal(path, 16) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(key_journal, "write_all", write_a_part)
            with pytest.raises(KeystoreError, match="Input/output"):
                journal.reserve(message(0), 0)
        assert journal.reserve(message(1), 0) == 1


def test_a_folder_that_can_not_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeystoreError, match="can't open"):
        KeyJournal(tmp_path / "file" / "journal", 16)


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20), st.integers(0, RECORD - 1)), max_size=20))
def test_whatever_happens_no_key_is_given_to_two_messages(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int]]
) -> None:
    """Reservations, restarts and records that were cut off before their key signed, in any order."""
    path = tmp_path_factory.mktemp("keys") / "journal"
    given_out: dict[int, int] = {}
    for number, least, cut in steps:
        with KeyJournal(path, 32) as journal:
            try:
                index = journal.reserve(message(number), least)
            except KeysExhaustedError:
                continue
        if cut and index not in given_out:
            path.write_bytes(path.read_bytes()[:-cut])
        else:
            assert given_out.setdefault(index, number) == number


# --- killing


class Pipe:
    """What a child managed to give out before it died."""

    def __init__(self) -> None:
        self._out, self.into = os.pipe()

    def read(self) -> list[tuple[int, bytes, bytes]]:
        os.close(self.into)
        with os.fdopen(self._out, "rb") as file:
            data = file.read()
        size = 4 + 32 + 2144 + 32 * 4
        return [
            (int.from_bytes(data[i : i + 4], "big"), data[i + 4 : i + 36], data[i + 36 : i + size])
            for i in range(0, len(data) - size + 1, size)
        ]


def killed_after(lines: int, action: Callable[[], None]) -> bool:
    """Runs `action` in a child that kills itself after so many lines of the code under test; whether it came so far."""
    child = os.fork()
    if child == 0:
        left = lines

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal left
            if not frame.f_code.co_filename.endswith(("one_time_keys.py", "key_journal.py", "files.py")):
                return None
            if event == "line":
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        try:
            sys.settrace(trace)
            action()
        finally:
            os._exit(0)
    return bool(os.WIFSIGNALED(os.waitpid(child, 0)[1]))


def test_killed_at_every_step_it_never_signs_two_messages_with_one_key(tmp_path: Path) -> None:
    with OneTimeKeys(SEED, CONTEXT, 4, tmp_path):
        pass  # the tree is made once; its file is not what this is about
    signed: dict[int, bytes] = {}
    killed, lines = True, 0
    while killed:
        pipe = Pipe()

        def sign(round_: int = lines, into: int = pipe.into) -> None:
            with OneTimeKeys(SEED, CONTEXT, 4, tmp_path) as keys:
                for number in range(2):
                    one = keys.sign(ASKER, message((round_, number)))
                    os.write(into, one.index.to_bytes(4, "big") + message((round_, number)) + one.signature)

        killed = killed_after(lines, sign)
        for index, text, signature in pipe.read():
            assert signed.setdefault(index, text) == text
            assert len(signature) == 2144 + 128
        if max(signed, default=0) > 11 or used(journal_of(tmp_path)) > 11:
            journal_of(tmp_path).unlink()  # a fresh life, so that the small tree suffices
            signed.clear()
        lines += 1
    assert lines > 60


def journal_of(folder: Path) -> Path:
    return folder / f"{CONTEXT.hex()}.keys"


# --- the keys


def test_a_signature_leads_to_the_root(tmp_path: Path) -> None:
    with OneTimeKeys(SEED, CONTEXT, 4, tmp_path) as keys:
        one = keys.sign(ASKER, message(0), least=3)
        digest = xmss.message_digest(CONTEXT, 3, one.salt, ASKER, message(0))
        assert one.index == 3
        assert xmss.recover(CONTEXT, 3, digest, one.signature) == keys.root


def test_signing_a_message_again_gives_the_same_signature_after_a_restart(tmp_path: Path) -> None:
    with OneTimeKeys(SEED, CONTEXT, 4, tmp_path) as keys:
        one = keys.sign(ASKER, message(0))
    with OneTimeKeys(SEED, CONTEXT, 4, tmp_path) as keys:
        assert keys.sign(ASKER, message(0)) == one
        assert keys.sign(bytes(20), message(0)).index == 1


def test_the_last_key_is_kept_for_the_next_tree(tmp_path: Path) -> None:
    with OneTimeKeys(SEED, CONTEXT, 4, tmp_path) as keys:
        for number in range(15):
            assert keys.remaining == 15 - number
            keys.sign(ASKER, message(number))
        with pytest.raises(KeysExhaustedError):
            keys.sign(ASKER, message("more"))
        assert keys.sign_successor(ASKER, message("next tree")).index == 15
        assert keys.remaining == 0


def test_the_tree_is_made_once(tmp_path: Path) -> None:
    reported: list[int] = []
    for _ in range(2):
        with OneTimeKeys(SEED, CONTEXT, 4, tmp_path, reported.append) as keys:
            assert keys.height == 4
    assert len(reported) == 16


def test_a_damaged_tree_lets_go_of_the_journal(tmp_path: Path) -> None:
    with OneTimeKeys(SEED, CONTEXT, 4, tmp_path):
        pass
    tree = tmp_path / f"{CONTEXT.hex()}.tree"
    tree.write_bytes(b"")
    tree.chmod(0o600)
    for _ in range(2):
        with pytest.raises(KeystoreError, match="damaged"):
            OneTimeKeys(SEED, CONTEXT, 4, tmp_path)


def test_the_seed_is_in_no_file_and_no_text(tmp_path: Path) -> None:
    with OneTimeKeys(SEED, CONTEXT, 4, tmp_path) as keys:
        keys.sign(ASKER, message(0))
        assert repr(keys) == "<OneTimeKeys>"
    assert all(SEED not in file.read_bytes() for file in tmp_path.iterdir())
