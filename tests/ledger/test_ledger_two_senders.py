"""Two processes send for one account at the same time, on one machine or on two: nothing is lost or doubled."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from ledger_tools import STRANGER, start_chain
from web3 import Web3

from bflmec.devchain.service.miner import Miner
from bflmec.devchain.service.server import ChainServer

HERE = Path(__file__).parent
ANVIL = HERE.parents[1] / "node_modules" / ".bin" / "anvil"
COUNT = 20


@contextmanager
def own_chain() -> Iterator[str]:
    with start_chain() as chain, Miner(chain, 0.2), ChainServer(chain, port=0) as server:
        yield server.url


@contextmanager
def anvil() -> Iterator[str]:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = [str(ANVIL), "--port", url.rpartition(":")[2], "--block-time", "1", "--silent"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        w3 = Web3(Web3.HTTPProvider(url))
        while not w3.is_connected():
            assert process.poll() is None
            time.sleep(0.05)
        w3.provider.make_request("anvil_setBalance", [STRANGER.address, hex(10**24)])  # type: ignore[arg-type]
        yield url
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("machines", [1, 2])
@pytest.mark.parametrize("network", [own_chain, pytest.param(anvil, marks=pytest.mark.toolchain)])
def test_two_processes_send_for_one_account(network: type[contextmanager[str]], machines: int, tmp_path: Path) -> None:
    with network() as url:
        processes = []
        for name in ("a", "b"):
            folder = tmp_path / (name if machines == 2 else "shared")
            command = [sys.executable, str(HERE / "hammer.py"), url, STRANGER.key.hex(), name, str(COUNT)]
            environment = os.environ | {"XDG_STATE_HOME": str(folder)}
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            processes.append(subprocess.Popen(command, env=environment, text=True, **pipes))  # type: ignore[call-overload]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
        w3 = Web3(Web3.HTTPProvider(url))
        blocks = [w3.eth.get_block(number, True) for number in range(1, w3.eth.block_number + 1)]
        seen = Counter(bytes(one["input"]).decode() for block in blocks for one in block["transactions"])  # type: ignore[index]
    assert seen == Counter(f"{name}-{index}" for name in ("a", "b") for index in range(COUNT))
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]
