"""Edge nodes as services on loopback, on an embedded chain that is served over HTTP: everything is real."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from eth_account import Account
from web3 import HTTPProvider, Web3

from bflmec.configuration import Config, load
from bflmec.consortium.commitments import deployment_parameters
from bflmec.consortium.genesis import Genesis, genesis_of
from bflmec.crypto.encapsulation import DecapsulationKey
from bflmec.crypto.keys import Identity, Role, derived_identity, derived_seed, key_digest
from bflmec.crypto.schemes import signature_scheme
from bflmec.devchain import DevChain
from bflmec.devchain import Genesis as ChainGenesis
from bflmec.devchain.service.miner import Miner
from bflmec.devchain.service.server import ChainServer
from bflmec.edge.assembly import assemble
from bflmec.edge.directory import EdgeKeys
from bflmec.edge.server import EdgeServer, listening_socket
from bflmec.edge.settings import Settings
from bflmec.learning.blob import encode_blob
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import Deployment, deploy
from bflmec.ledger.participants import ParticipantsClient
from bflmec.ledger.sender import Sender
from bflmec.protocol.messages import (
    GRADIENT_CONTEXT,
    Envelope,
    GradientHeader,
    Mode,
    Receipt,
    SignedHeader,
    decode,
    encode,
)
from bflmec.transport.edge_api import EdgeApi
from bflmec.transport.node_info import Recipient

SETTINGS = (
    "data.dataset=digits",
    "ledger.aggregation_threshold=4",
    "ledger.difficulty=64",
    "ledger.record_after=0.3",
    "ledger.registration=open",
)
OWNER = Account.from_key(b"\x01" * 32)
ETHER = 10**18
DEADLINE = 60.0
SCHEME = signature_scheme("ML-DSA-44")
EDGE_SETTINGS = Settings(port=0, patience=2.0, final_after=4, log_level="debug")


def edge_identity(number: int) -> Identity:
    return derived_identity(1, Role.EDGE_NODE, number)


def edge_keys(number: int) -> EdgeKeys:
    identity = edge_identity(number)
    seed = derived_seed(1, Role.EDGE_NODE, number, "encapsulation", 64)
    return EdgeKeys(identity.account_key, SCHEME.name, identity.signing_key(SCHEME), DecapsulationKey(seed))


def wait_until(condition: Callable[[], Any], what: str = "it") -> Any:
    end = time.monotonic() + DEADLINE
    while not (result := condition()):
        assert time.monotonic() < end, f"{what} never came"
        time.sleep(0.02)
    return result


@dataclass
class Uploader:
    """A client that signs local gradients: a common direction and some noise, so that they are high contributions."""

    number: int
    world: World
    sequence: int = 0

    def __post_init__(self) -> None:
        self.identity = derived_identity(1, Role.CLIENT, self.number)
        self.key = self.identity.signing_key(SCHEME)

    def register(self) -> None:
        sender = Sender(Web3(HTTPProvider(self.world.rpc)), self.identity.account())
        own = ParticipantsClient(sender, self.world.deployment.participants)
        own.register_client(key_digest(self.key.public_key))

    def envelope(self, **changes: Any) -> bytes:
        """The next local gradient, on the newest anchor."""
        self.sequence += 1
        anchor = self.world.ledger.latest_anchor()
        rng = np.random.default_rng([self.number, self.sequence])
        spec = self.world.genesis.model.spec
        vector = np.float32(0.01) + rng.normal(0, 0.001, spec.size).astype(np.float32)
        blob = encode_blob(spec, vector)
        parameters = self.world.deployment
        header = GradientHeader(
            parameters.chain_id,
            parameters.ledger,
            self.identity.address,
            self.sequence,
            anchor.number,
            anchor.hash,
            Mode.DELTA,
            sha256(blob).digest(),
            len(blob),
            1,
        )
        header = replace(header, **changes)
        signature = self.key.sign(header.digest, GRADIENT_CONTEXT)
        signed = SignedHeader(header.encode(), SCHEME.name, signature, self.key.public_key)
        return encode(Envelope(signed, blob))


@dataclass
class World:
    """Edge nodes and clients are known by their numbers, from 0."""

    path: Path
    config: Config
    genesis: Genesis
    chain: DevChain
    rpc: str
    deployment: Deployment
    ledger: LedgerClient
    ports: list[int]
    servers: dict[int, EdgeServer] = field(default_factory=dict)
    settings: Settings = EDGE_SETTINGS
    recipients: dict[int, Recipient] = field(default_factory=dict)

    def start(self, number: int, **changes: Any) -> EdgeServer:
        server = self.prepared(number, **changes)
        server.__enter__()
        self.servers[number] = server
        return server

    def prepared(self, number: int, **changes: Any) -> EdgeServer:
        """The service of an edge node, not started."""
        settings = msgspec.structs.replace(self.settings, port=self.ports[number], **changes)
        folder = self.path / f"edge-{number}"
        folder.mkdir(exist_ok=True)
        parts = assemble(
            self.config,
            settings,
            edge_keys(number),
            Web3(HTTPProvider(self.rpc)),
            self.deployment,
            store=folder / "edge.sqlite",
            blobs=folder / "blobs",
            poll_interval=0.1,
        )
        return EdgeServer(parts)

    def stop(self, number: int) -> None:
        self.servers.pop(number).__exit__(None, None, None)

    def api(self, number: int) -> EdgeApi:
        return EdgeApi(self.servers[number].url)

    def recipient(self, number: int) -> Recipient:
        """An edge node as a client knows it, who has asked once."""
        if number not in self.recipients:
            keys = edge_keys(number)
            with self.api(number) as api:
                self.recipients[number] = api.node().recipient(keys.signature_digest, keys.encapsulation_digest)
        return self.recipients[number]

    def uploader(self, number: int, *, register: bool = True) -> Uploader:
        """A client, that registers itself unless it is told not to."""
        uploader = Uploader(number, self)
        if register:
            uploader.register()
        return uploader

    def upload(self, number: int, envelope: bytes) -> Receipt:
        with self.api(number) as api:
            return api.upload(envelope, self.recipient(number))

    def anchors(self) -> int:
        """How many global updates there were."""
        return self.ledger.anchor_count() - 1


def digest_of(envelope: bytes) -> bytes:
    return GradientHeader.decode(decode(Envelope, envelope).signed.header).digest


@contextmanager
def world(path: Path, edge_nodes: int = 1, *settings: str, clients: int = 8) -> Iterator[World]:
    """A ledger with admitted edge nodes that are not started yet; they are stopped at the end."""
    config = load(None, [*SETTINGS, *settings])
    genesis = genesis_of(config)
    accounts = [edge_identity(number) for number in range(edge_nodes)]
    accounts += [derived_identity(1, Role.CLIENT, number) for number in range(clients)]
    balances = {bytes.fromhex(OWNER.address[2:]): 1000 * ETHER} | {who.address: 1000 * ETHER for who in accounts}
    with ExitStack() as stack:
        chain = stack.enter_context(
            DevChain.create(None, ChainGenesis(timestamp=1_700_000_000, difficulty=4, balances=balances))
        )
        stack.enter_context(Miner(chain))
        server = stack.enter_context(ChainServer(chain, port=0))
        w3 = Web3(HTTPProvider(server.url))
        deployment = deploy(w3, OWNER, deployment_parameters(config, genesis))
        ledger = LedgerClient(w3, deployment, OWNER)
        ports = []
        for number in range(edge_nodes):
            free = listening_socket("127.0.0.1", 0)
            ports.append(free.getsockname()[1])
            free.close()
            keys = edge_keys(number)
            endpoint = f"http://127.0.0.1:{ports[number]}"
            ledger.participants.admit_edge_node(
                keys.account, keys.signature_digest, keys.encapsulation_digest, endpoint
            )
        result = World(path, config, genesis, chain, server.url, deployment, ledger, ports)
        try:
            yield result
        finally:
            for number in list(result.servers):
                result.stop(number)
