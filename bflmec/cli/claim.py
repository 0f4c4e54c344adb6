"""`bflmec claim`"""

from __future__ import annotations

import typer

from bflmec.cli.client import ConfigFile, DeploymentFile, Folder, NetworkName, PasswordFile, opened


def claim(
    folder: Folder,
    network: NetworkName = None,
    deployment: DeploymentFile = None,
    config: ConfigFile = None,
    password_file: PasswordFile = None,
) -> None:
    """Claim a client's rewards: one transaction mints all that the ledger owes its account. Costs gas.

    Example:  bflmec claim wallet
    """
    from bflmec.cli.wallet_text import tokens

    with opened(folder, network, deployment, config, password_file) as wallet:
        claimed, balance = wallet.claim(), wallet.balance()
    typer.echo(f"claimed  {tokens(claimed)} tokens")
    typer.echo(f"balance  {tokens(balance)} tokens")
