"""Every storage keeps its promises; the embedded one keeps them through damage, full disks and killed processes."""

from __future__ import annotations

import base64
import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bflmec.errors import ConfigError, StorageError
from bflmec.storage import DAG_PB, RAW, BlobStorage, BlobStore, Cid, Collected, MemoryStore, storages

MIB = 1 << 20
LIMIT = 8 * MIB
BIG = os.urandom(2 * MIB + 17)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "store")


def files(folder: Path) -> list[Path]:
    return sorted((folder / "store" / "blocks").glob("*/*.data"))


@pytest.mark.parametrize("size", [0, 1, MIB, MIB + 1, 3 * MIB])
def test_a_blob_comes_back(storage: BlobStorage, size: int) -> None:
    data = BIG[:1] * size
    assert storage.get(storage.put(data), LIMIT) == data


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_kind_of_buffer_has_the_same_id(storage: BlobStorage, kind: Callable[[bytes], bytes]) -> None:
    assert storage.put(kind(BIG)) == storage.put(BIG)


def test_the_ledgers_digest_and_codec_rebuild_the_id(storage: BlobStorage) -> None:
    cid = storage.put(BIG)
    assert storage.get(Cid(cid.codec, cid.digest), LIMIT) == BIG


def test_a_blob_over_the_limit_is_refused(storage: BlobStorage) -> None:
    for data in (BIG, b"small"):
        cid = storage.put(data)
        with pytest.raises(StorageError, match="at most"):
            storage.get(cid, len(data) - 1)


def test_what_was_never_put_is_missing(storage: BlobStorage) -> None:
    cid = Cid.of(RAW, b"never")
    assert not storage.has(cid)
    with pytest.raises(StorageError, match="is not in"):
        storage.get(cid, LIMIT)
    with pytest.raises(StorageError, match="put it first"):
        storage.pin(cid)


def test_a_blob_without_its_last_block_is_not_there(storage: BlobStorage) -> None:
    shared = BIG[: 2 * MIB]
    kept, incomplete = storage.put(shared), storage.put(shared + b"more")
    storage.pin(kept)
    storage.gc()
    assert not storage.has(incomplete)
    with pytest.raises(StorageError, match="put it first"):
        storage.pin(incomplete)
    assert storage.put(shared + b"more") == incomplete
    assert storage.has(incomplete)


def test_an_id_of_another_codec_is_not_the_blob(storage: BlobStorage) -> None:
    cid = storage.put(b"no node")
    wrong = Cid(DAG_PB, cid.digest)
    assert not storage.has(wrong)
    with pytest.raises(StorageError, match="canonical"):
        storage.get(wrong, LIMIT)


def test_garbage_collection_keeps_what_is_pinned_and_nothing_else(storage: BlobStorage) -> None:
    shared = BIG[: 2 * MIB]
    kept, dropped = storage.put(shared + b"kept"), storage.put(shared + b"dropped")
    storage.pin(kept)
    collected = storage.gc()
    assert collected.blocks == 2
    assert storage.get(kept, LIMIT) == shared + b"kept"
    assert not storage.has(dropped)
    assert storage.gc() == Collected(0, 0)


def test_unpinned_blobs_are_collected(storage: BlobStorage) -> None:
    cid = storage.put(b"blob")
    storage.pin(cid)
    storage.pin(cid)
    assert storage.pins() == [cid]
    storage.unpin(cid)
    storage.unpin(cid)
    assert storage.pins() == []
    assert storage.gc().blocks == 1


def test_threads_may_share_a_storage(storage: BlobStorage) -> None:
    def round_trip(number: int) -> bool:
        blob = BIG + bytes([number])
        cid = storage.put(blob)
        storage.pin(cid)
        return storage.get(cid, LIMIT) == blob

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(round_trip, range(8)))
    assert len(storage.pins()) == 8


def test_a_collection_tells_how_many_bytes_it_freed(store: BlobStore) -> None:
    store.put(b"blob")
    assert store.gc() == Collected(1, 4)


def test_an_unknown_storage_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="embedded"):
        storages.get("floppy")


class Collecting(RuleBasedStateMachine):
    """The memory storage against a set: pins and garbage collections in any order."""

    @initialize()
    def start(self) -> None:
        self.storage = MemoryStore()
        self.stored: dict[Cid, bytes] = {}
        self.pinned: set[Cid] = set()

    @rule(data=st.sampled_from([b"", b"a", b"bc", b"def"]))
    def put(self, data: bytes) -> None:
        self.stored[self.storage.put(data)] = data

    @rule(data=st.data())
    def pin(self, data: st.DataObject) -> None:
        if self.stored:
            cid = data.draw(st.sampled_from(sorted(self.stored)))
            self.storage.pin(cid)
            self.pinned.add(cid)

    @rule(data=st.data())
    def unpin(self, data: st.DataObject) -> None:
        if self.pinned:
            cid = data.draw(st.sampled_from(sorted(self.pinned)))
            self.storage.unpin(cid)
            self.pinned.remove(cid)

    @rule()
    def gc(self) -> None:
        assert self.storage.gc().blocks == len(self.stored.keys() - self.pinned)
        self.stored = {cid: data for cid, data in self.stored.items() if cid in self.pinned}

    @invariant()
    def everything_is_there(self) -> None:
        assert self.storage.pins() == sorted(self.pinned)
        for cid, data in self.stored.items():
            assert self.storage.get(cid, LIMIT) == data


TestCollecting = Collecting.TestCase


def test_blocks_lie_where_flatfs_looks_for_them(store: BlobStore, tmp_path: Path) -> None:
    cid = store.put(b"hello world")
    key = base64.b32encode(b"\x12\x20" + cid.digest).decode().rstrip("=")
    assert (tmp_path / "store/blocks" / key[-3:-1] / f"{key}.data").read_bytes() == b"hello world"
    assert (tmp_path / "store/blocks/SHARDING").read_text() == "/repo/flatfs/shard/v1/next-to-last/2\n"


def test_a_store_reopens(store: BlobStore, tmp_path: Path) -> None:
    cid = store.put(BIG)
    store.pin(cid)
    again = BlobStore(tmp_path / "store")
    assert again.pins() == [cid]
    assert again.get(cid, LIMIT) == BIG


def test_putting_a_blob_again_writes_nothing(store: BlobStore, tmp_path: Path) -> None:
    store.put(BIG)
    before = [path.stat().st_mtime_ns for path in files(tmp_path)]
    store.put(BIG)
    assert [path.stat().st_mtime_ns for path in files(tmp_path)] == before


def test_a_blob_of_equal_chunks_is_stored_once(store: BlobStore, tmp_path: Path) -> None:
    store.put(bytes(8 * MIB))
    assert len(files(tmp_path)) == 2


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damaged_byte_is_detected_and_a_put_heals_it(store: BlobStore, tmp_path: Path, data: st.DataObject) -> None:
    cid = store.put(BIG)
    path = data.draw(st.sampled_from(files(tmp_path)))
    block = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(block) - 1))
    block[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(block)
    with pytest.raises(StorageError, match="damaged"):
        store.get(cid, LIMIT)
    assert store.put(BIG) == cid
    assert store.get(cid, LIMIT) == BIG


def test_a_damaged_block_is_set_aside_as_evidence(store: BlobStore, tmp_path: Path) -> None:
    cid = store.put(b"hello world")
    files(tmp_path)[0].write_bytes(b"hello w0rld")
    with pytest.raises(StorageError, match="set aside"):
        store.get(cid, LIMIT)
    (aside,) = tmp_path.rglob("damaged-*")
    assert aside.read_bytes() == b"hello w0rld"
    assert not store.has(cid)


@pytest.mark.parametrize("size", [0, 5, 4 * MIB])
def test_a_block_of_another_length_is_detected(store: BlobStore, tmp_path: Path, size: int) -> None:
    cid = store.put(b"hello world")
    files(tmp_path)[0].write_bytes(bytes(size))
    with pytest.raises(StorageError, match="damaged"):
        store.get(cid, LIMIT)


def test_a_truncated_block_is_healed_by_a_put_alone(store: BlobStore, tmp_path: Path) -> None:
    cid = store.put(BIG)
    for path in files(tmp_path):
        path.write_bytes(b"")
    store.put(BIG)
    assert store.get(cid, LIMIT) == BIG


def test_garbage_collection_removes_nothing_while_a_pinned_blob_is_damaged(store: BlobStore, tmp_path: Path) -> None:
    cid = store.put(BIG)
    store.pin(cid)
    store.put(b"garbage")
    root = next(path for path in files(tmp_path) if path.stat().st_size < MIB and path.read_bytes()[:1] == b"\x12")
    root.write_bytes(b"\x12 damaged")
    with pytest.raises(StorageError, match="damaged"):
        store.gc()
    assert len(files(tmp_path)) == 4


@pytest.fixture
def file_size_limit() -> Iterator[Callable[[int], None]]:
    """Writes beyond the limit fail as on a full disk, with the error EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_leaves_the_store_usable(
    store: BlobStore, tmp_path: Path, file_size_limit: Callable[[int], None]
) -> None:
    kept = store.put(b"kept")
    before = sorted((tmp_path / "store").rglob("*"))
    file_size_limit(MIB // 2)
    with pytest.raises(StorageError, match="can't store"):
        store.put(BIG)
    assert sorted((tmp_path / "store").rglob("*")) == before
    assert store.get(kept, LIMIT) == b"kept"
    file_size_limit(LIMIT)
    assert store.get(store.put(BIG), LIMIT) == BIG


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_full_disk_says_what_to_do(
    store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(StorageError, match="collect garbage"):
            store.put(BIG)
    assert list((tmp_path / "store/blocks/.temp").iterdir()) == []
    assert store.get(store.put(BIG), LIMIT) == BIG


def test_a_killed_writer_leaves_only_whole_blocks(tmp_path: Path) -> None:
    program = (
        "import os, sys; from bflmec.storage import BlobStore; store = BlobStore(sys.argv[1])\n"
        "print(flush=True)\n"
        "while True: store.put(os.urandom(3 << 20))"
    )
    folder = tmp_path / "store"
    for round_ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.05 * (round_ + 1))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    for path in files(tmp_path):
        assert Cid.of(RAW, path.read_bytes()).multihash == base64.b32decode(path.stem + "=")


def test_garbage_collection_sweeps_what_killed_writers_left(store: BlobStore, tmp_path: Path) -> None:
    old, fresh = (tmp_path / "store/blocks/.temp" / name for name in ("put-old", "put-fresh"))
    for path in (old, fresh):
        path.write_bytes(b"half a blo")
    os.utime(old, (0, 0))
    store.gc()
    assert not old.exists()
    assert fresh.exists()


def test_foreign_files_are_left_alone(store: BlobStore, tmp_path: Path) -> None:
    foreign = [tmp_path / "store/blocks" / name for name in ("AA/readme.data", "AA/BBBB.data", "notes.txt")]
    foreign[0].parent.mkdir(exist_ok=True)
    for path in foreign:
        path.write_text("mine")
    assert store.gc() == Collected(0, 0)
    assert all(path.exists() for path in foreign)


def test_a_folder_with_another_sharding_is_refused(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "store/blocks/SHARDING").write_text("/repo/flatfs/shard/v1/prefix/3\n")
    with pytest.raises(StorageError, match="prefix/3"):
        BlobStore(tmp_path / "store")


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't open"):
        BlobStore(tmp_path / "file")
