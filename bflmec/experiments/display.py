"""Progress of experiments: a bar on a terminal, plain lines elsewhere, on stderr."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from bflmec.experiments.cells import Cell
from bflmec.experiments.runner import Watcher


class Display(Watcher, AbstractContextManager["Display"], Protocol):
    """A watcher that is opened and closed."""


class PlainDisplay:
    """A line when an experiment begins, and one for each tenth of it."""

    def __init__(self) -> None:
        self._name = ""
        self._count = self._missing = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def begin(self, experiment: str, stored: int, missing: int) -> None:
        self._name, self._count, self._missing = experiment, 0, missing
        print(f"{experiment}: {missing} cells to compute, {stored} stored", file=sys.stderr, flush=True)

    def done(self, cell: Cell, cpu_seconds: float) -> None:
        self._count += 1
        if self._count % max(self._missing // 10, 1) == 0 or self._count == self._missing:
            print(f"{self._name}: {self._count}/{self._missing}", file=sys.stderr, flush=True)


class LiveDisplay:
    """A bar for each experiment, with the cell that was computed last."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[cell]}", markup=False),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=None, cell="", visible=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, experiment: str, stored: int, missing: int) -> None:
        self._task = self._progress.add_task(experiment, total=stored + missing, completed=stored, cell="")

    def done(self, cell: Cell, cpu_seconds: float) -> None:
        self._progress.update(self._task, advance=1, cell=f"{cell.title} ({cpu_seconds:.1f} s)")


def display() -> Display:
    """The one that fits stderr."""
    return LiveDisplay() if sys.stderr.isatty() else PlainDisplay()
