"""What an audit finds when files were changed, and when a majority of the edge nodes agreed to record what is wrong."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from endtoend_tools import TINY, Outcome, bflmec, body_files, edit_config, global_gradient_file, run, verify
from safetensors.numpy import load, save

from bflmec.learning.blob import encode_blob
from bflmec.protocol.verification import GradientVerifier
from bflmec.simulation.replay import RememberingSigner

Copy = Callable[[Path], Path]

ONE_UPDATE = TINY | {"aggregations": "1"}


def failing(outcome: Outcome) -> list[str]:
    """Names of the checks that failed."""
    lines = [line.split(" x  ")[1] for line in outcome.out.splitlines() if line.startswith("FAILED")]
    return [line.split(":")[0] for line in lines]


def test_a_run_as_it_was_made_holds(finished: Path) -> None:
    outcome = verify(finished)
    assert outcome.code == 0
    assert failing(outcome) == []
    assert "local gradients are private" in outcome.out


def test_a_report_for_machines_says_the_same(finished: Path) -> None:
    report = json.loads(bflmec("verify", finished, "--json").out)
    assert report["holds"]
    assert all(check["passed"] and not check["failures"] for check in report["checks"])
    assert report["unchecked"]


def test_a_missing_body_is_named(finished: Path, copy_of: Copy) -> None:
    path = copy_of(finished)
    body_files(path)[1].unlink()
    outcome = verify(path)
    assert outcome.code == 61
    assert failing(outcome) == ["bodies"]
    assert "bodies" in outcome.error
    assert "all that follows block 2" in outcome.out


def test_a_swapped_body_is_named(finished: Path, copy_of: Copy) -> None:
    path = copy_of(finished)
    first, second = body_files(path)[:2]
    second.write_bytes(first.read_bytes())
    outcome = verify(path)
    assert outcome.code == 61
    assert failing(outcome) == ["bodies"]


def test_a_changed_global_gradient_is_named(finished: Path, copy_of: Copy) -> None:
    path = copy_of(finished)
    file = global_gradient_file(path)
    file.write_bytes(file.read_bytes()[:-4] + np.float32(np.nan).tobytes())
    outcome = verify(path)
    assert outcome.code == 61
    assert failing(outcome) == ["global gradients"]


def test_another_configuration_is_named(finished: Path, copy_of: Copy) -> None:
    path = copy_of(finished)
    edit_config(path, "per_client", 3)
    outcome = verify(path)
    assert outcome.code == 61
    assert failing(outcome) == ["rules"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE block SET header = zeroblob(length(header)) WHERE number = 9",
        "UPDATE block SET transactions = (SELECT transactions FROM block WHERE number = 10) WHERE number = 9",
        "UPDATE block SET receipts = (SELECT receipts FROM block WHERE number = 10) WHERE number = 9",
        "UPDATE block SET number = number + 100 WHERE number = 9",
        "DELETE FROM block WHERE number = (SELECT max(number) FROM block)",
        "DELETE FROM block WHERE number = 9",
        "DELETE FROM transaction_position WHERE number = 9",
        "UPDATE transaction_position SET position = 1 WHERE number = 9",
        "UPDATE node SET value = zeroblob(length(value)) WHERE key = (SELECT min(key) FROM node)",
        "DELETE FROM node WHERE key = (SELECT max(key) FROM node)",
        "UPDATE genesis SET parameters = replace(parameters, '1337', '1338')",
    ],
)
def test_a_changed_row_of_the_chain_is_found(statement: str, finished: Path, copy_of: Copy) -> None:
    path = copy_of(finished)
    database = sqlite3.connect(path / "chain.sqlite")
    assert database.execute(statement).rowcount
    database.commit()
    database.close()
    outcome = verify(path)
    assert outcome.code in (50, 51, 61), outcome.out
    assert outcome.error


# ---------------------------------------------------------------- a consortium that colludes


def test_a_forged_signature_is_found_although_a_quorum_recorded_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = RememberingSigner.sign
    monkeypatch.setattr(GradientVerifier, "check_signature", lambda *_: None)
    monkeypatch.setattr(RememberingSigner, "sign", lambda *arguments: honest(*arguments)[:-1] + b"\0")
    assert run(tmp_path / "run", ONE_UPDATE).code == 0
    monkeypatch.undo()
    outcome = verify(tmp_path / "run")
    assert outcome.code == 61
    assert failing(outcome) == ["local gradients"]


@pytest.mark.parametrize("forge", [lambda tensor: tensor * np.float32(np.nan), lambda tensor: tensor[..., :-1]])
def test_a_global_gradient_that_no_client_can_use_is_found_although_a_quorum_recorded_it(
    forge: Callable[[np.ndarray], np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forged(*arguments: object) -> bytes:
        tensors = load(encode_blob(*arguments))  # type: ignore[arg-type]
        return save({name: np.ascontiguousarray(forge(tensor)) for name, tensor in tensors.items()})

    monkeypatch.setattr("bflmec.protocol.block_assembler.encode_blob", forged)
    assert run(tmp_path / "run", ONE_UPDATE).code == 0
    monkeypatch.undo()
    outcome = verify(tmp_path / "run")
    assert outcome.code == 61
    assert failing(outcome) == ["global gradients"]
