"""One call of the command: computes what is missing, then writes tables, figures and the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bflmec.errors import RunDirectoryError
from bflmec.experiments.cells import Scope
from bflmec.experiments.experiment import Experiment
from bflmec.experiments.plots import save
from bflmec.experiments.report import Chapter, as_markdown, write_report
from bflmec.experiments.runner import Watcher, compute
from bflmec.experiments.store import CellStore
from bflmec.experiments.tables import merged, write_csv
from bflmec.files import write_atomically


def perform(
    chosen: Sequence[Experiment], scope: Scope, out: Path, workers: int, watcher: Watcher, command: str
) -> list[Chapter]:
    """Leaves NAME/*.csv, NAME/*.png, NAME/*.svg, report.html and README.md in `out`, and the cells for the next call.

    Raises BFLMECError; what was computed until then stays.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunDirectoryError(f"can't write {out}: {error.strerror}") from error
    store = CellStore(out)
    chapters = []
    for experiment in chosen:
        cells = experiment.cells(scope)
        results = compute(experiment, cells, store, workers, watcher)
        tables = merged(results)
        for name, rows in tables.items():
            write_csv(out / experiment.name / f"{name}.csv", rows)
        section = experiment.present(tables)
        chapters.append(
            Chapter(
                experiment,
                section,
                [save(plot, out / experiment.name) for plot in section.plots],
                len(cells),
                len({cell.seed for cell in cells}),
                sum(result.cpu_seconds for result in results),
            )
        )
        write_report(out / "report.html", chapters, command)
    write_atomically(out / "README.md", as_markdown(chapters, command).encode())
    return chapters
