"""`bflmec chain fund`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bflmec.cli.connection import NetworkName, NetworksFile, PasswordFile

ETHER = 10**18
_GAS = 21_000


def fund(
    accounts: Annotated[list[str], typer.Argument(metavar="ACCOUNT…", help="Addresses that get ether.")],
    ether: Annotated[float, typer.Option("--ether", min=0, max=1000, help="For each of them.")] = 10.0,
    key: Annotated[
        Path | None,
        typer.Option("--key", "-k", metavar="FILE", help="Key file of the account that gives, on any network."),
    ] = None,
    password_file: PasswordFile = None,
    network: NetworkName = "local",
    networks: NetworksFile = None,
) -> None:
    """Send ether: of a development chain, or from the account of a key file.

    Without --key the first account of the mnemonic that development chains share gives it, as `bflmec chain serve` and
    anvil have it. Anywhere else that account owns nothing, and this fails.

    Examples:  bflmec chain fund 0x… --ether 5      bflmec chain fund 0x… --key owner.json --network testnet
    """
    from eth_account import Account
    from eth_utils.address import to_checksum_address

    from bflmec.cli.connection import connected, open_account, parse_address
    from bflmec.devchain.service.accounts import dev_accounts
    from bflmec.ledger.refusals import ledger_errors
    from bflmec.ledger.sender import Sender

    receivers = [parse_address(account) for account in accounts]
    giver = Account.from_key(dev_accounts(1)[0].key) if key is None else open_account(key, password_file)
    w3, fees = connected(network, networks)
    sender = Sender(w3, giver, fees=fees)
    for receiver in receivers:
        sender.send(receiver, b"", _GAS, int(ether * ETHER))
        address = to_checksum_address(receiver)
        with ledger_errors():
            typer.echo(f"{address} has {w3.eth.get_balance(address) / ETHER:g} ether")
