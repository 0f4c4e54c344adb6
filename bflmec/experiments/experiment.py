"""What an experiment is: cells to compute, and a section of the report that their rows come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from bflmec.experiments.cells import Cell, Scope, Tables
from bflmec.registry import Registry

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Verdict(StrEnum):
    """What becomes of a claim when it is measured again."""

    REPRODUCED = "reproduced"
    PARTLY = "partly"
    NOT = "not reproduced"
    BEYOND = "not in the paper"
    UNDECIDED = "not measured"

    @classmethod
    def of(cls, holds: int, cases: int) -> Verdict:
        """From how many of the cases that a claim speaks of it holds in."""
        if not cases:
            return cls.UNDECIDED
        return cls.REPRODUCED if holds == cases else cls.PARTLY if holds else cls.NOT


@dataclass(frozen=True)
class Finding:
    """A claim, or a question beyond the paper, in words; and what was measured."""

    claim: str
    measured: str
    verdict: Verdict


@dataclass(frozen=True)
class Table:
    """A table of the report, already in words and rounded figures."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Plot:
    """A figure: `draw` fills it. `name` is that of its files, without suffix."""

    name: str
    caption: str
    draw: Callable[[Figure], None]
    inches: tuple[float, float] = (10.0, 4.2)


@dataclass(frozen=True)
class Section:
    """An experiment's part of the report."""

    findings: Sequence[Finding] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    notes: Sequence[str] = ()


class Experiment(Protocol):
    """One table or figure of the paper. `timed` experiments measure CPU time and run alone, one cell at a time."""

    name: str
    title: str
    paper: str
    """What the paper shows, in words."""
    timed: bool

    def cells(self, scope: Scope) -> list[Cell]:
        """Everything that has to be computed, in the order in which results are worth having."""
        ...

    def measure(self, cell: Cell) -> Tables:
        """Computes one cell; a function of the cell alone, but for CPU times. Raises BFLMECError."""
        ...

    def present(self, tables: Tables) -> Section:
        """What the rows of all cells, each with the labels and the seed of its cell, come to."""
        ...


experiments: Registry[Callable[[], Experiment]] = Registry("experiments")
