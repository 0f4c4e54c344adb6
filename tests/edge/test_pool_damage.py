"""Files of a cache pool that are not ours, in use, or no longer whole."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_items import OWNER, item
from protocol_world import SPEC

from bflmec.edge.pool import DurableCachePool
from bflmec.edge.store import EdgeStore
from bflmec.errors import EdgeStoreError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edge.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[EdgeStore]:
    opened = EdgeStore.open(path, OWNER)
    yield opened
    opened.close()


def filled(path: Path) -> None:
    store = EdgeStore.open(path, OWNER)
    pool = DurableCachePool(store, SPEC, 0.0)
    for client in range(4):
        pool.add(item(client))
    store.close()


def alter(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(statement)


def read_all(path: Path) -> None:
    store = EdgeStore.open(path, OWNER)
    try:
        for pooled in DurableCachePool(store, SPEC, 0.0):
            assert pooled.gradient.vector.dtype == np.float32
    finally:
        store.close()


def test_only_the_owner_can_read_the_file(path: Path, store: EdgeStore) -> None:
    DurableCachePool(store, SPEC, 0.0).add(item())
    store.flush()
    assert all(os.stat(file).st_mode & 0o077 == 0 for file in path.parent.iterdir())


def test_a_file_is_open_once(path: Path, store: EdgeStore) -> None:
    with pytest.raises(EdgeStoreError, match="in use by another process"):
        EdgeStore.open(path, OWNER)


def test_the_file_of_another_edge_node_is_refused(path: Path) -> None:
    filled(path)
    with pytest.raises(EdgeStoreError, match="belongs to another edge node"):
        EdgeStore.open(path, b"\x01" * 32)


def test_another_database_is_refused(path: Path) -> None:
    alter(path, "CREATE TABLE something (number INTEGER)")
    with pytest.raises(EdgeStoreError, match="no file of an edge node"):
        EdgeStore.open(path, OWNER)


def test_no_database_at_all_is_refused(path: Path) -> None:
    path.write_bytes(b"something else altogether" * 100)
    with pytest.raises(EdgeStoreError, match="put a backup in its place"):
        EdgeStore.open(path, OWNER)


def test_an_impossible_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EdgeStoreError, match="can't be made"):
        EdgeStore.open(tmp_path / "missing" / "edge.sqlite", OWNER)


def test_a_later_format_is_refused(path: Path) -> None:
    filled(path)
    alter(path, "PRAGMA user_version = 2")
    with pytest.raises(EdgeStoreError, match="has format 2"):
        EdgeStore.open(path, OWNER)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE gradient SET blob = zeroblob(length(blob)) WHERE position = 2",
        "UPDATE gradient SET signed = zeroblob(4) WHERE position = 2",
        "UPDATE gradient SET digest = zeroblob(32) WHERE position = 2",
        "UPDATE gradient SET blob = x'' WHERE position = 2",
    ],
)
def test_a_damaged_row_is_named(path: Path, damage: str) -> None:
    filled(path)
    alter(path, damage)
    with pytest.raises(EdgeStoreError, match="is damaged"):
        read_all(path)


@settings(max_examples=40)
@given(st.data())
def test_a_damaged_file_is_refused_or_harmless(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("damaged") / "edge.sqlite"
    filled(path)
    content = bytearray(path.read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    content[start : start + 16] = data.draw(st.binary(min_size=16, max_size=16))
    path.write_bytes(content)
    try:
        read_all(path)
    except EdgeStoreError:
        return
