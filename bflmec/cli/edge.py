"""`bflmec edge`"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from bflmec.cli.connection import DEFAULT_RECORD, NetworkName, NetworksFile, Record

if TYPE_CHECKING:
    from bflmec.edge.assembly import Assembly
    from bflmec.edge.directory import EdgeDirectory
    from bflmec.edge.settings import Settings

edge = typer.Typer(
    no_args_is_help=True,
    help="""Run an edge node: it takes in local gradients, exchanges them with the others, makes and certifies blocks.

    Examples:  bflmec edge init edge-1      bflmec edge start edge-1 --network local --deployment deployment.json
    """,
)

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Directory of the edge node.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", "-p", metavar="FILE", help="Password of the key files; default: DIR/password."),
]


@edge.command()
def init(
    directory: Directory,
    endpoint: Annotated[
        str, typer.Option("--endpoint", metavar="URL", help="Where the others and clients will reach it.")
    ] = "",
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 opens it to your network.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on.")] = 8600,
    scheme: Annotated[
        str, typer.Option("--scheme", "-s", help="ML-DSA-44, ML-DSA-65 or ML-DSA-87, as the ledger's clients use.")
    ] = "ML-DSA-44",
    password_file: PasswordFile = None,
) -> None:
    """Make keys and settings for a new edge node, and show what it has to be admitted with.

    Without --password-file a password is drawn and left in DIR/password, so that the service starts by itself.

    Example:  bflmec edge init edge-1 --endpoint https://edge-1.example --host 0.0.0.0
    """
    from bflmec.crypto.keystore import read_password
    from bflmec.edge.directory import EdgeDirectory

    password = None if password_file is None else read_password(password_file)
    made = EdgeDirectory.create(directory, scheme=scheme, password=password, host=host, port=port)
    typer.echo(f"directory              {directory}")
    _show(made, password_file, endpoint or f"http://{host}:{port}")


@edge.command()
def show(
    directory: Directory,
    endpoint: Annotated[str, typer.Option("--endpoint", metavar="URL", help="Where it will be reached.")] = "",
    password_file: PasswordFile = None,
) -> None:
    """Show what the edge node has to be admitted with: its account and the digests of its keys.

    Example:  bflmec edge show edge-1 --endpoint https://edge-1.example
    """
    from bflmec.edge.directory import EdgeDirectory

    opened = EdgeDirectory(directory)
    settings = opened.settings()
    _show(opened, password_file, endpoint or f"http://{settings.host}:{settings.port}")


@edge.command()
def start(
    directory: Directory,
    deployment: Record = DEFAULT_RECORD,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="The configuration that was deployed.")
    ] = None,
    network: NetworkName = "local",
    networks: NetworksFile = None,
    password_file: PasswordFile = None,
    host: Annotated[str | None, typer.Option("--host", help="Instead of what edge.toml says.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Instead of what edge.toml says; 0 chooses one.")
    ] = None,
) -> None:
    """Start an edge node; Ctrl-C or SIGTERM ends it in order, and it goes on from its directory next time.

    It has to be admitted first: `bflmec edge show` prints how.

    Example:  bflmec edge start edge-1 --network local --config config.toml --deployment deployment.json
    """
    import msgspec

    from bflmec.edge.directory import EdgeDirectory
    from bflmec.edge.logs import configure

    opened = EdgeDirectory(directory)
    changes = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = msgspec.structs.replace(opened.settings(), **changes)
    configure(settings.log_format, settings.log_level)
    parts = _assemble(opened, settings, deployment, config, network, networks, password_file)
    with _signals() as stopped:
        _serve(parts, stopped)


def _assemble(
    opened: EdgeDirectory,
    settings: Settings,
    deployment: Path,
    config: Path | None,
    network: str,
    networks: Path | None,
    password_file: Path | None,
) -> Assembly:
    _require_extra()
    from bflmec.configuration import load
    from bflmec.edge.assembly import assemble
    from bflmec.ledger.deployment import Deployment
    from bflmec.ledger.network import connect, find_network
    from bflmec.ledger.outbox import Outbox

    found = find_network(network, networks)
    return assemble(
        load(config),
        settings,
        opened.keys(password_file),
        connect(found),
        Deployment.load(deployment),
        store=opened.store,
        blobs=opened.blobs,
        poll_interval=found.poll_interval,
        fees=found.fee_policy,
        outbox=Outbox(opened.outbox),
    )


def _serve(parts: Assembly, stopped: Event) -> None:
    from bflmec.edge.server import EdgeServer
    from bflmec.errors import EdgeUnavailableError

    with EdgeServer(parts) as server:
        node = parts.replica.node
        where = f"chain {node.state.parameters.chain_id}, block {node.state.number}"
        typer.echo(f"listening on {server.url} (edge node {node.identity.id}, {where}); Ctrl-C ends it")
        sys.stdout.flush()
        while not stopped.wait(1.0):
            if not server.is_alive():
                raise EdgeUnavailableError("the service has ended by itself; its log says why")
    typer.echo("ended; everything is on disk")


@edge.command()
def status(
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of an edge node.")],
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show what an edge node does: its ledger, its newest block, what waits, who answers, what troubles it.

    Example:  bflmec edge status http://127.0.0.1:8600
    """
    import json as json_

    from bflmec.transport.edge_api import EdgeApi

    with EdgeApi(url) as api:
        state = api.status()
    if json:
        typer.echo(json_.dumps(state))
        return
    for name, value in state.items():
        typer.echo(f"{name:<22} {_text(value)}")


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(str(part) for part in value) or "none"
    return str(value)


def _show(opened: EdgeDirectory, password_file: Path | None, endpoint: str) -> None:
    from eth_utils.address import to_checksum_address

    keys = opened.keys(password_file)
    account = to_checksum_address(keys.account)
    signature, encapsulation = "0x" + keys.signature_digest.hex(), "0x" + keys.encapsulation_digest.hex()
    typer.echo(f"account                {account}")
    typer.echo(f"signature key digest   {signature}")
    typer.echo(f"encapsulation digest   {encapsulation}")
    typer.echo(f"endpoint               {endpoint}")
    typer.echo("to be admitted by the owner, after the account has some ether:")
    typer.echo(f"  bflmec participants admit {account} {endpoint} --key OWNER.json \\")
    typer.echo(f"    --signature-key {signature} \\")
    typer.echo(f"    --encapsulation-key {encapsulation}")


def _require_extra() -> None:
    from importlib.util import find_spec

    from bflmec.errors import MissingExtraError

    missing = [name for name in ("fastapi", "prometheus_client") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"an edge node needs {', '.join(missing)}; run: pip install 'bflmec[edge]'")


@contextmanager
def _signals() -> Iterator[Event]:
    """An event that Ctrl-C and a request to terminate set."""
    stopped = Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
