"""The durable cache pool: what a flush has promised outlives the process, and what can't be kept is refused."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_items import OWNER, gradient, item
from protocol_world import SPEC

from bflmec.edge.pool import DurableCachePool
from bflmec.edge.store import EdgeStore
from bflmec.errors import EdgeStoreError
from bflmec.protocol.cache_pool import CachePool, MemoryCachePool, PooledGradient


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edge.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[EdgeStore]:
    opened = EdgeStore.open(path, OWNER)
    yield opened
    opened.close()


def reopened(path: Path) -> tuple[list[bytes], DurableCachePool]:
    store = EdgeStore.open(path, OWNER)
    pool = DurableCachePool(store, SPEC, 7.0)
    try:
        return [pooled.gradient.digest for pooled in pool], pool
    finally:
        store.close()


def test_a_flushed_local_gradient_is_there_after_a_restart(path: Path) -> None:
    first = EdgeStore.open(path, OWNER)
    pooled = PooledGradient(gradient(), 3, 5, 1.5)
    pool = DurableCachePool(first, SPEC, 0.0)
    pool.add(pooled)
    pool.flush()
    first.close()
    second = EdgeStore.open(path, OWNER)
    (found,) = DurableCachePool(second, SPEC, 9.0)
    assert (found.receiver, found.known_at_block, found.known_at) == (3, 5, 9.0)
    assert found.gradient.header == pooled.gradient.header
    assert found.gradient.envelope == pooled.gradient.envelope
    assert found.gradient.vector.tobytes() == pooled.gradient.vector.tobytes()
    second.close()


def test_a_removed_local_gradient_stays_away(path: Path, store: EdgeStore) -> None:
    pool = DurableCachePool(store, SPEC, 0.0)
    pool.add(item())
    pool.flush()
    pool.remove(item().gradient.digest)
    pool.flush()
    store.close()
    assert reopened(path)[0] == []


def test_the_order_of_arrival_outlives_a_restart(path: Path, store: EdgeStore) -> None:
    pool = DurableCachePool(store, SPEC, 0.0)
    items = [item(client, sequence) for sequence in (3, 1, 2) for client in (2, 0)]
    for added in items:
        pool.add(added)
    pool.flush()
    store.close()
    assert reopened(path)[0] == [added.gradient.digest for added in items]


def test_another_signature_takes_the_place_of_the_first(path: Path, store: EdgeStore) -> None:
    pool = DurableCachePool(store, SPEC, 0.0)
    first, resigned = item(), item()
    assert first.gradient.signed != resigned.gradient.signed
    for added in (first, item(1), resigned):
        pool.add(added)
    pool.flush()
    store.close()
    digests, pool = reopened(path)
    assert digests == [first.gradient.digest, item(1).gradient.digest]
    found = pool.get(first.gradient.digest)
    assert found is not None
    assert found.gradient.signed == resigned.gradient.signed


# ---------------------------------------------------------------- the same as a pool in memory


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "remove", "flush"]), st.integers(0, 1), st.integers(1, 2), st.integers(0, 1)),
        max_size=30,
    )
)
def test_it_does_what_a_pool_in_memory_does(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int, int]]
) -> None:
    path = tmp_path_factory.mktemp("pool") / "edge.sqlite"
    store = EdgeStore.open(path, OWNER)
    durable, memory = DurableCachePool(store, SPEC, 0.0, vector_bytes=2 * 4 * SPEC.size), MemoryCachePool()
    pools: list[CachePool] = [durable, memory]
    for step, client, sequence, variant in steps:
        subject = ITEMS[client, sequence, variant]
        for pool in pools:
            match step:
                case "add":
                    pool.add(subject)
                case "remove":
                    pool.remove(subject.gradient.digest)
                case "flush":
                    pool.flush()
        assert contents(durable) == contents(memory)
        assert (durable.size, len(durable)) == (memory.size, len(memory))
        account = subject.gradient.header.client
        for known in (durable.of_client(account), durable.of_sequence(account, sequence)):
            assert all(durable.get(found.gradient.digest) is found for found in known)
        assert digests(durable.of_client(account)) == digests(memory.of_client(account))
        assert digests(durable.of_sequence(account, sequence)) == digests(memory.of_sequence(account, sequence))
    store.close()
    assert reopened(path)[0] == [pooled.gradient.digest for pooled in memory]


ITEMS = {
    (client, sequence, variant): item(client, sequence, variant)
    for client in (0, 1)
    for sequence in (1, 2)
    for variant in (0, 1)
}


def contents(pool: CachePool) -> list[tuple[bytes, bytes, bytes]]:
    return [(found.gradient.digest, found.gradient.envelope, found.gradient.vector.tobytes()) for found in pool]


def digests(items: list[PooledGradient]) -> list[bytes]:
    return [found.gradient.digest for found in items]


# ---------------------------------------------------------------- a process that dies

WRITER = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
from bflmec.edge.pool import DurableCachePool
from bflmec.edge.store import EdgeStore
from pool_items import OWNER, item
from protocol_world import SPEC
pool = DurableCachePool(EdgeStore.open(Path(sys.argv[1]), OWNER), SPEC, 0.0)
start = len(pool)
for sequence in range(start + 1, 10**6):
    pool.add(item(0, sequence))
    if sequence % 3 == 0:
        pool.flush()
        print(sequence, flush=True)
"""


def test_kill_at_any_moment_loses_nothing_that_was_flushed(path: Path) -> None:
    script = WRITER.format(paths=[str(Path(__file__).parent), str(Path(__file__).parents[1])])
    promised = 0
    for lines in (1, 4, 9):
        writer = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for _ in range(lines):
            promised = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        promised = max([promised, *(int(line) for line in writer.stdout.read().split())])
        writer.wait()
        writer.stdout.close()
        found, pool = reopened(path)
        assert len(found) >= promised
        assert [pooled.gradient.header.sequence for pooled in pool] == list(range(1, len(found) + 1))


# ---------------------------------------------------------------- a disk that is full


def limit_pages(store: EdgeStore, pages: int) -> None:
    """SQLite then says that the disk is full, along the very path of a full disk."""
    store._connection.execute(f"PRAGMA max_page_count = {pages}")


def fill_up(pool: DurableCachePool, accepted: list[int]) -> None:
    for sequence in range(1, 60):
        pool.add(item(0, sequence))
        accepted.append(sequence)
        with suppress(EdgeStoreError):
            pool.flush()


def test_on_a_full_disk_nothing_is_lost_and_nothing_more_is_taken(path: Path, store: EdgeStore) -> None:
    pool = DurableCachePool(store, SPEC, 0.0)
    limit_pages(store, 20)
    accepted: list[int] = []
    with pytest.raises(EdgeStoreError, match=r"full.*nothing is lost"):
        fill_up(pool, accepted)
    assert 1 < len(accepted) < 59
    assert len(pool) == len(accepted)
    with pytest.raises(EdgeStoreError, match="full"):
        pool.flush()
    limit_pages(store, 10**6)
    pool.add(item(1))
    pool.flush()
    store.close()
    digests, pool = reopened(path)
    assert [pooled.gradient.header.sequence for pooled in pool] == [*accepted, 1]
    assert len(digests) == len(accepted) + 1
