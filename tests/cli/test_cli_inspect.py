"""`bflmec inspect`: shows what a real run's ledger holds, agrees with the run's metrics, and changes nothing."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bflmec.cli.main import app
from bflmec.configuration import load
from bflmec.configuration.sections import TOKEN
from bflmec.errors import BFLMECError, ChainError, LedgerError, RunDirectoryError
from bflmec.runs.directory import RunDirectory
from bflmec.runs.metrics import Metrics, read_metrics
from bflmec.runs.progress import PlainProgress
from bflmec.runs.runner import run

SETTINGS = ["dataset=digits", "clients=10", "aggregations=3", "samples_per_client=90", "miner_reward=2"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = RunDirectory.create(tmp_path_factory.mktemp("inspect") / "run", load(settings=SETTINGS))
    run(made, PlainProgress(3))
    made.unlock()
    return made.path


@pytest.fixture(scope="module")
def metrics(directory: Path) -> Metrics:
    return read_metrics(directory / "metrics.jsonl")


@pytest.fixture(scope="module")
def blocks(directory: Path) -> list[dict[str, Any]]:
    return [line for line in lines(directory) if line["kind"] == "block"]


@pytest.fixture
def copied(tmp_path: Path, directory: Path) -> Path:
    return shutil.copytree(directory, tmp_path / "copied")


def inspect(directory: Path, *options: str) -> str:
    """What `bflmec inspect` prints. Raises what ended it."""
    result = CliRunner().invoke(app, ["inspect", str(directory), *options])
    if isinstance(result.exception, BFLMECError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def lines(directory: Path, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in inspect(directory, "--json", *options).splitlines()]


def test_all_blocks_agree_with_the_metrics(blocks: list[dict[str, Any]], metrics: Metrics) -> None:
    assert [block["hash"] for block in blocks] == [f"0x{line.hash}" for line in metrics.blocks]
    assert [block["miner"] for block in blocks] == [line.edge_node for line in metrics.blocks]
    assert [len(block["transactions"]) for block in blocks] == [line.transactions for line in metrics.blocks]
    for block, line in zip(blocks, metrics.blocks, strict=True):
        paid = {reward["account"][2:]: reward["amount"] for reward in block["rewards"]}
        assert paid == (line.update.rewards if line.update else {})


def test_blocks_are_a_chain_from_the_first_to_the_newest(directory: Path, blocks: list[dict[str, Any]]) -> None:
    (ledger,) = (line for line in lines(directory) if line["kind"] == "ledger")
    assert [block["header"]["number"] for block in blocks] == list(range(1, ledger["blocks"] + 1))
    for parent, child in itertools.pairwise(blocks):
        assert child["header"]["parent"] == parent["hash"]
    assert ledger["global_updates"] == 3
    assert ledger["anchor"] == blocks[-1]["header"]["anchor"]


def test_the_overview_names_each_block_in_a_row(directory: Path, blocks: list[dict[str, Any]]) -> None:
    text = inspect(directory)
    for block in blocks:
        assert block["hash"][:8] in text
    assert text.count("100 tokens") == 3


def test_the_overview_is_bounded_and_says_how_to_see_more(directory: Path, blocks: list[dict[str, Any]]) -> None:
    text = inspect(directory, "--last", "2")
    assert blocks[-3]["hash"][:8] not in text
    assert f"{len(blocks) - 2} earlier blocks: --last {len(blocks)}" in text


def test_json_lines_can_be_bounded_too(directory: Path, blocks: list[dict[str, Any]]) -> None:
    assert lines(directory, "--last", "2")[1:] == blocks[-2:]


def test_a_block_with_a_global_update_starts_with_it(directory: Path, blocks: list[dict[str, Any]]) -> None:
    block = next(block for block in blocks if block["rewards"])
    text = inspect(directory, "--block", str(block["header"]["number"]))
    header, first, rest = (
        text.index(": header"),
        text.index("TX_1: global update"),
        text.index("TX_2"),
    )
    assert header < first < rest
    assert block["hash"] in text[:first]
    assert f"{block['global_gradient']} (stored)" in text[first:rest]
    for reward in block["rewards"]:
        assert reward["account"] in text[first:rest]
    for transaction in block["transactions"]:
        assert transaction["client"][:8] in text[rest:]
        assert transaction["gradient"][:8] in text[rest:]
        assert transaction["signature"][:8] in text[rest:]


def test_a_block_without_one_starts_with_its_transactions(directory: Path, blocks: list[dict[str, Any]]) -> None:
    block = next(block for block in blocks if block["global_gradient"] is None)
    text = inspect(directory, "--block", str(block["header"]["number"]))
    assert "global update" not in text
    assert "TX_1" in text


def test_one_block_in_json_has_its_signers_and_what_was_signed(directory: Path, blocks: list[dict[str, Any]]) -> None:
    (block,) = lines(directory, "--block", "1")
    assert block["header"] == blocks[0]["header"]
    assert block["header"]["edge_node"] in block["signers"]
    for transaction in block["transactions"]:
        assert transaction["scheme"] == "ML-DSA-44"
        assert transaction["header"]["client"] == transaction["client"]
        assert transaction["header"]["mode"] == "delta"


def test_anchors_start_at_genesis_and_are_stored(directory: Path, blocks: list[dict[str, Any]]) -> None:
    anchors = lines(directory, "--anchors")
    updates = [block for block in blocks if block["global_gradient"]]
    assert [anchor["number"] for anchor in anchors] == [0, *(block["header"]["number"] for block in updates)]
    assert [anchor["content"] for anchor in anchors[1:]] == [block["global_gradient"] for block in updates]
    assert all(anchor["stored"] for anchor in anchors)
    text = inspect(directory, "--anchors")
    assert all(anchor["content"] in text for anchor in anchors)


def test_rewards_sum_to_what_the_ledger_recorded(directory: Path, blocks: list[dict[str, Any]]) -> None:
    rewards = lines(directory, "--rewards")
    recorded = [int(reward["recorded"]) for reward in rewards]
    assert sum(recorded) == int(blocks[-1]["header"]["rewards_total"]) == (300 + 2 * len(blocks)) * TOKEN
    assert recorded == sorted(recorded, reverse=True)
    assert {reward["claimed"] for reward in rewards} == {"0"}
    assert f"{300 + 2 * len(blocks)} tokens recorded, 0 claimed" in inspect(directory, "--rewards")


def test_inspecting_changes_nothing(copied: Path) -> None:
    before = inspect(copied, "--json")
    files = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file() and path.suffix != ".sqlite"}
    assert inspect(copied, "--json") == before
    assert {path: path.read_bytes() for path in files} == files


def test_a_missing_blob_is_told(copied: Path) -> None:
    shutil.rmtree(copied / "blobs" / "blocks")
    assert "missing" in inspect(copied, "--anchors")
    text = inspect(copied, "--block", "1")
    assert "(not in the blob store)" in text
    assert "scheme and anchor are unknown" in text


@pytest.mark.parametrize("number", ["0", "-1", "13000"])
def test_a_block_that_is_not_there_is_told(directory: Path, number: str) -> None:
    with pytest.raises(LedgerError, match=r"there is no block .* has blocks 1 to"):
        inspect(directory, f"--block={number}")


def test_a_directory_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="no run directory"):
        inspect(tmp_path)


def test_a_run_without_a_ledger_is_told(copied: Path) -> None:
    (copied / "chain.sqlite").unlink()
    with pytest.raises(RunDirectoryError, match=r"no ledger yet.*--resume"):
        inspect(copied)


def test_a_run_that_goes_on_is_told(copied: Path) -> None:
    running = RunDirectory.open(copied)
    running.lock()
    with pytest.raises(RunDirectoryError, match="in use"):
        inspect(copied)
    running.unlock()
    assert inspect(copied)


def test_a_damaged_chain_file_is_told(copied: Path) -> None:
    data = (copied / "chain.sqlite").read_bytes()
    (copied / "chain.sqlite").write_bytes(data[: len(data) // 2])
    with pytest.raises(ChainError, match=r"chain\.sqlite"):
        inspect(copied)


def test_a_damaged_deployment_record_is_told(copied: Path) -> None:
    (copied / "deployment.json").write_text("{}")
    with pytest.raises(LedgerError, match="deployment record"):
        inspect(copied)


def test_views_exclude_each_other(directory: Path) -> None:
    result = CliRunner().invoke(app, ["inspect", str(directory), "--block", "1", "--anchors"])
    assert result.exit_code == 2


def test_errors_end_the_process_with_their_code_and_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bflmec", "inspect", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == RunDirectoryError.exit_code
    assert ended.stdout == ""
    assert ended.stderr.startswith("bflmec: ")
    assert ended.stderr.count("\n") == 1
