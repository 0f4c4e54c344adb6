"""`bflmec client`"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bflmec.client.wallet import Wallet

client = typer.Typer(
    no_args_is_help=True,
    help="""Take part in a ledger as a client: make a wallet, register, train on your own data, be paid.

    A wallet is a folder with two keys (a ledger account and an ML-DSA key), the ledger's deployment record and
    configuration, and everything that the client must not lose. One process at a time uses it.

    Examples:  bflmec client init wallet --deployment deployment.json --config ledger.toml
    bflmec client register wallet      bflmec client train wallet --dataset mnist --share 3/20
    """,
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the wallet.")]
NetworkName = Annotated[
    str | None,
    typer.Option("--network", "-n", metavar="NAME", help="Network or URL; default: the wallet's."),
]
DeploymentFile = Annotated[
    Path | None,
    typer.Option("--deployment", "-d", metavar="FILE", help="Deployment record; default: the wallet's copy."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Shared configuration; default: the wallet's copy."),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", "-p", metavar="FILE", help="Password of the keys; default: the wallet's own file."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


@client.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make; keys in it are never overwritten.")],
    deployment: Annotated[
        Path, typer.Option("--deployment", "-d", metavar="FILE", help="The ledger's deployment record.")
    ],
    config: Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="The configuration that all share.")],
    network: Annotated[
        str, typer.Option("--network", "-n", metavar="NAME", help="Network, or URL of a node.")
    ] = "local",
    networks: Annotated[
        Path | None, typer.Option("--networks", metavar="FILE", help="Where the network is declared.")
    ] = None,
    ipfs: Annotated[
        str,
        typer.Option("--ipfs", metavar="ADDRESS", help="IPFS daemon to ask for global gradients before edge nodes."),
    ] = "",
    prefer: Annotated[
        str, typer.Option("--prefer", metavar="IDS", help="Edge nodes to ask first, such as 2,1; default: the nearest.")
    ] = "",
    password_file: Annotated[
        Path | None,
        typer.Option("--password-file", "-p", metavar="FILE", help="Password for the keys; default: one is drawn."),
    ] = None,
) -> None:
    """Make a wallet: draw its keys, and copy what it has to know of the ledger into it.

    Without --password-file a password is drawn and left in the folder, which only its owner can read. Keep a copy of
    the folder's key files and password: nobody can restore them.

    Example:  bflmec client init wallet --deployment deployment.json --config ledger.toml --network local
    """
    from eth_utils.address import to_checksum_address

    from bflmec.client.directory import WalletDirectory, WalletSettings
    from bflmec.configuration import load
    from bflmec.crypto.keystore import describe_key, read_password
    from bflmec.ledger.deployment import Deployment
    from bflmec.ledger.network import find_network

    shared = load(config)
    Deployment.load(deployment)
    find_network(network, networks)
    directory = WalletDirectory.create(
        folder,
        None if password_file is None else read_password(password_file),
        scheme=shared.signatures.scheme,
        settings=WalletSettings(
            network=network, networks="" if networks is None else str(networks.resolve()), ipfs=ipfs, prefer=prefer
        ),
        deployment=deployment,
        config=config,
    )
    typer.echo(f"wallet      {folder}")
    typer.echo(f"account     {to_checksum_address(describe_key(directory.account_file).public_id)}")
    typer.echo(f"key digest  0x{describe_key(directory.signature_file).public_id}")
    typer.echo(
        "\nThe account needs some ether for transactions and, where registration is not open, an operator's leave:"
    )
    typer.echo(f"  bflmec client register {folder}")


@client.command()
def register(
    folder: Folder,
    network: NetworkName = None,
    deployment: DeploymentFile = None,
    config: ConfigFile = None,
    password_file: PasswordFile = None,
) -> None:
    """Register the account with its ML-DSA key. Costs gas; does nothing if it is registered.

    Example:  bflmec client register wallet
    """
    from eth_utils.address import to_checksum_address

    with opened(folder, network, deployment, config, password_file) as wallet:
        new = wallet.register()
        typer.echo(f"{'registered' if new else 'is registered'}  {to_checksum_address(wallet.account)}")


@client.command()
def status(
    folder: Folder,
    network: NetworkName = None,
    deployment: DeploymentFile = None,
    config: ConfigFile = None,
    password_file: PasswordFile = None,
    json: AsJson = False,
) -> None:
    """Show what the wallet holds, what waits, and what the ledger owes it.

    Example:  bflmec client status wallet
    """
    from bflmec.cli.wallet_text import status_json, status_text

    with opened(folder, network, deployment, config, password_file) as wallet:
        state = wallet.status()
    typer.echo(status_json(state) if json else status_text(state))


@client.command("rotate-key")
def rotate_key(
    folder: Folder,
    network: NetworkName = None,
    deployment: DeploymentFile = None,
    config: ConfigFile = None,
    password_file: PasswordFile = None,
) -> None:
    """Replace the ML-DSA key by a new one and register it. Costs gas. If it was interrupted, run it again.

    The old key file is kept in the wallet's folder `retired`.

    Example:  bflmec client rotate-key wallet
    """
    from bflmec.crypto.keystore import read_password

    with opened(folder, network, deployment, config, password_file) as wallet:
        digest = wallet.rotate_key(None if password_file is None else read_password(password_file))
    typer.echo(f"key digest  0x{digest.hex()}")


@client.command("audit-proof")
def audit_proof(
    folder: Folder,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Default: stdout.")] = None,
    network: NetworkName = None,
    deployment: DeploymentFile = None,
    config: ConfigFile = None,
    password_file: PasswordFile = None,
) -> None:
    """Write a document that proves to anybody what this client has contributed and earned.

    It holds signed headers, receipts, blocks and a Merkle proof, and no local gradient.

    Example:  bflmec client audit-proof wallet --out proof.json
    """
    from bflmec.errors import WalletError
    from bflmec.files import write_atomically

    with opened(folder, network, deployment, config, password_file) as wallet:
        document = wallet.audit_proof().encode()
    if out is None:
        typer.echo(document.decode(), nl=False)
        return
    try:
        write_atomically(out, document)
    except OSError as error:
        raise WalletError(f"can't write {out}: {error.strerror}") from error
    typer.echo(f"{out}: {len(document)} bytes; check it with: bflmec client check-proof {out}")


@client.command("check-proof")
def check_proof(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Audit proof.")],
    network: Annotated[
        str | None,
        typer.Option("--network", "-n", metavar="NAME", help="Network or URL, to ask the ledger, too."),
    ] = None,
    deployment: Annotated[
        Path | None, typer.Option("--deployment", "-d", metavar="FILE", help="Deployment record of the ledger.")
    ] = None,
) -> None:
    """Check an audit proof: alone, or with --network and --deployment against the ledger. Exit code 61 if it fails.

    Example:  bflmec client check-proof proof.json --network local --deployment deployment.json
    """
    from bflmec.cli.wallet_text import print_report
    from bflmec.client.audit import verify_audit_proof
    from bflmec.client.audit_proof import MAX_DOCUMENT
    from bflmec.errors import ConfigError, MessageError, VerificationError

    if (network is None) != (deployment is None):
        raise ConfigError("--network and --deployment go together: both are needed to ask the ledger")
    try:
        with file.open("rb") as opened_file:
            document = opened_file.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise MessageError(f"can't read {file}: {error.strerror}") from error
    if network is None or deployment is None:
        report = verify_audit_proof(document)
    else:
        from bflmec.ledger.client import LedgerClient
        from bflmec.ledger.deployment import Deployment
        from bflmec.ledger.network import connect, find_network

        ledger = LedgerClient(connect(find_network(network)), Deployment.load(deployment))
        report = verify_audit_proof(document, ledger)
    print_report(report)
    if not report.holds:
        raise VerificationError(f"{file} does not hold")


@contextmanager
def opened(
    folder: Path,
    network: str | None,
    deployment: Path | None,
    config: Path | None,
    password_file: Path | None,
    patience: float | None = None,
) -> Iterator[Wallet]:
    """The wallet that the options of a command name."""
    from bflmec.client.wallet import PATIENCE, Wallet
    from bflmec.crypto.keystore import read_password

    password = None if password_file is None else read_password(password_file)
    with Wallet.open(
        folder,
        password,
        network=network,
        deployment=deployment,
        config=config,
        patience=PATIENCE if patience is None else patience,
    ) as wallet:
        yield wallet
