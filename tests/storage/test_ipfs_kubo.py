"""The real IPFS: Kubo's own code serves the blocks that our store wrote to another node, and our store reads Kubo's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from daemon_doubles import CLIENTS, daemon_at

from bflmec.errors import StorageError
from bflmec.storage import BlobStore, Cid

MIB = 1 << 20
BLOB = os.urandom(2 * MIB + 17)
KUBO_API = os.environ.get("IPFS_API", "")
"""The address of a Kubo daemon that tests may use; without one there is one test less."""


class KuboNode:
    """A running `kubo_node.py`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.addresses: list[str] = self._answer()

    def ask(self, *command: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(word) for word in command]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            # The library prints what it is doing between the answers.
            if line.startswith(("[", "true", "false")):
                return json.loads(line)
        raise AssertionError("the Kubo node has ended")


@contextmanager
def kubo(repository: Path) -> Iterator[KuboNode]:
    repository.mkdir(exist_ok=True)
    program = [sys.executable, str(Path(__file__).with_name("kubo_node.py")), str(repository)]
    pipe = subprocess.PIPE
    # The library writes its log into the working folder.
    with subprocess.Popen(program, stdin=pipe, stdout=pipe, text=True, cwd=repository) as process:
        try:
            yield KuboNode(process)
        finally:
            process.kill()


def test_two_kubo_nodes_exchange_a_blob_that_our_store_wrote(tmp_path: Path) -> None:
    ours = BlobStore(tmp_path / "ours")
    cid = ours.put(BLOB)
    with kubo(tmp_path / "first"):
        pass  # makes the repository
    shutil.copytree(tmp_path / "ours" / "blocks", tmp_path / "first" / "blocks", dirs_exist_ok=True)
    with kubo(tmp_path / "first") as first, kubo(tmp_path / "second") as second:
        assert second.ask("connect", next(address for address in first.addresses if "127.0.0.1" in address))
        assert second.ask("fetch", cid, tmp_path / "fetched")
        assert second.ask("pin", cid)
    assert (tmp_path / "fetched").read_bytes() == BLOB
    # And the other way round: our store on the folder that Kubo wrote.
    assert BlobStore(tmp_path / "second").get(cid, 4 * MIB) == BLOB


if KUBO_API:

    @pytest.mark.parametrize("client", CLIENTS)
    def test_a_kubo_daemon_keeps_the_promises_of_a_storage(client: str) -> None:
        """Leaves the daemon's other content alone: no garbage is collected, and what is put gets unpinned again."""
        daemon = daemon_at(client, KUBO_API)
        cid = daemon.put(BLOB)
        assert daemon.has(cid)
        assert daemon.get(cid, 4 * MIB) == BLOB
        daemon.pin(cid)
        daemon.pin(cid)
        assert cid in daemon.pins()
        daemon.unpin(cid)
        daemon.unpin(cid)
        assert cid not in daemon.pins()
        with pytest.raises(StorageError, match="put it first"):
            daemon.pin(Cid.of(cid.codec, os.urandom(8)))
