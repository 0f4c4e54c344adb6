"""`bflmec participants`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bflmec.cli.connection import DEFAULT_RECORD, AccountKey, NetworkName, NetworksFile, PasswordFile, Record

if TYPE_CHECKING:
    from bflmec.ledger.client import LedgerClient
    from bflmec.ledger.participants import EdgeNode

participants = typer.Typer(
    no_args_is_help=True,
    help="""Who takes part in a ledger: look, and during the set-up admit edge nodes and allow clients.

    Until the set-up ends, the account that deployed the ledger decides; afterwards a quorum of edge nodes does. What is
    so already is left as it is, so each command may be repeated.

    Examples:  bflmec participants list      bflmec participants allow 0x… --key owner.json
    """,
)

EdgeNodeId = Annotated[int, typer.Argument(metavar="ID", min=1, max=2**16 - 1, help="Id of an edge node.")]
SignatureKey = Annotated[
    str, typer.Option("--signature-key", metavar="DIGEST", help="SHA-256 of its ML-DSA public key.")
]
EncapsulationKey = Annotated[
    str, typer.Option("--encapsulation-key", metavar="DIGEST", help="SHA-256 of its ML-KEM public key.")
]
_Accounts = list[str] | None


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
    from bflmec.errors import ConfigError

    addresses = [parse_address(text) for text in [*(accounts or []), *(_lines(file) if file else [])]]
    if not addresses:
        raise ConfigError("name the accounts to allow, or a --file of them")
    registry = _as_owner(deployment, network, networks, key, password_file).participants
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

    address = parse_address(account)
    registry = _as_owner(deployment, network, networks, key, password_file).participants
    if registry.client_key_digest(address) is None and not registry.is_client_allowed(address):
        typer.echo("this account is no client")
        return
    registry.remove_client(address)
    typer.echo("removed")


@participants.command()
def admit(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Address of the edge node's ledger account.")],
    endpoint: Annotated[str, typer.Argument(metavar="URL", help="Where clients and other edge nodes reach it.")],
    signature_key: SignatureKey,
    encapsulation_key: EncapsulationKey,
    key: AccountKey,
    deployment: Record = DEFAULT_RECORD,
    network: NetworkName = "local",
    networks: NetworksFile = None,
    password_file: PasswordFile = None,
) -> None:
    """Admit an edge node; prints its id. `bflmec edge init` prints the digests.

    Example:  bflmec participants admit 0x… https://edge1.example --signature-key 0x… --encapsulation-key 0x… -k o.json
    """
    from bflmec.cli.connection import parse_address, parse_digest

    address, keys = parse_address(account), (parse_digest(signature_key), parse_digest(encapsulation_key))
    registry = _as_owner(deployment, network, networks, key, password_file).participants
    known = registry.edge_node_id(address)
    if known is not None:
        node = registry.edge_node(known)
        if node.active and (node.signature_key_digest, node.encapsulation_key_digest) == keys:
            typer.echo(f"edge node {known} already")
            if node.endpoint != endpoint:
                registry.update_endpoint(known, endpoint)
                typer.echo(f"moved to {endpoint}")
            return
    typer.echo(f"edge node {registry.admit_edge_node(address, *keys, endpoint)}")


@participants.command()
def retire(
    id_: EdgeNodeId,
    key: AccountKey,
    deployment: Record = DEFAULT_RECORD,
    network: NetworkName = "local",
    networks: NetworksFile = None,
    password_file: PasswordFile = None,
) -> None:
    """Retire an edge node for good: it certifies nothing more, and more than half of the others are enough.

    Example:  bflmec participants retire 3 --key owner.json
    """
    registry = _as_owner(deployment, network, networks, key, password_file).participants
    if not registry.edge_node(id_).active:
        typer.echo(f"edge node {id_} is retired already")
        return
    registry.retire_edge_node(id_)
    typer.echo(f"retired edge node {id_}")


@participants.command("replace-keys")
def replace_keys(
    id_: EdgeNodeId,
    signature_key: SignatureKey,
    encapsulation_key: EncapsulationKey,
    key: AccountKey,
    deployment: Record = DEFAULT_RECORD,
    network: NetworkName = "local",
    networks: NetworksFile = None,
    password_file: PasswordFile = None,
) -> None:
    """Give an active edge node other post-quantum keys.

    Example:  bflmec participants replace-keys 2 --signature-key 0x… --encapsulation-key 0x… --key owner.json
    """
    from bflmec.cli.connection import parse_digest

    keys = parse_digest(signature_key), parse_digest(encapsulation_key)
    registry = _as_owner(deployment, network, networks, key, password_file).participants
    node = registry.edge_node(id_)
    if (node.signature_key_digest, node.encapsulation_key_digest) == keys:
        typer.echo(f"edge node {id_} has these keys already")
        return
    registry.replace_edge_node_keys(id_, *keys)
    typer.echo(f"replaced the keys of edge node {id_}")


@participants.command()
def move(
    id_: EdgeNodeId,
    endpoint: Annotated[str, typer.Argument(metavar="URL", help="Where it can be reached from now on.")],
    key: AccountKey,
    deployment: Record = DEFAULT_RECORD,
    network: NetworkName = "local",
    networks: NetworksFile = None,
    password_file: PasswordFile = None,
) -> None:
    """Move an active edge node to another endpoint.

    Example:  bflmec participants move 2 https://edge2.example:8600 --key owner.json
    """
    registry = _as_owner(deployment, network, networks, key, password_file).participants
    if registry.edge_node(id_).endpoint == endpoint:
        typer.echo(f"edge node {id_} is there already")
        return
    registry.update_endpoint(id_, endpoint)
    typer.echo(f"moved edge node {id_} to {endpoint}")


@participants.command()
def enroll(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Address of the edge node's ledger account.")],
    root: Annotated[str, typer.Argument(metavar="ROOT", help="Root of its tree of one-time keys, 32 bytes in hex.")],
    height: Annotated[int, typer.Argument(metavar="HEIGHT", help="Levels of the tree.")],
    key: AccountKey,
    deployment: Record = DEFAULT_RECORD,
    network: NetworkName = "local",
    networks: NetworksFile = None,
    password_file: PasswordFile = None,
) -> None:
    """Give an edge node its tree of one-time keys, on a ledger with certificates of hash-based signatures.

    Example:  bflmec participants enroll 0x… 0x… 16 --key owner.json
    """
    from bflmec.cli.connection import parse_address, parse_digest
    from bflmec.errors import LedgerError
    from bflmec.ledger.xmss_certificates import XMSSCertificatesClient

    address, digest = parse_address(account), parse_digest(root)
    ledger = _as_owner(deployment, network, networks, key, password_file)
    if ledger.deployment.parameters.certificate_scheme != "xmss":
        raise LedgerError("edge nodes of this ledger certify with their accounts' keys; there is nothing to enroll")
    trees = XMSSCertificatesClient(ledger.sender, ledger.deployment.certificates)
    if trees.tree(address).root == digest:
        typer.echo("enrolled already")
        return
    trees.enroll(address, digest, height)
    typer.echo(f"enrolled, as tree {trees.tree(address).epoch}")


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


def _as_owner(record: Path, network: str, networks: Path | None, key: Path, password_file: Path | None) -> LedgerClient:
    """The ledger, for the account that may change its registry. Raises LedgerError if that is another one."""
    from eth_utils.address import to_checksum_address

    from bflmec.cli.connection import open_account, open_ledger
    from bflmec.errors import LedgerError

    account = open_account(key, password_file)
    ledger = open_ledger(record, network, networks, account)
    owner = ledger.participants.owner()
    if owner == ledger.deployment.government:
        raise LedgerError("the set-up has ended: who takes part is decided by the quorum of edge nodes")
    if owner != ledger.sender.address:
        raise LedgerError(f"{to_checksum_address(owner)} decides until the set-up ends, not {account.address}")
    return ledger


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
