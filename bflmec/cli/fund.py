"""`bflmec chain fund`"""

from __future__ import annotations

from typing import Annotated

import typer

from bflmec.cli.connection import NetworkName, NetworksFile

ETHER = 10**18


def fund(
    accounts: Annotated[list[str], typer.Argument(metavar="ACCOUNT…", help="Addresses that get ether.")],
    ether: Annotated[float, typer.Option("--ether", min=0, max=1000, help="For each of them.")] = 10.0,
    network: NetworkName = "local",
    networks: NetworksFile = None,
) -> None:
    """Send ether of a development chain: from the first account of the mnemonic that such chains share.

    For `bflmec chain serve` and anvil. Anywhere else that account owns nothing, and this fails.

    Example:  bflmec chain fund 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 --ether 5
    """
    from eth_account import Account
    from eth_utils.address import to_checksum_address

    from bflmec.cli.connection import connection, parse_address
    from bflmec.devchain.service.accounts import dev_accounts
    from bflmec.ledger.sender import ledger_errors

    receivers = [to_checksum_address(parse_address(account)) for account in accounts]
    w3 = connection(network, networks)
    giver = Account.from_key(dev_accounts(1)[0].key)
    with ledger_errors():
        for receiver in receivers:
            transaction = {
                "to": receiver,
                "value": int(ether * ETHER),
                "gas": 21_000,
                "gasPrice": 2 * w3.eth.gas_price,
                "nonce": w3.eth.get_transaction_count(giver.address, "pending"),
                "chainId": w3.eth.chain_id,
            }
            sent = w3.eth.send_raw_transaction(giver.sign_transaction(transaction).raw_transaction)
            w3.eth.wait_for_transaction_receipt(sent)
            typer.echo(f"{receiver} has {w3.eth.get_balance(receiver) / ETHER:g} ether")
