"""`bflmec run`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(
    file: Annotated[Path | None, typer.Argument(help="Configuration file; `bflmec config` prints one.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="Change a key; may be repeated.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run directory to make; default: runs/ and the time.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Go on with this interrupted run from its last block.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Metrics as JSON lines on stdout instead of a display.")] = False,
) -> None:
    """Train a model through the real ledger, on this machine, in virtual time.

    Clients sign with ML-DSA, edge nodes verify, exchange, race for the proof of work, cluster, aggregate and certify;
    contracts on an embedded proof-of-work chain record every block. Ctrl-C loses nothing: resume goes on.

    Examples:  bflmec run      bflmec run --set dataset=digits --set clients=20 --set samples_per_client=75
    """
    import time

    from bflmec.cli.console import summary_table
    from bflmec.cli.interruption import interruptible
    from bflmec.configuration import load
    from bflmec.errors import BFLMECError, ConfigError
    from bflmec.runs.directory import RunDirectory, new_directory
    from bflmec.runs.progress import progress_for
    from bflmec.runs.runner import run as run_experiment

    if resume is not None:
        if file or settings or out:
            raise ConfigError("--resume goes on with the configuration of its run; it takes no file, --set or --out")
        directory = RunDirectory.open(resume)
        config = directory.config()
        directory.lock()
    else:
        config = load(file, settings or [])
        directory = RunDirectory.create(out or new_directory(Path("runs"), time.strftime("%Y%m%d-%H%M%S")), config)
    with interruptible(), directory, progress_for(config.experiment.aggregations, json) as progress:
        try:
            summary = run_experiment(directory, progress)
        except BFLMECError:
            if resume is None:
                directory.discard_if_unused()
            raise
    if not json:
        summary_table(directory, summary)
