"""js-ipfs as a real daemon: the JavaScript implementation of IPFS, whose HTTP API is Kubo's."""

from __future__ import annotations

import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parent / "js-ipfs"
START_SECONDS = 120


@contextmanager
def running(repository: Path) -> Iterator[str]:
    """The URL of a daemon of its own, which ends with the block."""
    assert (FOLDER / "node_modules").exists(), f"js-ipfs is not installed: cd {FOLDER} && npm ci --omit=optional"
    daemon = subprocess.Popen(
        ["node", "serve.js", str(repository)],
        cwd=FOLDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert daemon.stdin is not None
    assert daemon.stdout is not None
    try:
        ready, _, _ = select.select([daemon.stdout], [], [], START_SECONDS)
        url = daemon.stdout.readline().strip() if ready else ""
        assert url.startswith("http://127.0.0.1:"), url + (daemon.stdout.read() if ready else "")
        yield url
    finally:
        daemon.kill()
        daemon.communicate()
