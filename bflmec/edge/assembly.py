"""Puts an edge node together: from configuration, keys and deployment record to a service that can start.

Everything here may wait for the ledger and belongs before the event loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any

from eth_account import Account
from eth_utils.address import to_checksum_address
from web3 import Web3

from bflmec.configuration.sections import Config
from bflmec.consortium.edge_node import create_edge_node
from bflmec.consortium.genesis import genesis_of
from bflmec.consortium.signatures import verifier_of
from bflmec.crypto.schemes import signature_scheme
from bflmec.edge.directory import EdgeKeys
from bflmec.edge.parts import PrefetchedParts
from bflmec.edge.public_blobs import PublicBlobs
from bflmec.edge.registry import CachedRegistry
from bflmec.edge.replica import Replica
from bflmec.edge.settings import Settings
from bflmec.errors import LedgerError
from bflmec.learning.blob import blob_size
from bflmec.ledger.certificates import ECDSACertifier
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import Deployment
from bflmec.ledger.fees import FeePolicy
from bflmec.ledger.follower import Follower
from bflmec.ledger.outbox import Outbox
from bflmec.ledger.sender import ledger_errors
from bflmec.protocol.edge_node import EdgeNodeIdentity
from bflmec.storage import BlobStore
from bflmec.storage.opening import open_storage


@dataclass(frozen=True)
class Assembly:
    """The parts of an edge node. `blob_limit` is the size of a gradient blob in bytes."""

    settings: Settings
    keys: EdgeKeys
    ledger: LedgerClient
    registry: CachedRegistry
    replica: Replica
    parts: PrefetchedParts
    blobs: PublicBlobs
    follower: Follower
    blob_limit: int
    poll_interval: float

    def balance(self) -> int:
        """What the ledger account has, in wei. Raises LedgerError."""
        with ledger_errors():
            return int(self.ledger.sender.w3.eth.get_balance(to_checksum_address(self.keys.account)))


def assemble(
    config: Config,
    settings: Settings,
    keys: EdgeKeys,
    w3: Web3,
    deployment: Deployment,
    *,
    store: Path,
    blobs: Path,
    poll_interval: float,
    fees: FeePolicy | None = None,
    outbox: Outbox | None = None,
    verify: Any = True,
) -> Assembly:
    """The edge node with those keys on that ledger, where an earlier process left it. `fees` and `outbox` are how it
    pays for blocks, see `bflmec.ledger.sender.Sender`; `verify` is httpx's, for other edge nodes' TLS.

    Raises LedgerError if it is not admitted, or with other keys; RulesMismatchError if the ledger has other rules;
    EdgeStoreError or StorageError if what is on disk does not fit.
    """
    account = Account.from_key(keys.account_key)
    ledger = LedgerClient(w3, deployment, account, fees=fees, outbox=outbox)
    registry = CachedRegistry(w3, ledger.participants, deployment.block, settings.lookups_per_second)
    registry.refresh()
    id_ = _admitted(registry, keys)
    genesis, parameters = genesis_of(config), ledger.parameters()
    ipfs = open_storage(settings.ipfs) if settings.ipfs else None
    others = PublicBlobs(BlobStore(blobs), lambda: _endpoints(registry, id_), ipfs, verify)
    others.put(genesis.blob)
    parts = PrefetchedParts()
    scheme = signature_scheme(config.signatures.scheme, config.signatures.backend)
    identity = EdgeNodeIdentity(id_, keys.account, keys.signature, _certifier(deployment, keys))
    replica = Replica.open(
        store,
        lambda pool: create_edge_node(
            config,
            genesis,
            identity,
            parameters=parameters,
            participants=registry,
            verify=verifier_of(scheme),
            pool=pool,
            blobs=others,
            final_after=settings.final_after,
            pool_limit=settings.pool_limit,
        ),
        owner=sha256(deployment.chain_id.to_bytes(8, "big") + deployment.ledger + keys.account).digest(),
        parameters=parameters,
        spec=genesis.model.spec,
        blobs=others,
        peers=parts,
        now=monotonic(),
    )
    return Assembly(
        settings,
        keys,
        ledger,
        registry,
        replica,
        parts,
        others,
        Follower(w3, deployment, replica.checkpoint),
        blob_size(genesis.model.spec),
        poll_interval,
    )


def _admitted(registry: CachedRegistry, keys: EdgeKeys) -> int:
    """This edge node's id. Raises LedgerError if it is not active with these keys."""
    ids = {account: id_ for id_, account in registry.edge_nodes().items()}
    id_ = ids.get(keys.account)
    if id_ is None:
        raise LedgerError(
            f"0x{keys.account.hex()} is no active edge node of this ledger; `bflmec edge show` says what it has to be "
            "admitted with"
        )
    registered = registry.active_peer(id_)
    if registered is None or registered != (keys.signature_digest, keys.encapsulation_digest):
        raise LedgerError(f"edge node {id_} is registered with other keys than those in its directory; replace either")
    return id_


def _certifier(deployment: Deployment, keys: EdgeKeys) -> ECDSACertifier:
    scheme = deployment.parameters.certificate_scheme
    if scheme != "ecdsa":
        raise LedgerError(f"this version runs edge nodes with ecdsa certificates, and the ledger wants {scheme} ones")
    return ECDSACertifier(keys.account_key)


def _endpoints(registry: CachedRegistry, own: int) -> list[str]:
    nodes = [registry.edge_node(id_) for id_ in registry.edge_nodes() if id_ != own]
    return [node.endpoint for node in nodes if node is not None]
