"""A blob that is not here is fetched from the first who really has it, and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from bflmec.errors import StorageError
from bflmec.storage import BlobStore, Cid, FallbackStore, MemoryStore

MIB = 1 << 20
BLOB = bytes(2 * MIB) + b"global gradient"


class Source:
    """A getter that counts its calls."""

    def __init__(self, blob: bytes | OSError) -> None:
        self.blob = blob
        self.calls = 0

    def __call__(self, cid: Cid, limit: int) -> bytes:
        self.calls += 1
        if isinstance(self.blob, OSError):
            raise self.blob
        return self.blob


def cid_of(blob: bytes) -> Cid:
    return MemoryStore().put(blob)


def test_what_is_here_is_fetched_from_nobody() -> None:
    local, source = MemoryStore(), Source(BLOB)
    cid = local.put(BLOB)
    assert FallbackStore(local, [source]).get(cid, len(BLOB)) == BLOB
    assert source.calls == 0


def test_what_was_fetched_once_is_here() -> None:
    local, source = MemoryStore(), Source(BLOB)
    store = FallbackStore(local, [source])
    assert [store.get(cid_of(BLOB), len(BLOB)) for _ in range(2)] == [BLOB, BLOB]
    assert source.calls == 1
    assert local.has(cid_of(BLOB))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(b"another blob", id="another blob"),
        pytest.param(BLOB[:-1], id="cut short"),
        pytest.param(BLOB + b"x", id="too long"),
        pytest.param(StorageError("not here"), id="storage error"),
        pytest.param(ConnectionRefusedError("down"), id="nobody there"),
        pytest.param(TimeoutError(), id="silence"),
    ],
)
def test_after_one_who_fails_or_lies_the_next_is_asked(wrong: bytes | OSError) -> None:
    local, right, spare = MemoryStore(), Source(BLOB), Source(BLOB)
    assert FallbackStore(local, [Source(wrong), right, spare]).get(cid_of(BLOB), len(BLOB)) == BLOB
    assert (right.calls, spare.calls) == (1, 0)
    assert local.gc().blocks == 3  # two leaves of zeros are one; nothing of the wrong blob was kept


def test_if_nobody_has_it_the_error_tells_what_each_one_said() -> None:
    store = FallbackStore(MemoryStore(), [Source(StorageError("gateway 1 is empty")), Source(b"lie")])
    with pytest.raises(StorageError, match=r"not in the local storage; gateway 1 is empty; .* another blob"):
        store.get(cid_of(BLOB), len(BLOB))


def test_a_blob_damaged_on_disk_is_healed(tmp_path: Path) -> None:
    local = BlobStore(tmp_path)
    cid = local.put(BLOB)
    for path in tmp_path.glob("blocks/*/*.data"):
        path.write_bytes(b"rot")
    assert FallbackStore(local, [Source(BLOB)]).get(cid, len(BLOB)) == BLOB
    assert local.get(cid, len(BLOB)) == BLOB


def test_the_get_of_another_storage_is_a_getter() -> None:
    elsewhere = MemoryStore()
    cid = elsewhere.put(BLOB)
    assert FallbackStore(MemoryStore(), [elsewhere.get]).get(cid, len(BLOB)) == BLOB


def test_all_else_concerns_the_local_storage() -> None:
    local = MemoryStore()
    store = FallbackStore(local, [Source(BLOB)])
    assert not store.has(cid_of(BLOB))
    cid = store.put(b"mine")
    store.pin(cid)
    assert store.pins() == local.pins() == [cid]
    store.unpin(cid)
    assert store.gc().blocks == 1
