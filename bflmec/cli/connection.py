"""Options that lead to a ledger on a network, and what they open: the same for all commands that have them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from web3 import Web3

    from bflmec.ledger.client import LedgerClient
    from bflmec.ledger.fees import FeePolicy

DEFAULT_RECORD = Path("deployment.json")

NetworkName = Annotated[
    str,
    typer.Option("--network", "-n", metavar="NAME", help="A network of the networks file, `local`, or an http(s) URL."),
]
NetworksFile = Annotated[
    Path | None,
    typer.Option(
        "--networks", metavar="FILE", help="Networks file; default: ./networks.toml, ~/.config/bflmec/networks.toml."
    ),
]
Record = Annotated[
    Path, typer.Option("--deployment", "-d", metavar="FILE", help="Deployment record that `bflmec deploy` wrote.")
]
AccountKey = Annotated[
    Path, typer.Option("--key", "-k", metavar="FILE", help="Key file of the ledger account that pays.")
]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", "-p", metavar="FILE", help="Take the key's password from this file."),
]


def connection(name: str, networks: Path | None) -> Web3:
    """Raises ConfigError for an unknown network, LedgerError if it does not answer or is another chain."""
    return connected(name, networks)[0]


def connected(name: str, networks: Path | None) -> tuple[Web3, FeePolicy]:
    """`connection`, and how accounts pay on that network."""
    from bflmec.ledger.network import connect, find_network

    network = find_network(name, networks)
    return connect(network), network.fee_policy


def open_account(key: Path, password_file: Path | None) -> LocalAccount:
    """The account of a key file. Raises KeystoreError, also if it holds a key of another kind."""
    from eth_account import Account

    from bflmec.cli.keys import open_key
    from bflmec.crypto.keystore import ACCOUNT_SCHEME
    from bflmec.errors import KeystoreError

    stored = open_key(key, password_file)
    if stored.scheme != ACCOUNT_SCHEME:
        raise KeystoreError(f"{key} holds a key of {stored.scheme}, not of a ledger account")
    account: LocalAccount = Account.from_key(stored.secret)
    return account


def open_ledger(record: Path, network: str, networks: Path | None, account: LocalAccount | None = None) -> LedgerClient:
    """The ledger of a deployment record, on that network. Raises LedgerError if it is not there."""
    from bflmec.ledger.client import LedgerClient
    from bflmec.ledger.deployment import Deployment

    w3, fees = connected(network, networks)
    return LedgerClient(w3, Deployment.load(record), account, fees=fees)


def parse_address(text: str) -> bytes:
    """An account's 20 bytes. Raises ConfigError unless it has 0x, 40 digits and, with capitals, its checksum."""
    from eth_utils.address import is_checksum_address

    from bflmec.errors import ConfigError

    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise ConfigError(f"{text!r} is no account: it has 0x and 40 hex digits")
    if text != text.lower() and not is_checksum_address(text):
        raise ConfigError(f"{text!r} is no account: its checksum is wrong, so a digit or a capital is")
    return bytes.fromhex(text[2:])


def parse_digest(text: str) -> bytes:
    """32 bytes in hex, with or without 0x. Raises ConfigError."""
    from bflmec.errors import ConfigError

    try:
        digest = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise ConfigError(f"{text!r} is no digest: it has 64 hex digits")
    return digest
