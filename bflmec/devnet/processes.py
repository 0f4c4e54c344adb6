"""Processes that are known again after a restart of whoever started them, and never mistaken for a stranger's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import msgspec

from bflmec.errors import DevnetError
from bflmec.files import write_atomically

_STATE, _STARTED = 0, 19
"""Fields of /proc/PID/stat, counted from the one after the command's name (proc(5): 3 and 22)."""
_PAUSE = 0.05


class ProcessRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A process that leads its own group. `birth` tells it from a later one with its number; `starts` counts how often
    its name was started."""

    pid: int
    birth: str
    starts: int

    @classmethod
    def of(cls, pid: int, starts: int) -> ProcessRecord:
        return cls(pid, _birth(pid) or "", starts)

    @classmethod
    def load(cls, file: Path) -> ProcessRecord | None:
        """None if there is no such file. Raises DevnetError if it is damaged."""
        try:
            return msgspec.json.decode(file.read_bytes(), type=cls)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise DevnetError(f"{file} can't be read: {error}") from error

    def save(self, file: Path) -> None:
        write_atomically(file, msgspec.json.encode(self))

    def is_alive(self) -> bool:
        return bool(self.birth) and _birth(self.pid) == self.birth

    def kill(self) -> None:
        """kill -9 of it and of what it has started; nothing if it has ended."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def ask_to_end(self) -> None:
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def end(self, seconds: float) -> bool:
        """Asks it to end and waits; kills it if it does not. False if it had to be killed."""
        self.ask_to_end()
        if self.wait(seconds):
            return True
        self.kill()
        self.wait(seconds)
        return False

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within so many seconds."""
        deadline = time.monotonic() + seconds
        while self.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        return True

    def memory(self) -> int:
        """Resident bytes, 0 if unknown."""
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        except OSError:
            return 0
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def _birth(pid: int) -> str | None:
    """When a living process was started, as text that no other process of this number has; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _birth_by_command(pid)
    return None if fields[_STATE] in "ZX" else f"{boot} {fields[_STARTED]}"


def _birth_by_command(pid: int) -> str | None:
    """Without /proc."""
    listed = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True)
    state, _, started = listed.stdout.strip().partition(" ")
    return None if not state or "Z" in state else started.strip()
