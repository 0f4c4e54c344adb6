"""What the tests of the served chain share: a running server, JSON-RPC over HTTP, and `bflmec chain serve`."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from chain_tools import genesis, ticking_clock

from bflmec.devchain import DevChain
from bflmec.devchain.service.miner import Miner
from bflmec.devchain.service.server import ChainServer

COMMAND = (sys.executable, "-c", "from bflmec.cli import main; main()", "chain", "serve")
DEADLINE = 60.0  # seconds after which what is waited for never comes


@contextmanager
def served(block_time: float | None = None, **changes: Any) -> Iterator[tuple[DevChain, ChainServer]]:
    """A chain in memory, with a miner and a server on a free port."""
    chain = DevChain.create(None, genesis(**changes), clock=ticking_clock())
    with chain, Miner(chain, block_time), ChainServer(chain, port=0) as server:
        yield chain, server


def request(method: str, *params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).encode()


class Connection:
    """One HTTP connection that is kept."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").rpartition(":")
        self.http = HTTPConnection(host, int(port), timeout=DEADLINE)

    def post(self, body: bytes, **headers: str) -> tuple[int, Any]:
        """Status and response."""
        self.http.request("POST", "/", body, {"Content-Type": "application/json"} | headers)
        response = self.http.getresponse()
        return response.status, json.loads(response.read())

    def call(self, method: str, *params: Any) -> Any:
        """The result of a method."""
        status, response = self.post(
            json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).encode()
        )
        assert status == 200
        assert response["id"] == 7
        assert "error" not in response, response["error"]
        return response["result"]

    def error(self, method: str, *params: Any) -> dict[str, Any]:
        _, response = self.post(request(method, *params))
        error: dict[str, Any] = response["error"]
        return error


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    connection = Connection(url)
    try:
        yield connection
    finally:
        connection.http.close()


def wait_until(condition: Any) -> Any:
    """What `condition` returns when it is true at last."""
    end = time.monotonic() + DEADLINE
    while not (result := condition()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
    return result


class Process:
    """`bflmec chain serve` on a free port, ready when it is made."""

    def __init__(self, *arguments: str) -> None:
        self._popen = subprocess.Popen(
            [*COMMAND, "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self.output = ""
        try:
            self.url = self._wait_for_url()
        except BaseException:
            self.kill()
            raise

    def _wait_for_url(self) -> str:
        assert self._popen.stdout is not None
        end = time.monotonic() + DEADLINE
        while (found := re.search(r"listening on (http://\S+) .*\n", self.output)) is None:
            assert time.monotonic() < end, "the chain never listened"
            if select.select([self._popen.stdout], [], [], 1)[0]:
                printed = os.read(self._popen.stdout.fileno(), 4096).decode()
                assert printed, self._popen.communicate()
                self.output += printed
        return found[1]

    def end(self, signal_number: int) -> tuple[int, str, str]:
        """Exit code, and all that was printed."""
        self._popen.send_signal(signal_number)
        out, error = self._popen.communicate(timeout=DEADLINE)
        return self._popen.returncode, self.output + out.decode(), error.decode()

    def kill(self) -> None:
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.communicate()


@contextmanager
def process(*arguments: str) -> Iterator[Process]:
    running = Process(*arguments)
    try:
        yield running
    finally:
        running.kill()


def serve_to_its_end(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`bflmec chain serve` when it ends by itself."""
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=DEADLINE, check=False)


def chain_file(folder: Path) -> str:
    return str(folder / "chain.sqlite")
