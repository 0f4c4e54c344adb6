"""`bflmec devnet` as a person uses it: everything is a process, and everything is real."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3

from bflmec.devchain import DevChain, DevChainProvider
from bflmec.devnet.plan import CHAIN, DevnetDirectory, new_plan
from bflmec.devnet.processes import ProcessRecord
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import Deployment
from bflmec.ledger.network import connect, find_network

COMMAND = (sys.executable, "-c", "from bflmec.cli import main; main()", "devnet")
DEADLINE = 120.0
OPTIONS = ("--edge-nodes", "3", "--clients", "3", "--rate", "40", "--set", "ledger.difficulty=64")


def run(*arguments: str | Path) -> str:
    result = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE)
    assert result.returncode == 0, result.stderr
    return result.stdout


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + DEADLINE
    while not (result := condition()):
        assert time.monotonic() < end, f"{what} never came"
        time.sleep(0.1)
    return result


class Up:
    """`bflmec devnet up`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.directory = DevnetDirectory(folder)
        self.popen = subprocess.Popen(
            [*COMMAND, "up", "--dir", str(folder), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def end(self, number: int = signal.SIGINT) -> str:
        self.popen.send_signal(number)
        out, _ = self.popen.communicate(timeout=DEADLINE)
        return out

    def records(self) -> dict[str, ProcessRecord]:
        found = {name: ProcessRecord.load(self.directory.pid_file(name)) for name in self.directory.plan().names}
        return {name: record for name, record in found.items() if record is not None}

    def ledger(self) -> LedgerClient:
        network = find_network("devnet", self.directory.networks)
        return LedgerClient(connect(network), Deployment.load(self.directory.deployment))

    def status(self) -> dict[str, Any]:
        return json.loads(run("status", "--dir", self.directory.path, "--json"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "net"
    yield path
    if DevnetDirectory(path).exists():
        run("down", "--dir", path)


def test_a_network_comes_up_survives_a_kill_and_goes_on(folder: Path) -> None:
    up = Up(folder, *OPTIONS)
    wait_until(lambda: "clients start" in (up.popen.stdout.readline() if up.popen.stdout else ""), "the start")
    wait_until(lambda: up.ledger().anchor_count() > 1, "a global update")

    assert "killed edge-2" in run("kill-one", "edge-2", "--dir", folder)
    wait_until(lambda: up.records()["edge-2"].starts == 2, "another start")
    wait_until(lambda: len(up.status()["edge_nodes"]) == 3, "its answer")
    assert "edge-2" in run("status", "--dir", folder)
    assert re.search(r"edge-2 has ended with -9", run("logs", "devnet", "--dir", folder))

    anchors = up.ledger().anchor_count()
    processes = up.records()
    assert "down; go on with" in up.end()
    assert up.popen.returncode == 0
    assert not [name for name, record in processes.items() if record.is_alive()]
    assert "nothing was up" in run("down", "--dir", folder)

    assert "contracts are deployed" not in run("up", "--dir", folder, "--aggregations", "1")
    with DevChain.open(folder / "chain.sqlite", auto_mine=False) as chain:
        ledger = LedgerClient(Web3(DevChainProvider(chain)), Deployment.load(folder / "deployment.json"))
        assert ledger.anchor_count() > anchors


def test_what_a_killed_supervisor_left_behind_is_ended(folder: Path) -> None:
    up = Up(folder, "--edge-nodes", "1", "--clients", "0", "--set", "ledger.difficulty=64")
    wait_until(lambda: folder.exists() and (folder / "logs" / "edge-1.log").exists(), "an edge node")
    up.popen.kill()
    up.popen.communicate()
    left = up.records()
    assert left[CHAIN].is_alive()
    assert run("down", "--dir", folder) == "down\n"
    assert not [name for name, record in left.items() if record.is_alive()]


def test_a_stranger_with_the_number_of_a_process_is_left_alone(folder: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    try:
        mine = ProcessRecord.of(stranger.pid, 1)
        former = ProcessRecord(stranger.pid, mine.birth + "0", 1)
        former.kill()
        former.end(0.1)
        assert stranger.poll() is None
        assert mine.is_alive()
        assert not former.is_alive()
        mine.kill()
        assert mine.wait(10)
    finally:
        stranger.kill()
        stranger.communicate()


def test_the_end_of_the_log_tells_why_a_process_does_not_start(folder: Path) -> None:
    up = Up(folder, "--edge-nodes", "1", "--clients", "0", "--set", "ledger.difficulty=64")
    wait_until(lambda: folder.exists() and (folder / "founded").exists(), "the ledger")
    up.end(signal.SIGTERM)
    (folder / "edge-1" / "edge.toml").write_text("port = 'none'\n")
    result = subprocess.run([*COMMAND, "up", "--dir", str(folder)], capture_output=True, text=True, timeout=DEADLINE)
    assert result.returncode == 95
    assert "edge-1 has ended" in result.stderr
    assert "edge.toml" in result.stderr


def test_other_choices_need_another_directory(folder: Path) -> None:
    DevnetDirectory(folder).create(new_plan("embedded", 2, 2, 5.0), "")
    result = subprocess.run(
        [*COMMAND, "up", "--dir", str(folder), "--clients", "3"], capture_output=True, text=True, timeout=DEADLINE
    )
    assert result.returncode == 95
    assert "was made with --clients 2, not 3" in result.stderr


def test_clients_that_never_reach_a_global_update_are_refused(folder: Path) -> None:
    result = subprocess.run(
        [*COMMAND, "up", "--dir", str(folder), "--clients", "2", "--set", "aggregation_threshold=5"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert result.returncode == 10
    assert "2 clients never reach a global update" in result.stderr
    assert not folder.exists()
