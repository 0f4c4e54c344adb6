"""`bflmec devnet`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bflmec.devnet.observation import Observation
    from bflmec.devnet.plan import DevnetDirectory, Plan

devnet = typer.Typer(
    no_args_is_help=True,
    help="""Run a whole network on this machine: a chain, edge nodes and clients, all as processes of their own.

    Examples:  bflmec devnet up      bflmec devnet status      bflmec devnet kill-one      bflmec devnet logs edge-1 -f
    """,
)

Folder = Annotated[Path, typer.Option("--dir", metavar="DIR", help="Directory of the devnet.")]
DEFAULT_FOLDER = Path("devnet")
DEFAULT_RATE = 5.0
SAMPLES = 1400
"""Of scikit-learn's digits, shared out among the clients if no configuration says otherwise."""


@devnet.command()
def up(
    file: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="Configuration that all share.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="Change a key; may be repeated.")
    ] = None,
    edge_nodes: Annotated[int | None, typer.Option("--edge-nodes", min=1, max=64, help="Default: 3.")] = None,
    clients: Annotated[int | None, typer.Option("--clients", min=0, max=1000, help="Default: 20.")] = None,
    chain: Annotated[str | None, typer.Option("--chain", help="embedded or anvil; default: embedded.")] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", min=1e-3, help="Samples a second that reach each client; default: 5.")
    ] = None,
    ipfs: Annotated[
        str | None, typer.Option("--ipfs", metavar="URL", help="An IPFS daemon that edge nodes put blobs into, too.")
    ] = None,
    aggregations: Annotated[
        int | None, typer.Option("--aggregations", min=1, metavar="K", help="End after so many more global updates.")
    ] = None,
    folder: Folder = DEFAULT_FOLDER,
) -> None:
    """Start a network, or go on with the one in the directory; Ctrl-C ends all of it in order and loses nothing.

    A new one is deployed, its edge nodes are admitted and its clients registered first. Without a configuration the
    clients learn scikit-learn's digits. Processes that end are started again. What was chosen when the directory was
    made stays; another choice needs another directory.

    Examples:  bflmec devnet up      bflmec devnet up mine.toml --edge-nodes 5 --clients 40 --dir big
    """
    from bflmec.cli.edge import _require_extra, _signals
    from bflmec.devnet.display import shown
    from bflmec.devnet.network import end_leftovers, run, supervising
    from bflmec.devnet.plan import DevnetDirectory

    _require_extra()
    directory = DevnetDirectory(folder)
    if not directory.exists():
        plan = _new_plan(edge_nodes, clients, chain, rate, ipfs)
        directory.create(plan, _configuration(file, settings or [], plan.clients))
    plan = directory.plan()
    _compare(plan, directory, file, settings or [], edge_nodes, clients, chain, rate, ipfs)
    with supervising(directory), _signals() as stopped:
        for name in end_leftovers(directory, plan):
            _say(f"{name} of an earlier devnet was still running and was ended")
        with shown() as watch:
            run(directory, plan, stopped, _say, watch, aggregations)
    _say(f"down; go on with: bflmec devnet up --dir {folder}")


@devnet.command()
def status(
    folder: Folder = DEFAULT_FOLDER,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show what runs, how far the ledger is and how good the newest global gradient.

    Example:  bflmec devnet status
    """
    from bflmec.devnet.observation import Evaluation, Observer
    from bflmec.devnet.plan import DevnetDirectory

    directory = DevnetDirectory(folder)
    plan = directory.plan()
    with Observer(directory, plan) as observer:
        seen = observer.observe()
    newest = seen.newest
    accuracy = None if newest is None else Evaluation(directory, plan).accuracy(newest.global_gradient)
    if json:
        typer.echo(_as_json(seen, accuracy))
        return
    from rich.console import Console

    from bflmec.devnet.display import table

    Console().print(table(seen, accuracy))


@devnet.command()
def logs(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="chain, edge-1, client-1 …; default: all.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes; Ctrl-C ends it.")] = False,
    last: Annotated[int, typer.Option("--last", "-n", min=0, max=100_000, help="So many lines of each.")] = 20,
    folder: Folder = DEFAULT_FOLDER,
) -> None:
    """Show what processes print.

    Examples:  bflmec devnet logs      bflmec devnet logs edge-2 -f
    """
    from bflmec.devnet.logs import follow_lines, last_lines
    from bflmec.devnet.plan import SUPERVISOR, DevnetDirectory

    directory = DevnetDirectory(folder)
    plan = directory.plan()
    names = [_known(plan, name)] if name else [SUPERVISOR, *plan.names]
    prefix = {one: "" if name else f"{one:<10} " for one in names}
    paths = {one: directory.log(one) for one in names}
    for one, path in paths.items():
        for line in last_lines(path, last):
            typer.echo(prefix[one] + line)
    if follow:
        for one, line in follow_lines(paths):
            typer.echo(prefix[one] + line)


@devnet.command("kill-one")
def kill_one(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Which; default: any.")] = None,
    folder: Folder = DEFAULT_FOLDER,
) -> None:
    """Kill a process with SIGKILL, so that it can't tidy up. It is started again; nothing that it promised is lost.

    Examples:  bflmec devnet kill-one      bflmec devnet kill-one edge-2
    """
    import random

    from bflmec.devnet.plan import DevnetDirectory
    from bflmec.devnet.processes import ProcessRecord
    from bflmec.errors import DevnetError

    directory = DevnetDirectory(folder)
    plan = directory.plan()
    records = {
        one: record
        for one in ([_known(plan, name)] if name else plan.names)
        if (record := ProcessRecord.load(directory.pid_file(one))) is not None and record.is_alive()
    }
    if not records:
        raise DevnetError(f"{name or 'nothing of it'} runs; start it: bflmec devnet up --dir {folder}")
    chosen, record = random.choice(list(records.items()))
    record.kill()
    typer.echo(f"killed {chosen} (process {record.pid})")


@devnet.command()
def down(folder: Folder = DEFAULT_FOLDER) -> None:
    """End everything in order, also what a killed `up` has left behind. Does nothing if nothing runs.

    Example:  bflmec devnet down
    """
    from bflmec.devnet.network import end_leftovers
    from bflmec.devnet.plan import SUPERVISOR, DevnetDirectory
    from bflmec.devnet.processes import ProcessRecord
    from bflmec.errors import DevnetError

    directory = DevnetDirectory(folder)
    plan = directory.plan()
    supervisor = ProcessRecord.load(directory.pid_file(SUPERVISOR))
    if supervisor is not None and supervisor.is_alive():
        supervisor.ask_to_end()
        if not supervisor.wait(150):
            raise DevnetError(f"process {supervisor.pid} does not end; its log: {directory.log(SUPERVISOR)}")
    with directory.locked():
        ended = end_leftovers(directory, plan)
    _say("down" if supervisor or ended else "nothing was up")


# ---------------------------------------------------------------- making and comparing


def _new_plan(
    edge_nodes: int | None, clients: int | None, chain: str | None, rate: float | None, ipfs: str | None
) -> Plan:
    from bflmec.devnet.plan import new_plan
    from bflmec.errors import ConfigError

    if chain not in (None, "embedded", "anvil"):
        raise ConfigError(f"a chain is embedded or anvil, not {chain!r}")
    return new_plan(
        "anvil" if chain == "anvil" else "embedded",
        3 if edge_nodes is None else edge_nodes,
        20 if clients is None else clients,
        DEFAULT_RATE if rate is None else rate,
        ipfs or "",
    )


def _configuration(file: Path | None, settings: list[str], clients: int) -> str:
    from bflmec.configuration import as_toml, load
    from bflmec.errors import ConfigError

    config = load(file, [*([] if file else _digits(clients)), *settings])
    possible = clients * config.ledger.per_client
    if clients and possible < config.ledger.aggregation_threshold:
        raise ConfigError(
            f"{clients} clients never reach a global update: each counts {config.ledger.per_client} times before one, "
            f"and it takes {config.ledger.aggregation_threshold} local gradients (aggregation_threshold)"
        )
    return as_toml(config)


def _digits(clients: int) -> list[str]:
    """Small and quick: the whole has a global update every few seconds."""
    share = max(10, SAMPLES // max(clients, 1))
    return [
        *("dataset=digits", "partition=iid", f"samples_per_client={share}", "data_threshold=20"),
        *("learning_rate=0.1", "record_after=1.0", f"aggregation_threshold={max(3, min(10, clients))}"),
    ]


def _compare(
    plan: Plan,
    directory: DevnetDirectory,
    file: Path | None,
    settings: list[str],
    edge_nodes: int | None,
    clients: int | None,
    chain: str | None,
    rate: float | None,
    ipfs: str | None,
) -> None:
    """Raises DevnetError if something was chosen that the directory was not made with."""
    from bflmec.errors import DevnetError

    made = {
        "--edge-nodes": (edge_nodes, len(plan.edge_ports)),
        "--clients": (clients, plan.clients),
        "--chain": (chain, plan.chain),
        "--rate": (rate, plan.rate),
        "--ipfs": (ipfs, plan.ipfs),
    }
    for option, (asked, own) in made.items():
        if asked is not None and asked != own:
            raise DevnetError(f"{directory.path} was made with {option} {own}, not {asked}; choose another --dir")
    if (file or settings) and directory.config.read_text("utf-8") != _configuration(file, settings, plan.clients):
        raise DevnetError(f"{directory.path} was made with another configuration; choose another --dir")


def _known(plan: Plan, name: str) -> str:
    from bflmec.devnet.plan import SUPERVISOR
    from bflmec.errors import DevnetError
    from bflmec.registry import nearest

    if name not in (SUPERVISOR, *plan.names):
        raise DevnetError(f"no process {name!r}; {nearest(name, plan.names)}")
    return name


# ---------------------------------------------------------------- showing


def _say(text: str) -> None:
    typer.echo(text)
    sys.stdout.flush()


def _as_json(seen: Observation, accuracy: float | None) -> str:
    import msgspec

    document = {"accuracy": accuracy, "processes": seen.processes, "edge_nodes": seen.edge_nodes}
    return msgspec.json.encode(document).decode()
