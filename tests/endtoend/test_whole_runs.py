"""One command from a configuration to a model, a ledger and a report."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from endtoend_tools import (
    DETERMINISTIC,
    TINY,
    bflmec,
    block_hashes,
    global_digests,
    metrics,
    result,
    run,
    verify,
)

from bflmec.configuration.sections import TOKEN
from bflmec.learning import mnist
from bflmec.runs.directory import RunDirectory
from bflmec.runs.ledger_access import open_ledger

LEARNING = TINY | {
    "clients": "10",
    "samples_per_client": "140",
    "data_threshold": "60",
    "learning_rate": "0.1",
    "aggregation_threshold": "6",
    "aggregations": "6",
}


def test_a_model_is_learned_and_everything_about_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "run"
    outcome = run(path, LEARNING)
    assert outcome.code == 0, outcome.err
    summary = metrics(path).summary
    assert summary is not None
    assert summary.accuracy > 0.85
    assert summary.client_accuracy > 0.75
    assert f"{summary.accuracy:.4f}" in outcome.out
    assert verify(path).code == 0


def test_a_run_leaves_a_directory_for_people_and_for_machines(finished: Path) -> None:
    names = {file.name for file in finished.iterdir()}
    assert names == {
        ".lock",
        "accuracy.png",
        "blobs",
        "chain.sqlite",
        "config.toml",
        "deployment.json",
        "metrics.jsonl",
        "report.html",
        "rewards.png",
        "timing.png",
        "trace.jsonl",
        "versions.json",
    }
    assert (finished / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert bflmec("config", finished / "config.toml").out == (finished / "config.toml").read_text()


def test_every_block_is_certified_by_more_than_half_of_the_edge_nodes(finished: Path) -> None:
    for block in metrics(finished).blocks:
        shown = json.loads(bflmec("inspect", finished, "--block", str(block.number), "--json").out)
        assert len(shown["signers"]) == 2
        assert shown["hash"] == f"0x{block.hash}"
        assert len(shown["transactions"]) == block.transactions


def test_rewards_sum_to_the_base_of_each_paid_update(finished: Path) -> None:
    updates = [update for _, update in metrics(finished).updates]
    assert all(sum(map(int, update.rewards.values())) in (0, 100 * TOKEN) for update in updates)
    paid = sum(bool(update.rewards) for update in updates) * 100 * TOKEN
    assert paid
    with open_ledger(RunDirectory(finished)) as (ledger, _, _):
        assert ledger.rewards()[1] == paid
    rows = [json.loads(line) for line in bflmec("inspect", finished, "--rewards", "--json").out.splitlines()]
    assert sum(int(row["recorded"]) for row in rows) == paid


@pytest.mark.parametrize("view", [[], ["--anchors"], ["--rewards"], ["--block", "1"], ["--last", "2"]])
def test_the_ledger_can_be_looked_into(view: list[str], finished: Path) -> None:
    shown = bflmec("inspect", finished, *view)
    assert shown.code == 0
    assert shown.out
    lines = bflmec("inspect", finished, *view, "--json").out.splitlines()
    assert all("kind" in json.loads(line) for line in lines)


def test_json_lines_are_those_of_the_metrics_file(tmp_path: Path) -> None:
    path = tmp_path / "run"
    settings = [word for item in (TINY | {"aggregations": "1"}).items() for word in ("--set", "=".join(item))]
    outcome = bflmec("run", "--json", "--out", path, *settings)
    assert outcome.code == 0
    printed = [json.loads(line) for line in outcome.out.splitlines()]
    assert printed == [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in printed[-2:]] == ["block", "summary"]


def test_runs_without_a_name_get_one_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda _: "20260101-000000")
    settings = [word for item in (TINY | {"aggregations": "1"}).items() for word in ("--set", "=".join(item))]
    outcomes = [bflmec("run", *settings) for _ in range(2)]
    assert [outcome.code for outcome in outcomes] == [0, 0]
    assert "bflmec verify runs/20260101-000000-2" in outcomes[1].out
    assert {path.name for path in Path("runs").iterdir()} == {"20260101-000000", "20260101-000000-2"}


def test_the_same_seed_gives_the_same_run(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert run(path, TINY).code == 0
    assert result(path) == result(finished)
    assert global_digests(path) == global_digests(finished)
    assert (path / "trace.jsonl").read_bytes() == (finished / "trace.jsonl").read_bytes()
    assert block_hashes(path) != block_hashes(finished)  # ML-DSA signatures are randomised


def test_another_seed_gives_another_run(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert run(path, TINY | {"seed": "2", "aggregations": "1"}).code == 0
    assert result(path)[0] != result(finished)[0]


def test_the_same_seed_with_deterministic_signatures_gives_the_same_bytes(deterministic: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert run(path, DETERMINISTIC).code == 0
    assert block_hashes(path) == block_hashes(deterministic)
    assert _rows(path) == _rows(deterministic)


def _rows(path: Path) -> list[tuple[object, ...]]:
    database = sqlite3.connect(path / "chain.sqlite")
    tables = ("genesis", "block", "transaction_position", "node")
    rows = [row for table in tables for row in database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()]
    database.close()
    return rows


def test_mnist_is_learned_where_it_is_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = run(tmp_path / "run", LEARNING | {"dataset": "mnist", "aggregations": "3"})
    if outcome.code == 11:
        pytest.skip("MNIST is in no data folder; `make test` fetches it")
    assert outcome.code == 0, outcome.err
    summary = metrics(tmp_path / "run").summary
    assert summary is not None
    assert summary.accuracy > 0.6
    assert verify(tmp_path / "run").code == 0


def test_without_mnist_all_ways_to_get_it_are_named_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BFLMEC_DATA", str(tmp_path / "data"))
    outcome = run(tmp_path / "run", TINY | {"dataset": "mnist"})
    assert outcome.code == 11
    assert all(way in outcome.error for way in ("BFLMEC_DATA", "mirror", "npm"))
    assert not (tmp_path / "run").exists()
