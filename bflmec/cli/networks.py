"""`bflmec networks`"""

from __future__ import annotations

from typing import Annotated

import typer

from bflmec.cli.connection import NetworksFile

networks = typer.Typer(
    no_args_is_help=True,
    help="""The Ethereum networks that commands know by name.

    Example:  bflmec networks list
    """,
)


@networks.command("list")
def list_(file: NetworksFile = None) -> None:
    """The networks of the networks file, and `local`. Asks none of them, and shows no secret of their URLs.

    Example:  bflmec networks list
    """
    from bflmec.ledger.network import load_networks

    for name, network in load_networks(file).items():
        chain = "any chain" if network.chain_id is None else f"chain {network.chain_id}"
        typer.echo(f"{name:15} {chain:20} {network.confirmations:3} confirmations  {network.location}")


@networks.command()
def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A network of the file, `local`, or an http(s) URL.")],
    file: NetworksFile = None,
) -> None:
    """Ask a network what it is: its chain, newest block and fees. Ends with exit code 51 if it is not the one expected.

    Example:  bflmec networks check local
    """
    from bflmec.ledger.network import connect, find_network
    from bflmec.ledger.sender import ledger_errors

    network = find_network(name, file)
    w3 = connect(network)
    with ledger_errors():
        block = w3.eth.get_block("latest")
        client, price = w3.client_version, w3.eth.gas_price
    kind = "a base fee (EIP-1559)" if "baseFeePerGas" in block else "legacy gas prices"
    typer.echo(f"address     {network.location}")
    typer.echo(f"client      {''.join(part for part in client if part.isprintable())[:100]}")
    typer.echo(f"chain       {w3.eth.chain_id}")
    typer.echo(f"block       {block['number']}, with a limit of {block['gasLimit']:,} gas")
    typer.echo(f"fees        {kind}, now {price / 10**9:.3f} gwei")


@networks.command()
def brownie(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A network of the file, `local`, or an http(s) URL.")],
    as_: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="How Brownie will call it; default: the same.")
    ] = None,
    file: NetworksFile = None,
) -> None:
    """Print the command that tells Brownie of a network, for `brownie run deploy --network NAME`.

    Variables in the URL stay variables: Brownie, too, takes them from the environment.

    Example:  bflmec networks brownie testnet
    """
    import shlex

    from bflmec.errors import ConfigError
    from bflmec.ledger.network import connect, find_network

    network = find_network(name, file)
    known_as = as_ or name
    if "://" in known_as:
        raise ConfigError("give a --name for this URL")
    chain_id = network.chain_id or connect(network).eth.chain_id
    command = ["brownie", "networks", "add", "live", known_as, f"host={network.rpc}", f"chainid={chain_id}"]
    typer.echo(shlex.join([*command, f"timeout={int(network.timeout)}"]))
