"""A run that dies or is stopped at any moment goes on from its last block and ends as if nothing had happened."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from endtoend_tools import (
    DETERMINISTIC,
    TINY,
    Fate,
    KilledAfter,
    KilledAtHeight,
    bflmec,
    block_hashes,
    edit_config,
    metrics,
    result,
    resume,
    run,
    run_command,
    start,
    verify,
)

# The chain's blocks 1 to 5 deploy the contracts, 6 and 7 admit the edge nodes, 8 allows the clients and 9 registers
# them; then there is one for each block of the ledger.
WHILE_DEPLOYING = [KilledAtHeight(1, False), KilledAtHeight(5, True)]
WHILE_REGISTERING = [KilledAtHeight(7, True), KilledAtHeight(9, False), KilledAtHeight(9, True)]
WHILE_RUNNING = [KilledAtHeight(10, False), KilledAtHeight(11, True), KilledAfter(0.2), KilledAfter(0.6)]
HASH_BASED = TINY | {"certificates": "xmss", "tree_height": "6"}
ENDLESS = TINY | {"aggregations": "1000"}


@pytest.mark.parametrize("fate", [*WHILE_DEPLOYING, *WHILE_REGISTERING, *WHILE_RUNNING], ids=str)
def test_a_killed_run_resumes_to_the_very_bytes_of_an_undisturbed_one(
    fate: Fate, deterministic: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    killed = start(tmp_path / "log", run_command(path, DETERMINISTIC), fate).wait()
    assert killed.code in (-signal.SIGKILL, -signal.SIGPROF)
    outcome = resume(path)
    assert outcome.code == 0, outcome.err
    assert result(path) == result(deterministic)
    assert block_hashes(path) == block_hashes(deterministic)


@pytest.mark.parametrize("height", [10, 11, 13])
def test_a_killed_run_with_one_time_keys_resumes_and_signs_with_fresh_ones(
    height: int, finished: Path, tmp_path: Path
) -> None:
    """Killed between the trees, before the first block, and between blocks."""
    path = tmp_path / "run"
    start(tmp_path / "log", run_command(path, HASH_BASED), KilledAtHeight(height, True)).wait()
    outcome = resume(path)
    assert outcome.code == 0, outcome.err
    assert result(path) == result(finished)
    assert verify(path).code == 0


def test_a_directory_whose_making_was_killed_can_be_made_again(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    for name in (".lock", ".tmp-a1b2c3", "versions.json"):
        (path / name).touch()
    assert resume(path).code == 60
    assert run(path, TINY).code == 0
    assert result(path) == result(finished)


def test_a_run_that_is_killed_again_while_it_retraces_and_goes_on_still_ends_as_an_undisturbed_one(
    finished: Path, tmp_path: Path
) -> None:
    path, log = tmp_path / "run", tmp_path / "log"
    start(log, run_command(path, TINY), KilledAtHeight(10, True)).wait()
    start(log, ["run", "--resume", str(path)], KilledAfter(0.15)).wait()
    start(log, ["run", "--resume", str(path)], KilledAtHeight(12, False)).wait()
    assert resume(path).code == 0
    assert result(path) == result(finished)
    assert verify(path).code == 0


def first_block(path: Path) -> Callable[[], bool]:
    return lambda: bool(metrics(path).blocks)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_order_with_pictures_and_the_way_to_go_on(
    number: signal.Signals, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    child = start(tmp_path / "log", run_command(path, ENDLESS))
    child.wait_until(first_block(path))
    child.signal(number)
    stopped = child.wait()
    assert stopped.code == 128 + number
    assert f"interrupted; go on with: bflmec run --resume {path}" in stopped.err
    assert "Traceback" not in stopped.err
    assert {"accuracy.png", "rewards.png", "timing.png", "report.html", "trace.jsonl"} <= {
        file.name for file in path.iterdir()
    }
    assert bflmec("inspect", path).code == 0
    updates = len(list(metrics(path).updates))
    edit_config(path, "aggregations", updates + 1)
    assert resume(path).code == 0
    assert len(list(metrics(path).updates)) == updates + 1


def test_a_second_ctrl_c_does_not_wait_for_the_pictures_and_leaves_a_run_that_goes_on(tmp_path: Path) -> None:
    path, log = tmp_path / "run", tmp_path / "log"
    child = start(log, run_command(path, ENDLESS))
    child.wait_until(first_block(path))
    child.signal(signal.SIGINT)
    child.wait_until(lambda: child.has_said("interrupted"))
    child.signal(signal.SIGINT)
    stopped = child.wait()
    assert stopped.code == 130
    assert "Traceback" not in stopped.err
    assert bflmec("inspect", path).code == 0
    edit_config(path, "aggregations", len(list(metrics(path).updates)) + 1)
    assert resume(path).code == 0


def test_a_run_that_is_stopped_before_its_first_block_goes_on(finished: Path, tmp_path: Path) -> None:
    path, log = tmp_path / "run", tmp_path / "log"
    child = start(log, run_command(path, TINY))
    child.wait_until(lambda: child.has_said("chain and contracts"))
    child.signal(signal.SIGINT)
    assert child.wait().code == 130
    assert resume(path).code == 0
    assert result(path) == result(finished)
