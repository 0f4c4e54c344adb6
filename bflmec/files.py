"""Files that appear complete and durable, or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

TEMPORARY_PREFIX = ".tmp-"


def write_atomically(path: Path, data: bytes) -> None:
    """Make `path` a file of that content, readable and writable by its owner only. Durable on return; after a crash
    or an OSError, `path` is what it was before."""
    with _temporary(path.parent, data) as name:
        os.rename(name, path)
    sync_folder(path.parent)


def create_atomically(path: Path, data: bytes) -> None:
    """`write_atomically` for a file that must not exist yet. Raises FileExistsError if it does."""
    with _temporary(path.parent, data) as name:
        os.link(name, path)
    sync_folder(path.parent)


@contextlib.contextmanager
def _temporary(folder: Path, data: bytes) -> Iterator[str]:
    descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=folder)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """os.write until everything is written: one call may take only a part."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: renames, new and removed files."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
