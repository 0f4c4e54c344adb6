"""What the benchmarks of edge nodes share: a chain, a ledger and edge nodes as processes, and clients that sign."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from eth_account import Account
from eth_utils.address import to_checksum_address
from web3 import HTTPProvider, Web3

from bflmec.configuration import Config, load
from bflmec.configuration.writing import as_toml
from bflmec.consortium.commitments import deployment_parameters
from bflmec.consortium.genesis import Genesis, genesis_of
from bflmec.crypto.keys import key_digest
from bflmec.crypto.schemes import signature_scheme
from bflmec.devchain.service.accounts import dev_accounts
from bflmec.edge.directory import EdgeDirectory
from bflmec.learning.blob import encode_blob
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import Deployment, deploy
from bflmec.ledger.participants import ParticipantsClient
from bflmec.ledger.sender import Sender
from bflmec.protocol.messages import GRADIENT_CONTEXT, Envelope, GradientHeader, Mode, SignedHeader, encode
from bflmec.transport.edge_api import EdgeApi
from bflmec.transport.node_info import Recipient

BFLMEC = (sys.executable, "-c", "from bflmec.cli import main; main()")
SCHEME = signature_scheme("ML-DSA-44")
ACCOUNTS = 100
ETHER = 10**18


class Server:
    """A command that prints `listening on URL`, ready when it is made."""

    def __init__(self, *command: str, log: Path) -> None:
        with log.open("ab") as errors:
            environment = os.environ | {"PYTHONUNBUFFERED": "1"}
            self.process = subprocess.Popen([*BFLMEC, *command], stdout=subprocess.PIPE, stderr=errors, env=environment)
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        found = re.match(r"listening on (http://\S+) ", line)
        if found is None:
            raise SystemExit(f"{' '.join(command)}: {line}{log.read_text()}")
        self.url = found[1]

    def end(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=60)

    def cpu_seconds(self) -> float:
        """Of the process without its nonce search."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Uploader:
    """A registered client."""

    account: bytes
    key: bytes
    sequence: int = 0

    def register(self, rpc: str, participants: bytes) -> None:
        own = ParticipantsClient(Sender(Web3(HTTPProvider(rpc)), Account.from_key(self.key)), participants)
        own.register_client(key_digest(SCHEME.from_seed(self.key).public_key))

    def envelope(self, network: Network, anchor: int, anchor_hash: bytes) -> bytes:
        """A local gradient: a direction that all share, and noise."""
        self.sequence += 1
        size = network.genesis.model.spec.size
        rng = np.random.default_rng([int.from_bytes(self.account[:4], "big"), self.sequence])
        vector = (0.01 + rng.normal(0, 0.001, size)).astype(np.float32)
        blob = encode_blob(network.genesis.model.spec, vector)
        header = GradientHeader(
            network.deployment.chain_id,
            network.deployment.ledger,
            self.account,
            self.sequence,
            anchor,
            anchor_hash,
            Mode.DELTA,
            sha256(blob).digest(),
            len(blob),
            1,
        )
        signing = SCHEME.from_seed(self.key)
        signature = signing.sign(header.digest, GRADIENT_CONTEXT)
        return encode(Envelope(SignedHeader(header.encode(), SCHEME.name, signature, signing.public_key), blob))


@dataclass
class Network:
    """Everything that runs."""

    config: Config
    genesis: Genesis
    deployment: Deployment
    ledger: LedgerClient
    rpc: str
    edge_nodes: list[Server]
    directories: list[EdgeDirectory]
    uploaders: list[Uploader]

    def recipient(self, number: int) -> Recipient:
        keys = self.directories[number].keys()
        with EdgeApi(self.edge_nodes[number].url) as api:
            return api.node().recipient(keys.signature_digest, keys.encapsulation_digest)


@contextmanager
def network(folder: Path, edge_nodes: int, clients: int, *settings: str) -> Iterator[Network]:
    """A ledger of that configuration, with so many edge nodes and clients (at most 99) registered."""
    with ExitStack() as stack:
        chain = Server("chain", "serve", "--port", "0", "--accounts", str(ACCOUNTS), log=folder / "chain.log")
        stack.callback(chain.end)
        config = load(None, [*settings, "ledger.registration=open"])
        (folder / "config.toml").write_text(as_toml(config))
        genesis = genesis_of(config)
        w3 = Web3(HTTPProvider(chain.url))
        accounts = dev_accounts(ACCOUNTS)
        owner = Account.from_key(accounts[0].key)
        deployment = deploy(w3, owner, deployment_parameters(config, genesis))
        deployment.save(folder / "deployment.json")
        ledger = LedgerClient(w3, deployment, owner)
        made = Network(config, genesis, deployment, ledger, chain.url, [], [], [])
        for number in range(edge_nodes):
            made.directories.append(_admitted(made, folder / f"edge-{number + 1}", free_port()))
        for number, directory in enumerate(made.directories):
            server = Server(*_start(directory, folder, chain.url), log=folder / f"edge-{number + 1}.log")
            stack.callback(server.end)
            made.edge_nodes.append(server)
        for account in accounts[1 : clients + 1]:
            uploader = Uploader(account.address, account.key)
            uploader.register(chain.url, deployment.participants)
            made.uploaders.append(uploader)
        time.sleep(1)
        yield made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(directory: EdgeDirectory, folder: Path, rpc: str) -> tuple[str, ...]:
    files = ("--deployment", str(folder / "deployment.json"), "--config", str(folder / "config.toml"))
    return "edge", "start", str(directory.path), "--network", rpc, *files


def _admitted(made: Network, path: Path, port: int) -> EdgeDirectory:
    directory = EdgeDirectory.create(path, scheme=SCHEME.name, password=None, port=port)
    keys = directory.keys()
    owner = Account.from_key(dev_accounts(1)[0].key)
    w3 = Web3(HTTPProvider(made.rpc))
    transfer = {
        "to": to_checksum_address(keys.account),
        "value": 100 * ETHER,
        "gas": 21_000,
        "gasPrice": 2 * w3.eth.gas_price,
        "nonce": w3.eth.get_transaction_count(owner.address),
        "chainId": w3.eth.chain_id,
    }
    w3.eth.wait_for_transaction_receipt(w3.eth.send_raw_transaction(owner.sign_transaction(transfer).raw_transaction))
    endpoint = f"http://127.0.0.1:{port}"
    made.ledger.participants.admit_edge_node(keys.account, keys.signature_digest, keys.encapsulation_digest, endpoint)
    return directory
