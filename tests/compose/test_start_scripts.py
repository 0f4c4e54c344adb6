"""The scripts that containers start, run without containers: a chain, an owner and three edge nodes find together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from web3 import Web3

from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import Deployment
from bflmec.transport.edge_api import EdgeApi

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "compose" / "scripts"
ANVIL = ROOT / "node_modules" / ".bin" / "anvil"
NAMES = ("edge-1", "edge-2", "edge-3")
DEADLINE = 300.0  # seconds after which what is waited for never comes

STUB_GETH = """#!/bin/sh
echo "$@" >>"$CALLS"
case "$1" in
attach) echo '"enode://aa@127.0.0.1:30303?discport=0"' ;;
--datadir) [ "$3" != init ] || mkdir -p "$2/geth/chaindata" ;;
esac
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@dataclass(frozen=True)
class Place:
    """The folders that volumes are in containers, and what the scripts find in their environment."""

    path: Path
    rpc: str

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.path),
            "CONSORTIUM": str(self.path / "consortium"),
            "OWNER_DIR": str(self.path / "owner"),
            "CONFIG": str(ROOT / "compose" / "config.toml"),
            "NETWORK": "consortium",
            "NETWORKS": str(self.path / "networks.toml"),
            "EDGE_NODES": " ".join(NAMES),
            "DEV_CHAIN": "1",
            "PATIENCE": str(int(DEADLINE)),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        } | more

    def run(self, script: str, **more: str) -> str:
        done = subprocess.run(
            [SCRIPTS / script], env=self.environment(**more), capture_output=True, text=True, timeout=DEADLINE
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def edge(self, name: str) -> Iterator[EdgeProcess]:
        port = free_port()
        variables = {
            "NAME": name,
            "EDGE_DIR": str(self.path / name),
            "ENDPOINT": f"http://127.0.0.1:{port}",
            "HOST": "127.0.0.1",
            "PORT": str(port),
        }
        log = self.path / f"{name}.log"
        with log.open("w") as file:
            popen = subprocess.Popen(
                [SCRIPTS / "edge.sh"],
                env=self.environment(**variables),
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
            )
        try:
            yield EdgeProcess(variables["ENDPOINT"], log, popen)
        finally:
            popen.kill()
            popen.wait()


@dataclass(frozen=True)
class EdgeProcess:
    url: str
    log: Path
    popen: subprocess.Popen[bytes]

    def wait_until_it_listens(self) -> None:
        end = time.monotonic() + DEADLINE
        while "listening on" not in self.log.read_text():
            assert self.popen.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    path = tmp_path / "a place"  # with a space: the scripts quote what they are given
    for folder in ("consortium", "owner"):
        (path / folder).mkdir(parents=True)
    return Place(path, "")


@pytest.fixture
def chained(place: Place) -> Iterator[Place]:
    port = free_port()
    anvil = subprocess.Popen(
        [ANVIL, "--port", str(port), "--chain-id", "31337", "--silent"],
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        rpc = f"http://127.0.0.1:{port}"
        committed = (ROOT / "compose" / "anvil" / "networks.toml").read_text()
        (place.path / "networks.toml").write_text(committed.replace("http://chain:8545", rpc))
        yield Place(place.path, rpc)
    finally:
        anvil.terminate()
        anvil.wait()


@pytest.mark.toolchain
@pytest.mark.skipif(not ANVIL.exists(), reason="needs npm ci")
def test_an_owner_and_three_edge_nodes_find_together(chained: Place) -> None:
    with ExitStack() as running:
        edges = [running.enter_context(chained.edge(name)) for name in NAMES]
        assert "the ledger is ready" in chained.run("deploy.sh")
        for edge in edges:
            edge.wait_until_it_listens()
        w3 = Web3(Web3.HTTPProvider(chained.rpc))
        deployment = Deployment.load(chained.path / "consortium" / "deployment.json")
        assert len(LedgerClient(w3, deployment).participants.edge_nodes()) == len(NAMES)
        for edge in edges:
            with EdgeApi(edge.url) as api:
                assert api.node().ledger == "0x" + deployment.ledger.hex()

        blocks = w3.eth.block_number
        requests, admitted = chained.path / "consortium" / "requests", chained.path / "consortium" / "admitted"
        (requests / "edge-4").write_text((requests / "edge-1").read_text().replace("digest   0x", "digest   0y"))
        with pytest.raises(AssertionError, match="is no digest"):
            chained.run("deploy.sh", EDGE_NODES=" ".join([*NAMES, "edge-4"]))
        assert sorted(file.name for file in admitted.iterdir()) == list(NAMES)
        assert w3.eth.block_number == blocks, "for those that are admitted there is nothing to do again"

        edges[0].popen.send_signal(signal.SIGTERM)
        assert edges[0].popen.wait(timeout=DEADLINE) == 0, edges[0].log.read_text()


def test_the_owners_key_is_made_once_and_is_the_owners_alone(place: Place) -> None:
    place.run("owner.sh")
    made = {file.name: file.read_bytes() for file in (place.path / "owner").iterdir()}
    assert made.keys() == {"owner.json", "password"}
    assert all(file.stat().st_mode & 0o77 == 0 for file in (place.path / "owner").iterdir())
    place.run("owner.sh")
    assert {file.name: file.read_bytes() for file in (place.path / "owner").iterdir()} == made
    assert (place.path / "consortium" / "owner").read_text().startswith("0x")


def test_what_never_comes_is_named(place: Place) -> None:
    environment = place.environment(PATIENCE="1", NETWORK=f"http://127.0.0.1:{free_port()}")
    (place.path / "networks.toml").write_text("[networks]\n")
    done = subprocess.run([SCRIPTS / "deploy.sh"], env=environment, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode != 0
    assert "waited 1 s in vain for the network" in done.stderr
    assert "does not answer" in done.stderr


def test_geth_mines_for_the_owner_and_meets_its_peer(place: Place) -> None:
    """With a stand-in that notes how it is called: geth itself is in none of the registries."""
    tools, calls, consortium = place.path / "bin", place.path / "calls", place.path / "consortium"
    tools.mkdir()
    (tools / "geth").write_text(STUB_GETH)
    (tools / "geth").chmod(0o755)
    (consortium / "owner").write_text("0x" + "12" * 20)
    (consortium / "nodes").mkdir()
    (consortium / "nodes" / "geth-1").write_text("enode://bb@geth-1:30303?discport=0")
    variables = {
        "NAME": "geth-2",
        "PEER": "geth-1",
        "GETH_DIR": str(place.path / "geth"),
        "GENESIS": str(ROOT / "compose" / "geth" / "genesis.json"),
        "CALLS": str(calls),
        "PATH": f"{tools}:{os.environ['PATH']}",
    }
    for _ in range(2):
        place.run("geth.sh", **variables)
    end = time.monotonic() + DEADLINE
    while calls.read_text().count("admin.addPeer") < 2 and time.monotonic() < end:
        time.sleep(0.05)
    lines = calls.read_text().splitlines()
    assert len([line for line in lines if " init " in line]) == 1, "the chain is made once"
    (first, *_) = [line for line in lines if "--mine" in line]
    assert "--networkid 424242" in first
    assert "--miner.etherbase 0x" + "12" * 20 in first
    assert any('admin.addPeer("enode://bb@geth-1:30303?discport=0")' in line for line in lines)
    assert (consortium / "nodes" / "geth-2").read_text() == "enode://aa@geth-2:30303?discport=0\n"
