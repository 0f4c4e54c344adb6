"""Resuming a run whose directory is not what it was: one line that says what is wrong, or an ordinary end."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from endtoend_tools import (
    TINY,
    bflmec,
    body_files,
    edit_config,
    global_gradient_file,
    result,
    resume,
    run,
    unchanged,
    verify,
)

from bflmec.ledger import artifacts
from bflmec.runs.directory import RunDirectory

Copy = Callable[[Path], Path]


@pytest.fixture
def damaged(unfinished: Path, copy_of: Copy) -> Path:
    """A copy of a run that is not finished, for a test to damage."""
    return copy_of(unfinished)


# ---------------------------------------------------------------- nothing to go on with


def test_a_finished_run_says_that_it_has_ended_and_stays_as_it_is(finished: Path) -> None:
    with unchanged(finished):
        outcome = resume(finished)
        as_json = bflmec("run", "--resume", finished, "--json")
    assert outcome.code == 0
    assert "nothing to do: this run has ended, with 3 global updates" in outcome.err
    assert "global test accuracy" in outcome.out
    assert json.loads(as_json.out)["kind"] == "summary"


def test_a_finished_run_whose_configuration_asks_for_more_goes_on(finished: Path, copy_of: Copy) -> None:
    path = copy_of(finished)
    edit_config(path, "aggregations", 4)
    assert resume(path).code == 0
    assert result(path)[: len(result(finished))] == result(finished)
    assert verify(path).code == 0


def test_pictures_that_were_lost_are_made_again(finished: Path, copy_of: Copy) -> None:
    path = copy_of(finished)
    (path / "report.html").unlink()
    assert resume(path).code == 0
    assert (path / "report.html").read_bytes()[:15] == b"<!doctype html>"
    assert (path / "trace.jsonl").read_bytes() == (finished / "trace.jsonl").read_bytes()


def test_a_directory_of_something_else_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "config.toml").write_text(bflmec("config").out)
    with unchanged(tmp_path):
        outcome = resume(tmp_path)
        new = run(tmp_path)
    assert (outcome.code, new.code) == (60, 60)
    assert "is no run directory" in outcome.error


def test_a_directory_that_is_in_use_is_left_alone(damaged: Path) -> None:
    directory = RunDirectory(damaged)
    directory.lock()
    with directory, unchanged(damaged):
        outcomes = [resume(damaged), verify(damaged), bflmec("inspect", damaged)]
    assert [outcome.code for outcome in outcomes] == [60, 60, 60]
    assert all("in use by another process" in outcome.error for outcome in outcomes)


def test_resuming_takes_no_other_configuration(damaged: Path) -> None:
    assert bflmec("run", "--resume", damaged, "--set", "clients=7").code == 10


# ---------------------------------------------------------------- the configuration


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("seed", 2, 60),
        ("clients", 7, 60),
        ("edge_nodes", 3, 60),
        ("chain_id", 5, 60),
        ("max_transactions", 100, 60),
        ("base_reward", 50, 60),
        ("aggregation_threshold", 5, 60),
        ("epochs", 4, 60),
        ("arrival_rate", 2.0, 60),
        ("samples_per_client", 61, 60),
        ("scheme", '"ML-DSA-65"', 60),
        ("clients", "many", 10),
        ("clients", 0, 10),
        ("dataset", '"nonsense"', 10),
    ],
)
def test_a_changed_configuration_is_told_and_changes_nothing(key: str, value: object, code: int, damaged: Path) -> None:
    edit_config(damaged, key, value)
    with unchanged(damaged):
        outcome = resume(damaged)
    assert outcome.code == code, outcome.err
    assert code == 10 or "config" in outcome.error


# ---------------------------------------------------------------- chain and deployment record


@pytest.mark.parametrize("name", ["deployment.json", "chain.sqlite"])
def test_a_ledger_that_lost_a_file_is_not_started_anew(name: str, damaged: Path) -> None:
    (damaged / name).unlink()
    with unchanged(damaged):
        outcome = resume(damaged)
    assert outcome.code in (50, 60)
    assert name in outcome.error


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[" * 100_000,
        lambda text: text.replace("0x", "0y"),
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"ledger"', '"lodger"'),
        lambda text: json.dumps(json.loads(text) | {"abi_digest": "0x" + 64 * "0"}),
        lambda text: json.dumps(json.loads(text) | {"ledger": json.loads(text)["token"]}),
    ],
    ids=["empty", "torn", "nested", "not hex", "format", "key", "interfaces", "another contract"],
)
def test_a_damaged_deployment_record_is_told(damage: Callable[[str], str], damaged: Path) -> None:
    record = damaged / "deployment.json"
    record.write_text(damage(record.read_text()))
    with unchanged(damaged):
        outcomes = [resume(damaged), verify(damaged), bflmec("inspect", damaged)]
    assert {outcome.code for outcome in outcomes} <= {51, 55}  # 55: the contract does not have that function
    assert all(outcome.error for outcome in outcomes)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_chain_file_is_refused(share: float, damaged: Path) -> None:
    file = damaged / "chain.sqlite"
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    outcomes = [resume(damaged), verify(damaged), bflmec("inspect", damaged)]
    assert [outcome.code for outcome in outcomes] == [50, 50, 50]
    assert all(outcome.error for outcome in outcomes)


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_byte_of_the_chain_file_is_found_or_harmless(
    seed: int, unfinished: Path, finished: Path, damaged: Path
) -> None:
    file = damaged / "chain.sqlite"
    data = bytearray(file.read_bytes())
    data[random.Random(seed).randrange(len(data))] ^= 0xFF
    file.write_bytes(data)
    audit = verify(damaged)
    if audit.code:
        assert audit.code in (50, 51, 61), audit.err
        assert audit.error
    else:  # a page that is not used
        assert resume(damaged).code == 0
        assert result(damaged) == result(finished)


def test_a_damaged_contract_artifact_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(shutil.copytree(artifacts.directory(), tmp_path / "artifacts"))
    (folder / "RewardToken.json").write_text("{}")
    monkeypatch.setattr(artifacts, "directory", lambda: folder)
    outcome = run(tmp_path / "run", TINY)
    assert outcome.code == 52
    assert "reinstall the package" in outcome.error
    monkeypatch.undo()
    assert resume(tmp_path / "run").code == 0


# ---------------------------------------------------------------- blobs


@pytest.mark.parametrize("damage", [lambda data: None, lambda data: data[:-1], lambda data: bytes(len(data))])
def test_a_lost_body_is_told_since_its_signatures_cannot_be_made_again(
    damage: Callable[[bytes], bytes | None], damaged: Path
) -> None:
    file = body_files(damaged)[0]
    data = damage(file.read_bytes())
    file.unlink() if data is None else file.write_bytes(data)
    outcome = resume(damaged)
    assert outcome.code == 40
    assert "fetch the blob again" in outcome.error


@pytest.mark.parametrize("damage", [lambda data: None, lambda data: data[:-1], lambda data: bytes(len(data))])
def test_a_lost_global_gradient_is_computed_again(
    damage: Callable[[bytes], bytes | None], damaged: Path, finished: Path
) -> None:
    file = global_gradient_file(damaged)
    data = damage(file.read_bytes())
    file.unlink() if data is None else file.write_bytes(data)
    assert resume(damaged).code == 0
    assert result(damaged) == result(finished)
    assert verify(damaged).code == 0


# ---------------------------------------------------------------- metrics


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-30],
        lambda text: text + '{"kind":"block","num',
        lambda text: text.split("\n", 1)[0] + "\n",
    ],
    ids=["lost", "torn", "begun", "short"],
)
def test_metrics_that_a_crash_cut_short_are_made_again(
    damage: Callable[[str], str], damaged: Path, finished: Path
) -> None:
    file = damaged / "metrics.jsonl"
    file.write_text(damage(file.read_text()))
    assert resume(damaged).code == 0
    assert result(damaged) == result(finished)


def test_metrics_of_blocks_that_a_power_cut_took_from_the_chain_are_replaced(
    unfinished: Path, finished: Path, copy_of: Copy
) -> None:
    path = copy_of(unfinished)
    shutil.copy(finished / "metrics.jsonl", path)
    text = (finished / "metrics.jsonl").read_text().splitlines(keepends=True)
    own = (unfinished / "metrics.jsonl").read_text().splitlines(keepends=True)[:-1]
    (path / "metrics.jsonl").write_text("".join(own + text[len(own) : -1]))
    assert resume(path).code == 0
    assert result(path) == result(finished)


@pytest.mark.parametrize(
    "line", ["garbage", "{}", '{"kind":"block","number":"one"}', "[" * 100_000, "\udcff", '{"kind":"summary"}']
)
def test_metrics_that_are_something_else_are_told(line: str, damaged: Path) -> None:
    file = damaged / "metrics.jsonl"
    file.write_bytes(line.encode(errors="surrogateescape") + b"\n" + file.read_bytes())
    with unchanged(damaged):
        outcome = resume(damaged)
    assert outcome.code == 60
    assert "metrics.jsonl, line 1" in outcome.error


def test_a_damaged_summary_is_told(finished: Path, copy_of: Copy) -> None:
    path = copy_of(finished)
    file = path / "metrics.jsonl"
    file.write_text(file.read_text().replace('"concurrency_max"', '"concurrency"'))
    with unchanged(path):
        outcome = resume(path)
    assert outcome.code == 60
    assert "the summary in metrics.jsonl is damaged" in outcome.error


def test_metrics_of_another_run_are_told(damaged: Path, deterministic: Path) -> None:
    shutil.copy(deterministic / "metrics.jsonl", damaged)
    edit_config(damaged, "aggregations", 4)
    with unchanged(damaged):
        outcome = resume(damaged)
    assert outcome.code == 60
    assert "metrics.jsonl" in outcome.error
