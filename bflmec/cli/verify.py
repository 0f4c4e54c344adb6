"""`bflmec verify`"""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer


def verify(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,
) -> None:
    """Audit a run: recompute from its chain and its blobs everything that public data allow.

    Executes the chain again from its genesis, then checks every seal, certificate, transaction hash, signature,
    sequence number, reward list and reward root, and every stored global gradient; says what could not be checked and
    why. Ends with exit code 61 if anything does not hold.

    Example:  bflmec verify runs/20260101-120000
    """
    import sys

    from bflmec.runs.audit import audit
    from bflmec.runs.directory import RunDirectory

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    report = audit(RunDirectory.open(directory), progress)
    if json:
        checks = [{"check": check.name, "passed": check.passed, "failures": check.failures} for check in report.checks]
        typer.echo(jsonlib.dumps({"holds": report.holds, "checks": checks, "unchecked": report.unchecked}, indent=2))
    else:
        for check in report.checks:
            typer.echo(f"{'FAILED' if check.failures else 'holds':>6}  {check.passed:>5} x  {check.name}")
            for failure in check.failures[:5]:
                typer.echo(f"{'':>16}{failure}")
        typer.echo("\nnot checked:")
        for reason in report.unchecked:
            typer.echo(f"  - {reason}")
    report.require()
