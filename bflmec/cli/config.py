"""`bflmec config`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def config(
    file: Annotated[Path | None, typer.Argument(help="Check this configuration file and print it in full.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="Change a key; may be repeated.")
    ] = None,
) -> None:
    """Print a configuration: the commented default, or a file and settings once they are checked.

    Examples:  bflmec config > mine.toml      bflmec config --set preset=paper
    """
    from bflmec.configuration import as_toml, load

    typer.echo(as_toml(load(file, settings or [])), nl=False)
