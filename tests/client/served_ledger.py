"""A ledger that is served: chain and edge node over HTTP on loopback, everything real."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from eth_account import Account
from typer.testing import CliRunner
from web3 import HTTPProvider, Web3

from bflmec.cli.main import app
from bflmec.client.wallet import Wallet
from bflmec.configuration import Config, as_toml, load
from bflmec.consortium.commitments import deployment_parameters
from bflmec.consortium.genesis import genesis_of
from bflmec.crypto.encapsulation import DecapsulationKey
from bflmec.crypto.keys import Role, derived_identity, derived_seed
from bflmec.crypto.schemes import signature_scheme
from bflmec.devchain import DevChain
from bflmec.devchain import Genesis as ChainGenesis
from bflmec.devchain.service.accounts import dev_accounts
from bflmec.devchain.service.miner import Miner
from bflmec.devchain.service.server import ChainServer
from bflmec.edge.assembly import assemble
from bflmec.edge.directory import EdgeKeys
from bflmec.edge.server import EdgeServer, listening_socket
from bflmec.edge.settings import Settings
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import Deployment, deploy

OWNER = Account.from_key(b"\x01" * 32)
ETHER = 10**18
DEADLINE = 60.0


@dataclass(frozen=True)
class ServedLedger:
    """`folder` holds config.toml and deployment.json; `rpc` is the chain's URL, `edge` the edge node's."""

    folder: Path
    config: Config
    deployment: Deployment
    ledger: LedgerClient
    rpc: str
    edge: str

    def run(self, *arguments: str | Path) -> str:
        """What a `bflmec` command prints. Raises what ended it."""
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None:
            raise result.exception
        return result.output

    def new_wallet(self, name: str) -> Path:
        """A wallet made by command, with ether, registered."""
        path = self.folder / name
        self.run(
            *("client", "init", path, "--network", self.rpc),
            *("--deployment", self.folder / "deployment.json", "--config", self.folder / "config.toml"),
        )
        account = msgspec.json.decode((path / "account.json").read_bytes())["address"]
        self.run("chain", "fund", Web3.to_checksum_address(account), "--network", self.rpc)
        self.run("client", "register", path)
        return path

    def wallet(self, path: Path, **options: Any) -> Wallet:
        return Wallet.open(path, **options)


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` returns when it is true at last."""
    end = time.monotonic() + DEADLINE
    while not (result := condition()):
        assert time.monotonic() < end, f"{what} never came"
        time.sleep(0.02)
    return result


@contextmanager
def served_ledger(folder: Path, *settings: str) -> Iterator[ServedLedger]:
    """One edge node, registration open to everybody."""
    config = load(
        None,
        [
            *("dataset=digits", "partition=iid", "samples_per_client=120", "data_threshold=20", "learning_rate=0.1"),
            *("aggregation_threshold=3", "registration=open", "record_after=0.2", "ledger.difficulty=16"),
            *("clustering=dbscan", "eps=100.0"),  # everybody is alike enough to be paid
            *settings,
        ],
    )
    genesis = genesis_of(config)
    node = derived_identity(1, Role.EDGE_NODE, 1)
    scheme = signature_scheme("ML-DSA-44")
    seed = derived_seed(1, Role.EDGE_NODE, 1, "encapsulation", 64)
    keys = EdgeKeys(node.account_key, scheme.name, node.signing_key(scheme), DecapsulationKey(seed))
    rich = bytes.fromhex(OWNER.address[2:]), node.address, dev_accounts(1)[0].address
    with ExitStack() as stack:
        balances = dict.fromkeys(rich, 1000 * ETHER)
        chain = stack.enter_context(
            DevChain.create(None, ChainGenesis(timestamp=1_700_000_000, difficulty=4, balances=balances))
        )
        stack.enter_context(Miner(chain))
        server = stack.enter_context(ChainServer(chain, port=0))
        w3 = Web3(HTTPProvider(server.url))
        deployment = deploy(w3, OWNER, deployment_parameters(config, genesis))
        ledger = LedgerClient(w3, deployment, OWNER)
        with listening_socket("127.0.0.1", 0) as free:
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        ledger.participants.admit_edge_node(keys.account, keys.signature_digest, keys.encapsulation_digest, url)
        edge_folder = folder / "edge"
        edge_folder.mkdir()
        parts = assemble(
            config,
            Settings(port=port),
            keys,
            Web3(HTTPProvider(server.url)),
            deployment,
            store=edge_folder / "edge.sqlite",
            blobs=edge_folder / "blobs",
            poll_interval=0.1,
        )
        stack.enter_context(EdgeServer(parts))
        deployment.save(folder / "deployment.json")
        (folder / "config.toml").write_text(as_toml(config))
        yield ServedLedger(folder, config, deployment, ledger, server.url, url)
