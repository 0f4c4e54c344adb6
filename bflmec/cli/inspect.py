"""`bflmec inspect`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SHOWN_BLOCKS = 30


def inspect(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Run directory.")],
    block: Annotated[
        int | None, typer.Option("--block", "-b", metavar="N", help="One block: header, TX_1, transactions.")
    ] = None,
    anchors: Annotated[bool, typer.Option("--anchors", "-a", help="The global gradients, genesis first.")] = False,
    rewards: Annotated[bool, typer.Option("--rewards", "-r", help="Recorded and claimed rewards by account.")] = False,
    last: Annotated[
        int | None,
        typer.Option("--last", "-n", min=1, metavar="N", help=f"So many of the newest blocks; default {SHOWN_BLOCKS}."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON lines with every value in full; all blocks.")] = False,
) -> None:
    """Look into the ledger of a run: its blocks, or one of them, its anchors, its rewards.

    Everything is read from the chain file and the blob store of the run directory, which must not be in use.

    Examples:  bflmec inspect runs/mine      bflmec inspect runs/mine --block 12
    """
    from bflmec.cli import ledger_json, ledger_tables
    from bflmec.runs.directory import RunDirectory
    from bflmec.runs.inspection import open_inspection

    if sum((block is not None, anchors, rewards, last is not None)) > 1:
        raise typer.BadParameter("choose one of --block, --anchors, --rewards and --last")
    show = ledger_json if json else ledger_tables
    with open_inspection(RunDirectory.open(directory)) as inspection:
        if block is not None:
            show.one_block(inspection, block)
        elif anchors:
            show.anchors(inspection)
        elif rewards:
            show.rewards(inspection)
        else:
            show.blocks(inspection, last)
