"""Keeps processes running: starts them, waits until they are ready, starts them again when they end."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bflmec.devnet.plan import DevnetDirectory
from bflmec.devnet.processes import ProcessRecord
from bflmec.errors import DevnetError

_log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.5
LAST_PAUSE: Final = 15.0
"""Seconds before a process that ended is started again: doubled from the first to the last."""
STEADY_SECONDS: Final = 20.0
"""Who ran that long begins at the first pause again."""
END_SECONDS: Final = 40.0
_TAIL: Final = 4096


@dataclass(frozen=True)
class Program:
    """What a member of the devnet runs. `ready` is what it prints when it is, if it says so."""

    name: str
    command: tuple[str, ...]
    ready: str | None = None


class Member:
    """A program, its process and its log."""

    def __init__(self, directory: DevnetDirectory, program: Program) -> None:
        self.program = program
        self.log = directory.log(program.name)
        self._pid_file = directory.pid_file(program.name)
        self._popen: subprocess.Popen[bytes] | None = None
        self._record: ProcessRecord | None = None
        self._offset = 0
        self._begun = 0.0
        self._pause = FIRST_PAUSE
        self._due = 0.0

    def start(self) -> None:
        """Starts it in a process group of its own, which a terminal's Ctrl-C does not reach."""
        last = ProcessRecord.load(self._pid_file)
        try:
            with self.log.open("ab") as log:
                self._offset = log.tell()
                self._popen = subprocess.Popen(
                    self.program.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                    start_new_session=True,
                )
        except OSError as error:
            raise DevnetError(f"{self.program.name} can't be started: {error}") from error
        self._begun = time.monotonic()
        self._record = ProcessRecord.of(self._popen.pid, last.starts + 1 if last else 1)
        self._record.save(self._pid_file)

    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def is_ready(self) -> bool:
        """Whether it has said so since it was started."""
        return self.program.ready is None or re.search(self.program.ready.encode(), self._said()) is not None

    def wait_ready(self, seconds: float) -> None:
        """Raises DevnetError with the end of the log if it ends before, or takes longer."""
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if not self.is_running():
                raise DevnetError(f"{self.program.name} has ended:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise DevnetError(f"{self.program.name} is not ready after {seconds:g} s:\n{self._tail()}")
            time.sleep(0.05)

    def look_after(self) -> None:
        """Starts it again if it has ended, after a pause that grows each time."""
        if self.is_running():
            if time.monotonic() - self._begun > STEADY_SECONDS:
                self._pause = FIRST_PAUSE
            return
        now = time.monotonic()
        if self._popen is not None:
            _log.warning("%s has ended with %s; again in %g s", self.program.name, self._popen.returncode, self._pause)
            self._popen, self._due = None, now + self._pause
            self._pause = min(2 * self._pause, LAST_PAUSE)
        elif now >= self._due:
            self.start()

    def ask_to_end(self) -> None:
        if self._record is not None:
            self._record.ask_to_end()

    def end(self, seconds: float = END_SECONDS) -> None:
        """Ends it in order, and its log says if that was not possible."""
        if self._popen is None or self._record is None:
            return
        if not self._record.end(seconds):
            _log.warning("%s did not end within %g s and was killed", self.program.name, seconds)
        self._popen.wait()
        self._popen = None

    def _said(self) -> bytes:
        with self.log.open("rb") as log:
            log.seek(self._offset)
            return log.read(1 << 20)

    def _tail(self) -> str:
        return self._said()[-_TAIL:].decode(errors="replace")


class Supervisor:
    """All members of a devnet, in the order in which they start; they end in the opposite one."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = list(members)

    def start(self, members: Sequence[Member], seconds: float) -> None:
        """Starts them side by side and waits until all are ready."""
        for member in members:
            member.start()
        for member in members:
            member.wait_ready(seconds)

    def look_after(self) -> None:
        for member in self.members:
            member.look_after()

    def end(self, members: Sequence[Member]) -> None:
        """Ends them side by side."""
        for member in members:
            member.ask_to_end()
        for member in members:
            member.end()
