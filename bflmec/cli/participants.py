"""`bflmec participants`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bflmec.cli.connection import DEFAULT_RECORD, AccountKey, NetworkName, NetworksFile, PasswordFile, Record
from bflmec.cli.edge_nodes import edge_nodes

if TYPE_CHECKING:
    from bflmec.ledger.participants import EdgeNode

participants = typer.Typer(
    no_args_is_help=True,
    help="""Who takes part in a ledger: look, and during the set-up admit edge nodes and allow clients.

    Until the set-up ends, the account that deployed the ledger decides; afterwards a quorum of edge nodes does. What is
    so already is left as it is, so each command may be repeated.

    Examples:  bflmec participants list      bflmec participants allow 0x… --key owner.json
    """,
)

_Accounts = list[str] | None


participants.add_typer(edge_nodes)


@participants.command("list")
def list_(
    json: Annotated[bool, typer.Option("--json", help="One JSON object for each edge node.")] = False,
    deployment: Record = DEFAULT_RECORD,
    network: NetworkName = "local",
    networks: NetworksFile = None,
) -> None:
    """The edge nodes, active and retired, and who decides.

    Example:  bflmec participants list --network testnet
    """
    from eth_utils.address import to_checksum_address

    from bflmec.cli.connection import open_ledger

    ledger = open_ledger(deployment, network, networks)
    registry = ledger.participants
    nodes = [registry.edge_node(id_) for id_ in range(1, registry.last_edge_node_id() + 1)]
    if json:
        for node in nodes:
            typer.echo(_as_json(node))
        return
    for node in nodes:
        state = "active" if node.active else "retired"
        typer.echo(f"{node.id:5}  {to_checksum_address(node.account)}  {state:7}  {_printable(node.endpoint)}")
    owner = registry.owner()
    ended = owner == ledger.deployment.government
    typer.echo(f"decides: {'the quorum of edge nodes' if ended else to_checksum_address(owner)}")
    typer.echo(f"clients: {'everybody may register' if registry.open_registration() else 'those allowed may register'}")


@participants.command()
def client(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Address of a client.")],
    deployment: Record = DEFAULT_RECORD,
    network: NetworkName = "local",
    networks: NetworksFile = None,
) -> None:
    """Whether an account is allowed as a client, and the key that it registered.

    Example:  bflmec participants client 0x…
    """
    from bflmec.cli.connection import open_ledger, parse_address

    address = parse_address(account)
    registry = open_ledger(deployment, network, networks).participants
    digest = registry.client_key_digest(address)
    allowed = registry.open_registration() or registry.is_client_allowed(address)
    typer.echo(f"allowed     {'yes' if allowed else 'no'}")
    typer.echo(f"key digest  {'none is registered' if digest is None else '0x' + digest.hex()}")


@participants.command()
def allow(
    key: AccountKey,
    accounts: Annotated[_Accounts, typer.Argument(metavar="ACCOUNT…", help="Addresses of clients.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="A file with one address on each line.")
    ] = None,
    deployment: Record = DEFAULT_RECORD,
    network: NetworkName = "local",
    networks: NetworksFile = None,
    password_file: PasswordFile = None,
) -> None:
    """Let accounts register as clients.

    Examples:  bflmec participants allow 0x… --key owner.json      bflmec participants allow -f fleet.txt -k owner.json
    """
    from bflmec.cli.connection import parse_address
    from bflmec.cli.registry_owner import as_owner
    from bflmec.errors import ConfigError

    addresses = [parse_address(text) for text in [*(accounts or []), *(_lines(file) if file else [])]]
    if not addresses:
        raise ConfigError("name the accounts to allow, or a --file of them")
    registry = as_owner(deployment, network, networks, key, password_file).participants
    missing = [address for address in dict.fromkeys(addresses) if not registry.is_client_allowed(address)]
    registry.allow_clients(missing)
    typer.echo(f"allowed {len(missing)}; {len(set(addresses)) - len(missing)} were already")


@participants.command()
def remove(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Address of a client.")],
    key: AccountKey,
    deployment: Record = DEFAULT_RECORD,
    network: NetworkName = "local",
    networks: NetworksFile = None,
    password_file: PasswordFile = None,
) -> None:
    """Take a client out: edge nodes accept nothing more from it. What was recorded stays.

    Example:  bflmec participants remove 0x… --key owner.json
    """
    from bflmec.cli.connection import parse_address
    from bflmec.cli.registry_owner import as_owner

    address = parse_address(account)
    registry = as_owner(deployment, network, networks, key, password_file).participants
    if registry.client_key_digest(address) is None and not registry.is_client_allowed(address):
        typer.echo("this account is no client")
        return
    registry.remove_client(address)
    typer.echo("removed")


@participants.command("end-set-up")
def end_set_up(
    key: AccountKey,
    deployment: Record = DEFAULT_RECORD,
    network: NetworkName = "local",
    networks: NetworksFile = None,
    password_file: PasswordFile = None,
) -> None:
    """Give the registry to the quorum of edge nodes, for good: this key decides nothing afterwards.

    Example:  bflmec participants end-set-up --key owner.json
    """
    from bflmec.cli.connection import open_account, open_ledger
    from bflmec.ledger.government import GovernmentClient
    from bflmec.ledger.xmss_certificates import XMSSCertificatesClient

    ledger = open_ledger(deployment, network, networks, open_account(key, password_file))
    is_one_time = ledger.deployment.parameters.certificate_scheme == "xmss"
    trees = XMSSCertificatesClient(ledger.sender, ledger.deployment.certificates) if is_one_time else None
    GovernmentClient(ledger.sender, ledger.deployment.government).end_set_up(ledger.participants, trees)
    typer.echo("the quorum of edge nodes decides from now on")


def _lines(file: Path) -> list[str]:
    from bflmec.errors import ConfigError

    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't read {file}: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _as_json(node: EdgeNode) -> str:
    import json

    from eth_utils.address import to_checksum_address

    return json.dumps(
        {
            "id": node.id,
            "account": to_checksum_address(node.account),
            "active": node.active,
            "signature_key_digest": "0x" + node.signature_key_digest.hex(),
            "encapsulation_key_digest": "0x" + node.encapsulation_key_digest.hex(),
            "endpoint": node.endpoint,
        }
    )


def _printable(text: str) -> str:
    """What the ledger holds was written by others: no control characters reach the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
