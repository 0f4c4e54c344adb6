"""`bflmec edge` as processes that are killed: what was acknowledged is recorded once, and nobody has to help."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eth_utils.address import to_checksum_address
from service_world import DEADLINE, ETHER, OWNER, SETTINGS, World, digest_of, wait_until, world
from web3 import HTTPProvider, Web3

from bflmec.configuration import load
from bflmec.configuration.writing import as_toml
from bflmec.edge.directory import EdgeDirectory
from bflmec.transport.edge_api import EdgeApi

COMMAND = (sys.executable, "-c", "from bflmec.cli import main; main()", "edge")


def run(*arguments: str) -> str:
    return subprocess.run([*COMMAND, *arguments], check=True, capture_output=True, text=True).stdout


class EdgeProcess:
    """`bflmec edge start`, ready when it is made."""

    def __init__(self, directory: Path, made: World) -> None:
        self.log = directory / "log"
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [
                    *COMMAND,
                    "start",
                    str(directory),
                    *("--network", made.rpc, "--deployment", str(made.path / "deployment.json")),
                    *("--config", str(made.path / "config.toml")),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        found = re.match(r"listening on (http://\S+) \(edge node", line)
        assert found, line + self.log.read_text()
        self.url = found[1]

    def kill(self) -> None:
        self._popen.kill()
        self._popen.communicate(timeout=DEADLINE)

    def end(self) -> tuple[int, str]:
        self._popen.send_signal(signal.SIGTERM)
        out, _ = self._popen.communicate(timeout=DEADLINE)
        return self._popen.returncode, out

    def children(self) -> list[int]:
        path = Path(f"/proc/{self._popen.pid}/task/{self._popen.pid}/children")
        tasks = Path(f"/proc/{self._popen.pid}/task")
        return [int(child) for task in tasks.iterdir() for child in (task / path.name).read_text().split()]


@contextmanager
def admitted(made: World, directory: Path) -> Iterator[EdgeDirectory]:
    """An edge node that `bflmec edge init` made and the owner admitted, with ether."""
    shown = run("init", str(directory), "--port", "0", "--endpoint", "http://127.0.0.1:1")
    assert "bflmec participants admit" in shown
    opened = EdgeDirectory(directory)
    keys = opened.keys()
    w3 = Web3(HTTPProvider(made.rpc))
    transaction = {
        "to": to_checksum_address(keys.account),
        "value": ETHER,
        "gas": 21_000,
        "gasPrice": w3.eth.gas_price * 2,
        "nonce": w3.eth.get_transaction_count(OWNER.address),
        "chainId": w3.eth.chain_id,
    }
    w3.eth.wait_for_transaction_receipt(
        w3.eth.send_raw_transaction(OWNER.sign_transaction(transaction).raw_transaction)
    )
    made.ledger.participants.admit_edge_node(
        keys.account, keys.signature_digest, keys.encapsulation_digest, "http://127.0.0.1:1"
    )
    made.deployment.save(made.path / "deployment.json")
    (made.path / "config.toml").write_text(as_toml(load(None, list(SETTINGS))))
    yield opened


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_a_killed_edge_node_acknowledged_is_recorded_once(tmp_path: Path) -> None:
    directory = tmp_path / "own"
    with world(tmp_path, 0) as made, admitted(made, directory) as opened:
        keys = opened.keys()
        uploaders = [made.uploader(number) for number in range(5)]
        acknowledged = []
        process = EdgeProcess(directory, made)
        try:
            for round_ in range(3):
                with EdgeApi(process.url) as api:
                    recipient = api.node().recipient(keys.signature_digest, keys.encapsulation_digest)
                    for uploader in uploaders:
                        acknowledged.append(digest_of(envelope := uploader.envelope()))
                        api.upload(envelope, recipient)
                time.sleep(0.05 * round_)  # before, while or after it makes a block
                children = process.children()
                process.kill()
                wait_until(lambda children=children: not any(map(is_alive, children)), "the end of its nonce search")
                process = EdgeProcess(directory, made)
            wait_until(lambda: _recorded(made) == 15, "all of them on the ledger")
        finally:
            code, out = process.end()
        assert (code, out) == (0, "ended; everything is on disk\n")
        recorded = [entry.gradient for block in made.ledger.blocks(1, 99) for entry in block.block.transactions]
        assert sorted(recorded) == sorted(acknowledged)


def _recorded(made: World) -> int:
    return sum(block.block.header.transaction_count for block in made.ledger.blocks(1, 99))
