"""What a run shows while it goes on: a live display on a terminal, plain lines elsewhere, JSON lines for machines."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from bflmec.configuration.sections import TOKEN
from bflmec.runs.metrics import BlockMetrics, Summary, as_json


class Progress(AbstractContextManager["Progress"], Protocol):
    """Shown what happens, in this order: phases, then blocks, then the summary if the run ends by itself."""

    def phase(self, text: str) -> None: ...

    def block(self, line: BlockMetrics) -> None: ...

    def finished(self, summary: Summary) -> None: ...


class _Totals:
    """Running figures that all displays share."""

    def __init__(self, aggregations: int) -> None:
        self.aggregations = aggregations
        self.updates = 0
        self.blocks = 0
        self.local_gradients = 0
        self.paid = 0
        self.accuracy = 0.0
        self.client_accuracy = 0.0
        self.time = 0.0

    def add(self, line: BlockMetrics) -> None:
        self.blocks = line.number
        self.local_gradients += line.transactions
        self.time = line.time
        if line.update is not None:
            self.updates += 1
            self.accuracy = line.update.accuracy
            self.client_accuracy = line.update.client_accuracy
            self.paid += sum(map(int, line.update.rewards.values()))

    def text(self) -> str:
        return (
            f"accuracy {self.accuracy:.3f} (clients {self.client_accuracy:.3f}), blocks {self.blocks}, "
            f"local gradients {self.local_gradients}, rewards {self.paid / TOKEN:g}, virtual time {self.time:,.0f} s"
        )


class _Printed:
    """A display that is nothing but lines: phases on stderr."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def phase(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class PlainProgress(_Printed):
    """A line for each phase and for about every twentieth of the run, on stderr."""

    def __init__(self, aggregations: int) -> None:
        self._totals = _Totals(aggregations)
        self._every = max(aggregations // 20, 1)

    def block(self, line: BlockMetrics) -> None:
        totals = self._totals
        totals.add(line)
        if line.update is not None and (totals.updates % self._every == 0 or totals.updates == totals.aggregations):
            print(f"{totals.updates}/{totals.aggregations}  {totals.text()}", file=sys.stderr, flush=True)

    def finished(self, summary: Summary) -> None: ...


class JsonProgress(_Printed):
    """The metrics lines themselves, on stdout; phases on stderr."""

    def block(self, line: BlockMetrics) -> None:
        print(as_json(line), flush=True)

    def finished(self, summary: Summary) -> None:
        print(as_json(summary), flush=True)


class LiveProgress:
    """A bar with the figures below it, redrawn in place."""

    def __init__(self, aggregations: int) -> None:
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
        from rich.text import Text

        self._totals = _Totals(aggregations)
        self._bar = Bar(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._task = self._bar.add_task("global updates", total=aggregations, rate="", start=False)
        self._figures = Text()
        self._live = Live(Group(self._bar, self._figures), console=Console(stderr=True))
        self._began: float | None = None

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def phase(self, text: str) -> None:
        self._live.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def block(self, line: BlockMetrics) -> None:
        if self._began is None:
            self._began = time.monotonic()
            self._bar.start_task(self._task)
        self._totals.add(line)
        elapsed = max(time.monotonic() - self._began, 1e-9)
        rate = f"{self._totals.local_gradients / elapsed:.0f} local gradients/s"
        self._bar.update(self._task, completed=self._totals.updates, rate=rate)
        self._figures.plain = self._totals.text()

    def finished(self, summary: Summary) -> None: ...


def progress_for(aggregations: int, json: bool) -> Progress:
    """The display that fits: JSON if asked for, live on a terminal, else plain lines."""
    if json:
        return JsonProgress()
    return LiveProgress(aggregations) if sys.stderr.isatty() else PlainProgress(aggregations)
