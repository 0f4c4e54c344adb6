"""Experiments of a moment: the real ones, on a few cells of scikit-learn's digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bflmec.experiments.cells import Cell, Scope, Tables
from bflmec.experiments.experiment import Experiment, Section
from bflmec.experiments.session import perform

DIGITS = (
    "dataset=digits",
    "samples_per_client=70",
    "clients=20",
    "data_threshold=20",
    "aggregations=3",
)


class Watcher:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int, int]] = []
        self.computed: list[Cell] = []

    def begin(self, experiment: str, stored: int, missing: int) -> None:
        self.begun.append((experiment, stored, missing))

    def done(self, cell: Cell, cpu_seconds: float) -> None:
        self.computed.append(cell)


class Tiny:
    """An experiment with only those cells that `choose` takes, on other settings."""

    def __init__(self, experiment: Experiment, choose: Callable[[Cell], bool], settings: tuple[str, ...]) -> None:
        self.name, self.title, self.paper, self.timed = (
            experiment.name,
            experiment.title,
            experiment.paper,
            experiment.timed,
        )
        self._experiment = experiment
        self._choose = choose
        self._settings = settings

    def cells(self, scope: Scope) -> list[Cell]:
        return [
            Cell(cell.experiment, cell.labels, cell.seed, (*cell.settings, *self._settings))
            for cell in self._experiment.cells(scope)
            if self._choose(cell)
        ]

    def measure(self, cell: Cell) -> Tables:
        return self._experiment.measure(cell)

    def present(self, tables: Tables) -> Section:
        return self._experiment.present(tables)


def everything(cell: Cell) -> bool:
    return True


def performed(
    experiment: Experiment,
    out: Path,
    choose: Callable[[Cell], bool] = everything,
    settings: tuple[str, ...] = DIGITS,
    workers: int = 1,
) -> tuple[Section, Watcher]:
    """The section of the experiment's quick form, with one seed."""
    watcher = Watcher()
    (chapter,) = perform(
        [Tiny(experiment, choose, settings)], Scope(quick=True, seed_count=1), out, workers, watcher, ""
    )
    return chapter.section, watcher
