"""What commands print for people."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bflmec.runs.directory import RunDirectory
    from bflmec.runs.metrics import Summary


def summary_table(directory: RunDirectory, summary: Summary) -> None:
    """The result of a run and what to do with it."""
    from rich.console import Console
    from rich.table import Table

    from bflmec.configuration.sections import TOKEN

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    asynchrony = summary.measurements["asynchrony"]
    table.add_row("global test accuracy", f"[bold]{summary.accuracy:.4f}[/]")
    table.add_row("average client accuracy", f"{summary.client_accuracy:.4f}   (the paper's sum of acc_i / n)")
    table.add_row("global updates", f"{summary.aggregations}, from {summary.local_gradients} local gradients")
    table.add_row("blocks", str(summary.blocks))
    table.add_row("rewards paid", f"{int(summary.rewards) / TOKEN:g} tokens")
    table.add_row("virtual time", f"{summary.time:,.0f} s")
    table.add_row("concurrency", f"{asynchrony['concurrency']:.2f} on average, {asynchrony['concurrency_max']} at most")
    table.add_row(
        "average delay",
        f"{asynchrony['delay']:.2f} local gradients; Theorem 1 predicts {asynchrony['predicted_delay']:.2f} from that",
    )
    table.add_row("CPU", f"{summary.cpu_seconds:.1f} s, at most {summary.peak_memory / 2**20:.0f} MB")
    console = Console()
    console.print(table)
    path = shlex.quote(str(directory.path))
    for line in (
        f"report   {directory.report_file}",
        f"look in  bflmec inspect {path}",
        f"audit    bflmec verify {path}",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
