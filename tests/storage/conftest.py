"""The storages that keep the same promises: the embedded one, the one in memory, a daemon through both clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from js_ipfs import running

from bflmec.storage import BlobStorage, IpfsDaemon, storages

DAEMONS = ("ipfs", "ipfs-http-client")


@pytest.fixture(scope="session")
def js_ipfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a js-ipfs daemon without peers; what tests leave in it is removed by the next one."""
    with running(tmp_path_factory.mktemp("js-ipfs") / "repository") as url:
        yield url


@pytest.fixture(params=["embedded", "memory", *(pytest.param(name, marks=pytest.mark.toolchain) for name in DAEMONS)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStorage]:
    """An empty storage of each kind."""
    if request.param not in DAEMONS:
        yield storages.get(request.param)(str(tmp_path / "store"))
        return
    daemon = storages.get(request.param)(request.getfixturevalue("js_ipfs"))
    assert isinstance(daemon, IpfsDaemon)
    for cid in daemon.pins():
        daemon.unpin(cid)
    daemon.gc()
    yield daemon
    daemon.close()
