"""`bflmec storage`: blobs go in and out of folders, CAR files and daemons, and mistakes are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bflmec.cli.main import app
from bflmec.errors import StorageError, StorageUnavailableError
from bflmec.storage import BlobStore

BLOB = os.urandom(3 << 20)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.write_bytes(BLOB)
    return path


def storage(*arguments: str | Path) -> str:
    """What a `bflmec storage` command prints. Raises what ended it."""
    result = CliRunner().invoke(app, ["storage", *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_a_file_goes_in_is_pinned_and_comes_out(tmp_path: Path, file: Path) -> None:
    store = tmp_path / "store"
    cid = storage("put", file, "--store", store).split()[0]
    assert storage("list", "--store", store).split() == [cid]
    assert "3,145,728 bytes" in storage("get", cid, "--store", store, "--out", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BLOB


def test_blobs_travel_in_a_car_file(tmp_path: Path, file: Path) -> None:
    cid = storage("put", file, "--store", tmp_path / "a").split()[0]
    assert "1 blobs in 4 blocks" in storage("export", cid, "--store", tmp_path / "a", "--out", tmp_path / "a.car")
    assert storage("import", tmp_path / "a.car", "--store", tmp_path / "b").split() == [cid]
    assert storage("list", "--store", tmp_path / "b").split() == [cid]


def test_garbage_is_what_is_not_pinned(tmp_path: Path, file: Path) -> None:
    store = tmp_path / "store"
    cid = storage("put", file, "--store", store).split()[0]
    assert storage("gc", "--store", store) == "removed 0 blocks, 0 bytes\n"
    storage("unpin", cid, "--store", store)
    storage("pin", cid, "--store", store)
    storage("unpin", cid, "--store", store)
    assert storage("gc", "--store", store).startswith("removed 4 blocks, 3,145,")
    with pytest.raises(StorageError, match="put it first"):
        storage("pin", cid, "--store", store)


@pytest.mark.parametrize("command", [["list"], ["gc"], ["pin", "x"]], ids=lambda command: command[0])
def test_a_folder_that_is_no_storage_is_told_and_not_made_one(tmp_path: Path, command: list[str]) -> None:
    with pytest.raises(StorageError, match="there is no storage in"):
        storage(*command, "--store", tmp_path / "typo")
    assert not (tmp_path / "typo").exists()


def test_a_daemon_that_is_not_there_is_told() -> None:
    with pytest.raises(StorageUnavailableError, match="start it"):
        storage("list", "--store", "http://127.0.0.1:1")


def test_a_daemon_is_told_to_import_by_itself(tmp_path: Path, file: Path) -> None:
    with pytest.raises(StorageError, match="ipfs dag import"):
        storage("import", file, "--store", "http://127.0.0.1:1")


def test_a_malformed_content_id_is_refused(tmp_path: Path) -> None:
    BlobStore(tmp_path)
    with pytest.raises(StorageError, match="not a CIDv1"):
        storage("get", "Qm123", "--store", tmp_path, "--out", tmp_path / "out")


def test_a_failed_export_leaves_no_file(tmp_path: Path, file: Path) -> None:
    cid = storage("put", file, "--store", tmp_path / "a").split()[0]
    BlobStore(tmp_path / "b")
    with pytest.raises(StorageError, match="is not in"):
        storage("export", cid, "--store", tmp_path / "b", "--out", tmp_path / "a.car")
    assert not [path for path in tmp_path.iterdir() if "car" in path.name]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    for command in ("put", "import"):
        with pytest.raises(StorageError, match="can't read"):
            storage(command, tmp_path / "none", "--store", tmp_path / "store")
