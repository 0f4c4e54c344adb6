"""`bflmec client train`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bflmec.cli.client import AsJson, ConfigFile, DeploymentFile, Folder, NetworkName, PasswordFile, opened

if TYPE_CHECKING:
    from bflmec.client.wallet import Wallet
    from bflmec.client.worker import Progress, Report


def train(
    folder: Folder,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="Data set; default: the configuration's.")
    ] = None,
    share: Annotated[
        str | None, typer.Option("--share", metavar="NUMBER/OF", help="Which client's share of it, such as 3/20.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="MODULE:FACTORY", help="Instead: a function that returns samples (x, y)."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=1e-6, help="Samples a second of a share; default: arrival_rate."),
    ] = None,
    updates: Annotated[
        int | None, typer.Option("--updates", min=1, metavar="K", help="End after so many local updates, all sent.")
    ] = None,
    patience: Annotated[
        float | None,
        typer.Option("--patience", min=0, metavar="SECONDS", help="File again what isn't recorded after so long; 300."),
    ] = None,
    network: NetworkName = None,
    deployment: DeploymentFile = None,
    config: ConfigFile = None,
    password_file: PasswordFile = None,
    json: AsJson = False,
) -> None:
    """Collect samples, train whenever enough have come, and send what was learned to the nearest edge node.

    Samples are a share of a data set, which arrive one by one and again from the start when they are used up, or what
    your own function yields: it is called without arguments, and its module may lie in the working folder. Without a
    connection the client trains on, and sends the average later. Ctrl-C ends it and loses nothing: what was trained is
    in the wallet, and the same command goes on.

    Examples:  bflmec client train wallet --share 3/20 --rate 20
    bflmec client train wallet --source my_sensors:samples --updates 10
    """
    from bflmec.cli.interruption import interruptible
    from bflmec.errors import ConfigError

    if (source is None) == (share is None):
        raise ConfigError("name your samples: either --share NUMBER/OF of a data set, or --source MODULE:FACTORY")
    with interruptible(), opened(folder, network, deployment, config, password_file, patience) as wallet:
        samples = _own(source) if source is not None else _share(wallet, dataset, share or "", rate)
        _work(wallet, samples, updates, _print_json if json else _print)


def _work(wallet: Wallet, samples: Any, updates: int | None, report: Report) -> None:
    from bflmec.client.async_worker import AsyncWorker
    from bflmec.client.worker import Worker

    if hasattr(samples, "__aiter__"):
        import asyncio

        asyncio.run(AsyncWorker(wallet, updates=updates, report=report).run(samples))
    else:
        Worker(wallet, updates=updates, report=report).run(samples)


def _share(wallet: Wallet, dataset: str | None, share: str, rate: float | None) -> Any:
    from bflmec.client.sources import ArraySource, share_of
    from bflmec.errors import ConfigError
    from bflmec.learning.datasets import load_dataset

    number, slash, of = share.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal()):
        raise ConfigError(f"a share looks like 3/20, not {share!r}")
    data = wallet.config.data
    loaded = load_dataset(dataset or data.dataset, Path(data.directory) if data.directory else None)
    x, y = share_of(wallet.config, loaded, int(number), int(of))
    return ArraySource(x, y, rate=rate or wallet.config.world.arrival_rate)


def _own(path: str) -> Any:
    """What the user's function returns. It is the user's own code, named on the command line."""
    import sys
    from importlib import import_module

    from bflmec.errors import ConfigError

    module, _, name = path.partition(":")
    sys.path.insert(0, "")
    try:
        factory = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"no function at {path!r}, expected module:function: {error}") from error
    samples = factory()
    if not (hasattr(samples, "__iter__") or hasattr(samples, "__aiter__")):
        raise ConfigError(f"{path} returned {type(samples).__name__}, which nobody can iterate over")
    return samples


def _print(progress: Progress) -> None:
    if progress.event == "anchor":
        typer.echo(f"anchor   global gradient of block {progress.number}")
    elif progress.event == "trained":
        typer.echo(f"trained  local update {progress.number}")
    elif progress.filed is not None:
        filed = progress.filed
        typer.echo(
            f"filed    0x{filed.digest.hex()[:16]}… with edge node {filed.edge_node}: sequence {filed.sequence}, "
            f"{filed.updates} local update{'s' if filed.updates > 1 else ''}"
        )
    else:
        typer.echo(f"waiting  {progress.error}", err=True)


def _print_json(progress: Progress) -> None:
    import json

    line: dict[str, object] = {"event": progress.event}
    if progress.filed is not None:
        filed = progress.filed
        line |= {"digest": "0x" + filed.digest.hex(), "sequence": filed.sequence, "edge_node": filed.edge_node}
        line["updates"] = filed.updates
    elif progress.error is not None:
        line |= {"error": type(progress.error).__name__, "detail": str(progress.error)}
    else:
        line["number"] = progress.number
    typer.echo(json.dumps(line))
