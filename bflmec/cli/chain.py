"""`bflmec chain`"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bflmec.devchain import DevChain

chain = typer.Typer(
    no_args_is_help=True,
    help="""Run the embedded proof-of-work Ethereum chain by itself.

    Example:  bflmec chain serve --file chain.sqlite
    """,
)


@chain.command()
def serve(
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Chain file: opened if it exists, else made. Default: none, in memory."),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 opens it to your network.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0 chooses a free one.")] = 8545,
    chain_id: Annotated[int | None, typer.Option("--chain-id", help="Of a new chain; default: 1337.")] = None,
    difficulty: Annotated[
        int | None, typer.Option("--difficulty", help="Hashes a block takes on average; of a new chain; default: 1024.")
    ] = None,
    accounts: Annotated[
        int | None, typer.Option("--accounts", help="Accounts that a new chain gives 10,000 ether each; default: 10.")
    ] = None,
    block_time: Annotated[
        float | None,
        typer.Option(
            "--block-time",
            min=0.05,
            max=86400,
            metavar="SECONDS",
            help="A block at each tick, empty ones too. Default: as soon as a transaction can be mined.",
        ),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option("--cors", metavar="ORIGIN", help="Web page that may ask; may be repeated. Default: any."),
    ] = None,
    show_keys: Annotated[
        bool, typer.Option("--show-keys", help="Print the accounts with ether and their (well-known) keys.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="A line on stderr for each request.")] = False,
) -> None:
    """Serve a proof-of-work chain over JSON-RPC, for wallets, web3.py, ethers, Foundry, Brownie and explorers.

    The chain keeps no keys: sign on your side. The accounts with ether are those of the mnemonic that development
    networks share (test test … junk), so never use them on a network of value. Ctrl-C ends it; with a file, it goes on
    from the newest block next time.

    Examples:  bflmec chain serve --show-keys      bflmec chain serve --file chain.sqlite --block-time 2
    """
    import logging

    from bflmec.devchain.service.miner import Miner
    from bflmec.devchain.service.server import ChainServer

    if verbose:
        logging.getLogger("bflmec.devchain.rpc").setLevel(logging.INFO)
    with (
        _chain(file, chain_id=chain_id, difficulty=difficulty, accounts=accounts) as served,
        Miner(served, block_time),
        ChainServer(served, host, port, cors or ["*"]) as server,
        _signals() as stopped,
    ):
        if show_keys:
            _print_accounts(served)
        state = f"chain {served.chain_id}, difficulty {served.genesis.difficulty}, block {served.head.number}"
        typer.echo(f"listening on {server.url} ({state}); Ctrl-C ends it")
        while not stopped.wait(1.0):  # a signal that another thread got wakes this one at the next second
            pass
    typer.echo("ended" if file is None else f"ended; go on with: bflmec chain serve --file {file}")


@contextmanager
def _signals() -> Iterator[Event]:
    """An event that Ctrl-C and a request to terminate set: for a service, both are the way to end."""
    stopped = Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _chain(file: Path | None, *, chain_id: int | None, difficulty: int | None, accounts: int | None) -> DevChain:
    """The chain in the file, or a new one. Raises ChainError if the file's is another one than asked for."""
    import time

    from bflmec.devchain import DevChain, Genesis
    from bflmec.devchain.genesis import DEFAULT_CHAIN_ID, DEFAULT_DIFFICULTY
    from bflmec.devchain.service.accounts import BALANCE, dev_accounts, funded
    from bflmec.errors import ChainError

    if file is None or not file.exists():
        genesis = Genesis(
            timestamp=int(time.time()),
            chain_id=DEFAULT_CHAIN_ID if chain_id is None else chain_id,
            difficulty=DEFAULT_DIFFICULTY if difficulty is None else difficulty,
            balances={account.address: BALANCE for account in dev_accounts(10 if accounts is None else accounts)},
        )
        return DevChain.create(file, genesis, auto_mine=False)
    opened = DevChain.open(file, auto_mine=False)
    own = {
        "chain-id": opened.chain_id,
        "difficulty": opened.genesis.difficulty,
        "accounts": len(funded(opened.genesis)),
    }
    asked = {"chain-id": chain_id, "difficulty": difficulty, "accounts": accounts}
    for name, value in asked.items():
        if value is not None and value != own[name]:
            opened.close()
            raise ChainError(
                f"{file} was made with --{name} {own[name]}, not {value}; leave the option out or choose another file"
            )
    return opened


def _print_accounts(served: DevChain) -> None:
    from eth_utils.address import to_checksum_address

    from bflmec.devchain.service.accounts import funded

    typer.echo("accounts with ether, and their keys, which everybody knows:")
    for account in funded(served.genesis):
        typer.echo(f"  {to_checksum_address(account.address)}  0x{account.key.hex()}")
