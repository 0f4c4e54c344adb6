"""The layout of a run directory, and who may write to it."""

from __future__ import annotations

import fcntl
import json
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from bflmec import __version__
from bflmec.configuration import Config, as_toml, load
from bflmec.errors import RunDirectoryError
from bflmec.files import TEMPORARY_PREFIX, write_atomically

_LIBRARIES = (
    "numpy",
    "cryptography",
    "dilithium-py",
    "py-evm",
    "web3",
    "eth-account",
    "simpy",
    "scikit-learn",
    "torch",
)


LOCK = ".lock"


class RunDirectory:
    """A directory with everything about one run, and the claim to write to it, which ends with a `with` block:

    config.toml      the whole configuration
    versions.json    of the software that made it
    deployment.json  addresses and parameters of the contracts
    chain.sqlite     the embedded chain
    blobs/           global gradients and block bodies
    metrics.jsonl    a line a block, then a summary
    trace.jsonl      the world that the run saw
    *.png            accuracy, rewards, timing
    report.html      the same for reading
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.toml"
        self.versions_file = path / "versions.json"
        self.deployment_file = path / "deployment.json"
        self.chain_file = path / "chain.sqlite"
        self.blobs = path / "blobs"
        self.metrics_file = path / "metrics.jsonl"
        self.trace_file = path / "trace.jsonl"
        self.report_file = path / "report.html"
        self._lock: IO[bytes] | None = None

    @classmethod
    def create(cls, path: Path, config: Config) -> RunDirectory:
        """A new directory for a run of `config`, locked. Raises RunDirectoryError if there is something already."""
        directory = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if directory._additions():
                raise _not_empty(directory)
            directory.lock()
            # The configuration comes last: whatever has one is a whole run directory.
            write_atomically(directory.versions_file, json.dumps(versions(), indent=2).encode() + b"\n")
            write_atomically(directory.config_file, as_toml(config).encode())
        except RunDirectoryError:
            directory.unlock()
            raise
        except OSError as error:
            directory.discard_if_unused()
            directory.unlock()
            raise RunDirectoryError(f"can't make the run directory {path}: {error.strerror}") from error
        return directory

    def _additions(self) -> set[Path]:
        """What is in the directory beside all that `create` leaves when it is killed before it is done."""
        return {
            file
            for file in self.path.iterdir()
            if file not in (self.versions_file, self.path / LOCK) and not file.name.startswith(TEMPORARY_PREFIX)
        }

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """An existing run directory, for reading. Raises RunDirectoryError if it is none."""
        directory = cls(path)
        for file in (directory.config_file, directory.versions_file):
            if not file.is_file():
                raise RunDirectoryError(
                    f"{path} is no run directory: it has no {file.name}; `bflmec run --out` makes one"
                )
        return directory

    def lock(self) -> None:
        """Claims the directory for writing, until the process ends. Raises RunDirectoryError if another has it."""
        try:
            lock = (self.path / LOCK).open("ab")
        except OSError as error:
            raise RunDirectoryError(f"can't write to {self.path}: {error.strerror}; make it writable") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise RunDirectoryError(f"{self.path} is in use by another process; wait for it or stop it") from error
        self._lock = lock

    def unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unlock()

    def discard_if_unused(self) -> None:
        """Removes what `create` made, unless something has come to it since, so that the name is free again."""
        with suppress(OSError):
            if self._additions() <= {self.config_file}:
                for file in self.path.iterdir():
                    file.unlink()
                self.path.rmdir()

    def config(self) -> Config:
        """The configuration of the run. Raises ConfigError if the file is damaged."""
        return load(self.config_file)


def new_directory(parent: Path, name: str) -> Path:
    """An empty directory of that name or, where it is taken, of the next free one: name-2, name-3, and so on.

    Raises RunDirectoryError if none can be made.
    """
    for number in count(1):
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise RunDirectoryError(f"can't make the run directory {path}: {error.strerror}") from error
        return path
    raise AssertionError


def _not_empty(directory: RunDirectory) -> RunDirectoryError:
    path = directory.path
    if directory.config_file.is_file():
        return RunDirectoryError(f"{path} holds a run; go on with `bflmec run --resume {path}` or choose another --out")
    return RunDirectoryError(f"{path} is not empty, and no run; choose another --out")


def versions() -> dict[str, str]:
    """Versions of this software, of Python and of the libraries that results depend on."""
    found = {"bflmec": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
