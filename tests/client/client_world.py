"""A ledger on an embedded chain, edge nodes that answer over HTTP, and wallets: everything real but the service's own
threads, since a block is mined when a test says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3

from bflmec.client.directory import WalletDirectory
from bflmec.client.wallet import Wallet
from bflmec.configuration import Config, load
from bflmec.consortium.commitments import deployment_parameters
from bflmec.consortium.edge_node import create_edge_node
from bflmec.consortium.genesis import Genesis, genesis_of
from bflmec.consortium.signatures import verifier_of
from bflmec.crypto.encapsulation import DecapsulationKey
from bflmec.crypto.keys import Role, derived_identity, derived_seed, key_digest
from bflmec.crypto.schemes import SigningKey, signature_scheme
from bflmec.crypto.seal import NONCE_LIMIT, search
from bflmec.devchain import DevChain, DevChainProvider
from bflmec.devchain import Genesis as ChainGenesis
from bflmec.errors import BFLMECError, NotHeldError
from bflmec.ledger.certificates import ECDSACertifier
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import Deployment, deploy
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.cache_pool import MemoryCachePool
from bflmec.protocol.edge_node import EdgeNode, EdgeNodeIdentity
from bflmec.protocol.messages import MAX_BLOB, encode
from bflmec.storage import MemoryStore
from bflmec.storage.cid import Cid
from bflmec.transport.binding import Binding, Purpose
from bflmec.transport.node_info import NextSequence, NodeInfo
from bflmec.transport.problems import CONTENT_TYPE, problem_of
from bflmec.transport.sealing import open_sealed

SETTINGS = (
    "data.dataset=digits",
    "learning.data_threshold=20",
    "learning.learning_rate=0.1",
    "ledger.aggregation_threshold=3",
    "ledger.difficulty=2",
    "ledger.registration=open",
    "data.samples_per_client=60",
)
ETHER = 10**18
OWNER: LocalAccount = Account.from_key(b"\x01" * 32)


@dataclass
class EdgeServer:
    """An edge node behind HTTP. `faults` are what the next uploads meet: an error to answer with, "drop" for a
    connection that closes before the upload counts, "lose" for one that closes after it."""

    number: int
    node: EdgeNode
    signing_key: SigningKey
    decapsulation_key: DecapsulationKey
    blobs: MemoryStore
    chain_id: int
    ledger: bytes
    faults: list[BFLMECError | str] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    down: bool = False
    _server: ThreadingHTTPServer | None = None
    _lock: Any = field(default_factory=threading.RLock)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def info(self) -> NodeInfo:
        return NodeInfo(
            edge_node=self.number,
            account="0x" + self.node.identity.account.hex(),
            chain_id=self.chain_id,
            ledger="0x" + self.ledger.hex(),
            scheme="ML-DSA-44",
            signature_key="0x" + self.signing_key.public_key.hex(),
            encapsulation_key="0x" + self.decapsulation_key.public_key.hex(),
            head=self.node.state.number,
            anchor=self.node.state.anchor,
            blob_limit=MAX_BLOB,
            upload_limit=MAX_BLOB,
            challenge="0x" + bytes(32).hex(),
        )

    def take_in(self, sealed: bytes) -> bytes:
        binding = Binding(self.chain_id, self.ledger, self.number, Purpose.UPLOAD)
        envelope = open_sealed(sealed, self.decapsulation_key, binding, MAX_BLOB)
        with self._lock:
            self.uploads.append(envelope)
            return encode(self.node.receive(envelope, 0.0).receipt)


class _DroppedError(Exception):
    """The connection closes without an answer."""


def _handler(edge: EdgeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(self._get)

        def do_POST(self) -> None:
            self._answer(self._post)

        def _answer(self, work: Any) -> None:
            try:
                if edge.down:
                    raise _DroppedError
                status, kind, body = 200, "application/octet-stream", work()
            except _DroppedError:
                self.close_connection = True
                self.connection.close()
                return
            except BFLMECError as error:
                problem = problem_of(error)
                status, kind, body = problem.status, CONTENT_TYPE, problem.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _get(self) -> bytes:
            import msgspec

            parts = self.path.split("/")
            if self.path == "/v1/node":
                return msgspec.json.encode(edge.info())
            if parts[:3] == ["", "v1", "blobs"]:
                return edge.blobs.get(Cid.parse(parts[3]), MAX_BLOB)
            if parts[:3] == ["", "v1", "clients"]:
                return msgspec.json.encode(NextSequence(edge.node.next_sequence(bytes.fromhex(parts[3][2:]))))
            raise NotHeldError("there is nothing here")

        def _post(self) -> bytes:
            sealed = self.rfile.read(int(self.headers["Content-Length"]))
            fault = edge.faults.pop(0) if edge.faults else None
            if fault == "drop":
                raise _DroppedError
            if isinstance(fault, BFLMECError):
                raise fault
            receipt = edge.take_in(sealed)
            if fault == "lose":
                raise _DroppedError
            return receipt

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    return Handler


@dataclass
class ClientWorld:
    """`chain` and `w3`, the deployment, its edge nodes with ids from 1, and a folder for wallets."""

    folder: Path
    config: Config
    genesis: Genesis
    chain: DevChain
    w3: Web3
    deployment: Deployment
    owner: LedgerClient
    blobs: MemoryStore
    edges: list[EdgeServer]
    certifiers: list[ECDSACertifier]
    wallets: list[Wallet] = field(default_factory=list)

    def wallet(self, name: str = "wallet", **options: Any) -> Wallet:
        """The wallet in that folder, made and given ether if it isn't there; its client is registered."""
        path = self.folder / name
        if not path.exists():
            directory = WalletDirectory.create(path)
            self.fund(directory.keys(directory.password()).account_key)
        directory = WalletDirectory.open(path)
        keys = directory.keys(directory.password())
        wallet = Wallet(directory, keys, self.config, self.deployment, lambda: self.w3, **options)
        self.wallets.append(wallet)
        wallet.register()
        return wallet

    def fund(self, account_key: bytes) -> None:
        account = Account.from_key(account_key)
        transaction = {
            "to": account.address,
            "value": ETHER,
            "nonce": self.w3.eth.get_transaction_count(OWNER.address),
            "gas": 21_000,
            "gasPrice": self.w3.eth.gas_price * 2,
            "chainId": self.deployment.chain_id,
        }
        self.w3.eth.send_raw_transaction(OWNER.sign_transaction(transaction).raw_transaction)

    def weights(self, wallet: Wallet, value: float = 0.01, salt: int = 0) -> np.ndarray[Any, Any]:
        """Weights a little off the newest global gradient."""
        base = wallet.latest_global_gradient().weights
        rng = np.random.default_rng([7, salt])
        return (base + value * (1 + 0.1 * rng.normal(size=base.shape))).astype(np.float32)

    def mine(self, miner: int = 0) -> SealedBlock:
        """The next block: everybody exchanges what they have, one of them mines, all certify and record it."""
        for edge in self.edges:
            for item in list(edge.node.pool):
                announcement = edge.node.supply(item.gradient.digest)
                for other in self.edges:
                    if announcement is not None:
                        other.node.exchange(announcement, 0.0)
        node = self.edges[miner].node
        candidate = node.candidate()
        nonce = search(candidate.header.hash, self.deployment.parameters.difficulty, 0, NONCE_LIMIT)
        assert nonce is not None
        block, _ = node.seal(candidate, nonce)
        entries = {certifier.account: certifier.sign(block.header.hash) for certifier in self.certifiers}
        self.owner.append(block, self.certifiers[0].assemble(entries))
        for edge in self.edges:
            edge.node.record(block)
        return block

    def close(self) -> None:
        for wallet in self.wallets:
            wallet.close()
        for edge in self.edges:
            edge.stop()
        self.chain.close()


@contextmanager
def client_world(folder: Path, edge_nodes: int = 2, settings: tuple[str, ...] = ()) -> Iterator[ClientWorld]:
    config = load(None, [*SETTINGS, *settings])
    genesis = genesis_of(config)
    chain = DevChain.create(
        None,
        ChainGenesis(timestamp=1_700_000_000, difficulty=2, balances={bytes.fromhex(OWNER.address[2:]): 10**24}),
    )
    w3 = Web3(DevChainProvider(chain))
    deployment = deploy(w3, OWNER, deployment_parameters(config, genesis))
    owner = LedgerClient(w3, deployment, OWNER)
    blobs = MemoryStore()
    blobs.put(genesis.blob)
    scheme = signature_scheme("ML-DSA-44")
    edges, certifiers = [], []
    for number in range(1, edge_nodes + 1):
        identity = derived_identity(7, Role.EDGE_NODE, number)
        key = identity.signing_key(scheme)
        decapsulation_key = DecapsulationKey(derived_seed(7, Role.EDGE_NODE, number, "encapsulation", 64))
        certifier = ECDSACertifier(identity.account_key)
        node = create_edge_node(
            config,
            genesis,
            EdgeNodeIdentity(number, identity.address, key, certifier),
            parameters=owner.parameters(),
            participants=owner.participants,
            verify=verifier_of(scheme),
            pool=MemoryCachePool(),
            blobs=blobs,
        )
        edge = EdgeServer(number, node, key, decapsulation_key, blobs, deployment.chain_id, deployment.ledger)
        edge.start()
        owner.participants.admit_edge_node(
            identity.address, key_digest(key.public_key), key_digest(decapsulation_key.public_key), edge.url
        )
        edges.append(edge)
        certifiers.append(certifier)
    world = ClientWorld(folder, config, genesis, chain, w3, deployment, owner, blobs, edges, certifiers)
    try:
        yield world
    finally:
        world.close()
