"""`bflmec deploy`"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bflmec.cli.connection import DEFAULT_RECORD, AccountKey, NetworkName, NetworksFile, PasswordFile

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from web3 import Web3

    from bflmec.ledger.deployment import Deployment, DeploymentParameters

GWEI = 10**9
ETHER = 10**18


def deploy(
    key: AccountKey,
    file: Annotated[Path | None, typer.Argument(help="Configuration that all participants will share.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="Change a key; may be repeated.")
    ] = None,
    network: NetworkName = "local",
    networks: NetworksFile = None,
    password_file: PasswordFile = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Deployment record to write, which all others need.")
    ] = DEFAULT_RECORD,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing: say what it would cost, and whether the account can pay.")
    ] = False,
) -> None:
    """Put all contracts of a new ledger on a network, and write the record by which everybody finds it.

    The ledger commits to the rules and the genesis global gradient of the configuration: edge nodes with another one
    refuse to start. The account of the key owns the registry until the set-up ends (`bflmec participants end-set-up`).
    What the record already names is not deployed again, and what was interrupted goes on (deployment.json.unfinished).

    Examples:  bflmec deploy mine.toml --key owner.json      bflmec deploy --key owner.json --network testnet --dry-run
    """
    from bflmec.cli.connection import connected, open_account
    from bflmec.configuration import load
    from bflmec.consortium.commitments import deployment_parameters
    from bflmec.consortium.genesis import genesis_of
    from bflmec.ledger.deployment import deploy as deploy_contracts

    config = load(file, settings or [])
    parameters = deployment_parameters(config, genesis_of(config))
    w3, fees = connected(network, networks)
    unfinished = out.with_name(out.name + ".unfinished")
    if out.exists():
        _show(_known(w3, out, parameters), out)
        return
    account = open_account(key, password_file)
    if dry_run:
        _estimate(w3, account, parameters)
        return
    with _alone(out.parent):
        deployment = deploy_contracts(w3, account, parameters, unfinished, fees=fees)
        deployment.save(out)
        unfinished.unlink(missing_ok=True)
    _show(deployment, out)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Raises LedgerError if another process deploys into that folder, or it is not there."""
    import fcntl

    from bflmec.errors import LedgerError

    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise LedgerError(f"no record can be written to {folder}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise LedgerError(f"another process deploys into {folder}; wait for it") from error
    finally:
        os.close(descriptor)


def _known(w3: Web3, record: Path, parameters: DeploymentParameters) -> Deployment:
    """What the record names, if it is what is asked for. Raises LedgerError if it is something else."""
    from bflmec.errors import LedgerError
    from bflmec.ledger.deployment import Deployment, check

    deployment = Deployment.load(record)
    if deployment.parameters != parameters:
        raise LedgerError(f"{record} is of a ledger with other parameters; choose another --out")
    check(w3, deployment)
    return deployment


def _estimate(w3: Web3, account: LocalAccount, parameters: DeploymentParameters) -> None:
    """The gas is what the same transactions take on an embedded chain: their constructors need each other's code."""
    from web3 import Web3

    from bflmec.devchain import DevChain, DevChainProvider, Genesis
    from bflmec.errors import LedgerError
    from bflmec.ledger.deployment import deploy as deploy_contracts
    from bflmec.ledger.sender import ledger_errors

    trial = DevChain.create(
        None, Genesis(timestamp=1, difficulty=16, balances={bytes.fromhex(account.address[2:]): 10**24})
    )
    with trial:
        rehearsal = Web3(DevChainProvider(trial))
        deploy_contracts(rehearsal, account, parameters)
        blocks = range(1, trial.head.number + 1)
        gas = sum(int(rehearsal.eth.get_block(number)["gasUsed"]) for number in blocks)
        count = len(blocks)
    with ledger_errors():
        chain_id, price, balance = w3.eth.chain_id, w3.eth.gas_price, w3.eth.get_balance(account.address)
    typer.echo(f"chain         {chain_id}")
    typer.echo(f"account       {account.address}, with {balance / ETHER:.6f} ether")
    typer.echo(f"transactions  {count}, of {gas:,} gas")
    typer.echo(f"cost          {gas * price / ETHER:.6f} ether at {price / GWEI:.3f} gwei")
    typer.echo("sent          nothing")
    if gas * price > balance:
        raise LedgerError(f"{account.address} can't pay that; send it ether first")


def _show(deployment: Deployment, record: Path) -> None:
    from eth_utils.address import to_checksum_address

    for name in ("ledger", "participants", "certificates", "token", "government"):
        typer.echo(f"{name:13} {to_checksum_address(getattr(deployment, name))}")
    typer.echo(f"chain         {deployment.chain_id}, from block {deployment.block}")
    typer.echo(f"rules digest  0x{deployment.parameters.rules_digest.hex()}")
    typer.echo(f"record        {record}")
