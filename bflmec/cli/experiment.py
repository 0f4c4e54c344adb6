"""`bflmec experiment`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def experiment(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Experiments, `all`, or TOML files with a sweep each.")
    ],
    quick: Annotated[bool, typer.Option("--quick", help="Few settings and seeds: all of it in minutes.")] = False,
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, max=1000, help="Seeds 1 to this one.")] = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, max=256, help="Processes that compute.")] = 1,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Results directory; what it has already is not computed again.")
    ] = Path("results"),
) -> None:
    """Measure a table or figure of the paper again, and what goes beyond it.

    Leaves tidy CSV, figures (PNG and SVG) and one report.html with a verdict for each claim. Ctrl-C loses only what is
    being computed at that moment: the same command goes on.

    Examples:  bflmec experiment all --quick --workers 2      bflmec experiment thresholds --seeds 3
    """
    import shlex
    import sys

    from bflmec.cli.interruption import interruptible
    from bflmec.experiments.catalogue import ORDER
    from bflmec.experiments.catalogue import experiment as by_name
    from bflmec.experiments.cells import Scope
    from bflmec.experiments.display import display
    from bflmec.experiments.session import perform
    from bflmec.learning.blas import one_blas_thread

    chosen = [by_name(known) for name in names for known in (ORDER if name == "all" else (name,))]
    options = [*(["--quick"] if quick else []), *(["--seeds", str(seeds)] if seeds else [])]
    command = shlex.join(["bflmec", "experiment", *names, *options])
    with interruptible(), one_blas_thread(), display() as watcher:
        chapters = perform(chosen, Scope(quick, seeds), out, workers, watcher, command)
    for chapter in chapters:
        for finding in chapter.section.findings:
            print(f"{finding.verdict:15}  {finding.claim}")
    print(f"report  {out / 'report.html'}", file=sys.stderr)
