"""`bflmec challenge`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bflmec.ledger.challenges import Evidence
    from bflmec.ledger.client import LedgerClient

challenge = typer.Typer(
    no_args_is_help=True,
    help="""Stakes of edge nodes, and challenges of blocks that they should not have certified.

    For ledgers whose clients sign with ML-DSA-44. Whoever shows that a recorded local gradient has a false signature,
    belongs to another client or ledger, or repeats a sequence, gets half of the stakes of those who certified it.

    Examples:  bflmec challenge look 12 --store runs/mine/blobs      bflmec challenge deploy --key owner.json
    """,
)

Record = Annotated[Path, typer.Option("--deployment", "-d", metavar="FILE", help="The ledger's deployment record.")]
NetworkName = Annotated[str, typer.Option("--network", "-n", metavar="NAME", help="Name or URL of the network.")]
Contract = Annotated[str, typer.Option("--challenges", metavar="ADDRESS", help="Address of the Challenges contract.")]
Key = Annotated[Path, typer.Option("--key", "-k", metavar="FILE", help="Key file of the account that pays.")]
Password = Annotated[
    Path | None, typer.Option("--password-file", "-p", metavar="FILE", help="Take the key's password from this file.")
]
Store = Annotated[
    str, typer.Option("--store", "-s", metavar="LOCATION", help="Where block bodies are: folder or IPFS.")
]
Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Number of the block.")]
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Ledger account of the edge node.")]

_DEPLOYMENT = Path("deployment.json")


@challenge.command()
def deploy(
    key: Key,
    window: Annotated[
        int, typer.Option("--window", min=1, help="How many of the newest blocks can be challenged.")
    ] = 64,
    deployment: Record = _DEPLOYMENT,
    network: NetworkName = "local",
    password_file: Password = None,
) -> None:
    """Deploy the contracts for stakes and challenges of a ledger; print their address.

    Example:  bflmec challenge deploy --key owner.json --network testnet
    """
    from eth_utils.address import to_checksum_address

    from bflmec.ledger.challenges import deploy_challenges

    client = _client(deployment, network, key, password_file)
    typer.echo(to_checksum_address(deploy_challenges(client.sender, client.deployment, window)))


@challenge.command()
def deposit(
    account: Account,
    amount: Annotated[int, typer.Argument(metavar="WEI", min=1, help="What to add to the stake, in wei.")],
    challenges: Contract,
    key: Key,
    deployment: Record = _DEPLOYMENT,
    network: NetworkName = "local",
    password_file: Password = None,
) -> None:
    """Add to an edge node's stake.

    Example:  bflmec challenge deposit $EDGE_NODE 1000000000000000000 --challenges $CONTRACT --key edge.json
    """
    from bflmec.ledger.challenges import ChallengesClient

    client = _client(deployment, network, key, password_file)
    contract = ChallengesClient(client.sender, _address(challenges))
    contract.deposit(_address(account), amount)
    typer.echo(f"{account} has a stake of {contract.stake_of(_address(account))} wei")


@challenge.command("exit")
def exit_(
    account: Account,
    challenges: Contract,
    key: Key,
    deployment: Record = _DEPLOYMENT,
    network: NetworkName = "local",
    password_file: Password = None,
) -> None:
    """Take a retired edge node's stake back: the first call begins the wait, one after the window pays.

    Example:  bflmec challenge exit $EDGE_NODE --challenges $CONTRACT --key edge.json
    """
    from bflmec.errors import LedgerRevertedError
    from bflmec.ledger.challenges import ChallengesClient

    client = _client(deployment, network, key, password_file)
    contract = ChallengesClient(client.sender, _address(challenges))
    try:
        contract.finish_exit(_address(account))
        typer.echo(f"the stake of {account} is paid out")
    except LedgerRevertedError as error:
        if error.name != "ChallengesExitNotBegun":
            raise
        contract.begin_exit(_address(account))
        typer.echo(f"the stake of {account} waits for {contract.window()} blocks; then call this again")


@challenge.command()
def look(number: Number, store: Store, deployment: Record = _DEPLOYMENT, network: NetworkName = "local") -> None:
    """Say what is wrong with a block, without filing anything.

    Example:  bflmec challenge look 12 --store runs/mine/blobs
    """
    for evidence in _evidence(_client(deployment, network), number, store):
        typer.echo(_described(evidence))


@challenge.command()
def file(
    number: Number,
    challenges: Contract,
    key: Key,
    store: Store,
    deployment: Record = _DEPLOYMENT,
    network: NetworkName = "local",
    password_file: Password = None,
) -> None:
    """Challenge the first fault of a block. The reward goes to the account that pays.

    Example:  bflmec challenge file 12 --challenges $CONTRACT --key me.json --store runs/mine/blobs
    """
    import os

    from bflmec.ledger.certificate_entries import entries_of
    from bflmec.ledger.challenges import Accusation, ChallengesClient

    client = _client(deployment, network, key, password_file)
    evidence = _evidence(client, number, store)[0]
    recorded = client.block(number)
    certificate = client.certificate(recorded)
    entries = entries_of(certificate, recorded.block.header.hash, client.deployment, client.sender)
    contract = ChallengesClient(client.sender, _address(challenges))
    accusation = Accusation(entries, client.sender.address, os.urandom(32))
    contract.announce(number, accusation)
    contract.challenge(evidence, accusation)
    typer.echo(f"{_described(evidence)}: proven; {len(entries)} edge nodes lose their stakes")


def _evidence(client: LedgerClient, number: int, store: str) -> list[Evidence]:
    """The faults of a block, after a look through those before it that it may repeat. Raises VerificationError if there
    is none, StorageError if its body is missing."""
    from bflmec.crypto.schemes import signature_scheme
    from bflmec.errors import StorageError, VerificationError
    from bflmec.ledger.watcher import SCHEME, Watcher
    from bflmec.protocol.messages import MAX_BODY, Body, decode
    from bflmec.storage import open_storage
    from bflmec.storage.cid import RAW, Cid

    mldsa, blobs, place = signature_scheme(SCHEME), open_storage(store), client.deployment

    def verify(scheme: str, public_key: bytes, message: bytes, signature: bytes, context: bytes) -> bool:
        return scheme == SCHEME and mldsa.verify(public_key, message, signature, context)

    watcher = Watcher(place.chain_id, place.ledger, client.participants.client_key_digests, verify)
    found: list[Evidence] = []
    for recorded in client.blocks(max(1, number - _LOOK_BACK), number):
        header = recorded.block.header
        try:
            body = decode(Body, blobs.get(Cid(RAW, header.body_digest), MAX_BODY))
        except StorageError:
            if header.number == number:
                raise
            typer.echo(f"the body of block {header.number} is missing: sequences of it are not compared", err=True)
            continue
        found = watcher.inspect(recorded.block, body)
    if not found:
        raise VerificationError(f"nothing is wrong with block {number}, as far as a challenge can show")
    return found


def _described(evidence: Evidence) -> str:
    wrong = {1: "header of another client, ledger or chain", 2: "false signature", 3: "sequence recorded before"}
    record = evidence.record
    return f"block {record.block.header.number}, transaction {record.index}: {wrong[evidence.fault]}"


def _client(deployment: Path, network: str, key: Path | None = None, password_file: Path | None = None) -> LedgerClient:
    from bflmec.cli.connection import open_account, open_ledger

    account = None if key is None else open_account(key, password_file)
    return open_ledger(deployment, network, None, account)


def _address(text: str) -> bytes:
    from eth_utils.address import is_checksum_address

    from bflmec.errors import ConfigError

    if not is_checksum_address(text):
        raise ConfigError(f"{text!r} is no account or contract: an address has 0x and 40 digits, with its checksum")
    return bytes.fromhex(text[2:])


_LOOK_BACK = 63
