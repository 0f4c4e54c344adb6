"""`bflmec participants`: the commands on edge nodes"""

from __future__ import annotations

from typing import Annotated

import typer

from bflmec.cli.connection import DEFAULT_RECORD, AccountKey, NetworkName, NetworksFile, PasswordFile, Record

edge_nodes = typer.Typer()

EdgeNodeId = Annotated[int, typer.Argument(metavar="ID", min=1, max=2**16 - 1, help="Id of an edge node.")]
SignatureKey = Annotated[
    str, typer.Option("--signature-key", metavar="DIGEST", help="SHA-256 of its ML-DSA public key.")
]
EncapsulationKey = Annotated[
    str, typer.Option("--encapsulation-key", metavar="DIGEST", help="SHA-256 of its ML-KEM public key.")
]


@edge_nodes.command()
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
    from bflmec.cli.registry_owner import as_owner

    address, keys = parse_address(account), (parse_digest(signature_key), parse_digest(encapsulation_key))
    registry = as_owner(deployment, network, networks, key, password_file).participants
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


@edge_nodes.command()
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
    from bflmec.cli.registry_owner import as_owner

    registry = as_owner(deployment, network, networks, key, password_file).participants
    if not registry.edge_node(id_).active:
        typer.echo(f"edge node {id_} is retired already")
        return
    registry.retire_edge_node(id_)
    typer.echo(f"retired edge node {id_}")


@edge_nodes.command("replace-keys")
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
    from bflmec.cli.registry_owner import as_owner

    keys = parse_digest(signature_key), parse_digest(encapsulation_key)
    registry = as_owner(deployment, network, networks, key, password_file).participants
    node = registry.edge_node(id_)
    if (node.signature_key_digest, node.encapsulation_key_digest) == keys:
        typer.echo(f"edge node {id_} has these keys already")
        return
    registry.replace_edge_node_keys(id_, *keys)
    typer.echo(f"replaced the keys of edge node {id_}")


@edge_nodes.command()
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
    from bflmec.cli.registry_owner import as_owner

    registry = as_owner(deployment, network, networks, key, password_file).participants
    if registry.edge_node(id_).endpoint == endpoint:
        typer.echo(f"edge node {id_} is there already")
        return
    registry.update_endpoint(id_, endpoint)
    typer.echo(f"moved edge node {id_} to {endpoint}")


@edge_nodes.command()
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
    from bflmec.cli.registry_owner import as_owner
    from bflmec.errors import LedgerError
    from bflmec.ledger.xmss_certificates import XMSSCertificatesClient

    address, digest = parse_address(account), parse_digest(root)
    ledger = as_owner(deployment, network, networks, key, password_file)
    if ledger.deployment.parameters.certificate_scheme != "xmss":
        raise LedgerError("edge nodes of this ledger certify with their accounts' keys; there is nothing to enroll")
    trees = XMSSCertificatesClient(ledger.sender, ledger.deployment.certificates)
    if trees.tree(address).root == digest:
        typer.echo("enrolled already")
        return
    trees.enroll(address, digest, height)
    typer.echo(f"enrolled, as tree {trees.tree(address).epoch}")
