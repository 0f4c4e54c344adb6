"""A disk that is full during a run: one line, and the run goes on once there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from endtoend_tools import TINY, FileLimit, result, resume, run_command, start, verify


@pytest.mark.parametrize("size", [3_000, 20_000, 100_000])
def test_a_run_that_may_write_no_more_ends_with_one_line_and_goes_on_when_it_may(
    size: int, finished: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    stopped = start(tmp_path / "log", run_command(path, TINY), FileLimit(size)).wait()
    assert stopped.code in (40, 50, 51, 60), stopped.err
    assert stopped.error
    if not path.exists():
        return
    outcome = resume(path)
    assert outcome.code == 0, outcome.err
    assert result(path) == result(finished)
    assert verify(path).code == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    if os.geteuid() or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can make a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("room", [0, 150_000, 400_000])
def test_a_run_on_a_full_disk_ends_with_one_line_and_goes_on_when_there_is_room(
    room: int, small_disk: Path, finished: Path, tmp_path: Path
) -> None:
    path, filler = small_disk / "run", small_disk / "filler"
    disk = os.statvfs(small_disk)
    filler.write_bytes(bytes(disk.f_bavail * disk.f_frsize - room))
    stopped = start(tmp_path / "log", run_command(path, TINY)).wait()
    assert stopped.code in (40, 50, 51, 60), stopped.err
    assert stopped.error
    filler.unlink()
    if not path.exists():
        return
    outcome = resume(path)
    assert outcome.code == 0, outcome.err
    assert result(path) == result(finished)
    assert verify(path).code == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_finds_no_room_ends_with_one_line(finished: Path) -> None:
    command = [sys.executable, "-c", "from bflmec.cli import main; main()", "inspect", str(finished), "--json"]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 40
    assert ended.stderr == "bflmec: can't write the output: No space left on device; free some space and try again\n"
