"""The `bflmec` command: its subcommands, and how errors end the process."""

from __future__ import annotations

import errno
import logging
import sys
from typing import Annotated, NoReturn

import typer

from bflmec import __version__
from bflmec.cli.chain import chain
from bflmec.cli.challenge import challenge
from bflmec.cli.claim import claim
from bflmec.cli.client import client
from bflmec.cli.config import config
from bflmec.cli.deploy import deploy
from bflmec.cli.devnet import devnet
from bflmec.cli.edge import edge
from bflmec.cli.experiment import experiment
from bflmec.cli.fund import fund
from bflmec.cli.inspect import inspect
from bflmec.cli.keys import keys
from bflmec.cli.networks import networks
from bflmec.cli.participants import participants
from bflmec.cli.run import run
from bflmec.cli.storage import storage
from bflmec.cli.train import train
from bflmec.cli.verify import verify
from bflmec.errors import BFLMECError, StorageError

INTERRUPTED = 130

app = typer.Typer(
    name="bflmec",
    help="Post-quantum secure, asynchronous, blockchain-based federated learning for mobile edge computing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(run)
app.command()(inspect)
app.command()(verify)
app.command()(config)
app.command()(experiment)
app.command()(deploy)
app.command()(claim)
app.add_typer(keys, name="keys")
app.add_typer(chain, name="chain")
chain.command()(fund)
app.add_typer(edge, name="edge")
app.add_typer(networks, name="networks")
app.add_typer(devnet, name="devnet")
app.add_typer(participants, name="participants")
app.add_typer(challenge, name="challenge")
app.add_typer(client, name="client")
client.command()(train)
app.add_typer(storage, name="storage")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bflmec {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens inside, to stderr.")] = False,
) -> None:
    """Options of all commands."""
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    for noisy in ("matplotlib", "web3", "eth", "urllib3", "asyncio", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def main() -> NoReturn:
    """Entry point. Errors of BFL-MEC end with their own exit code and one line on stderr."""
    try:
        app(standalone_mode=True)
    except BFLMECError as error:
        print(f"bflmec: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"bflmec: can't write the output: {error.strerror}; free some space and try again", file=sys.stderr)
        sys.exit(StorageError.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(0)
