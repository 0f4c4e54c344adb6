"""A consortium out of plain dictionaries: the registry is a dict, the ledger is an edge node's own state, a certificate
entry is a keyed hash. Signatures of clients and receipts are real, unless a test asks for the same bytes every time."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from bflmec.configuration.sections import Config
from bflmec.consortium.rules import rules_of, threshold_of
from bflmec.crypto.keys import Role, derived_identity, key_digest
from bflmec.crypto.schemes import signature_scheme
from bflmec.learning.blob import encode_blob
from bflmec.protocol.client import ClientIdentity
from bflmec.protocol.edge_node import EdgeNodeIdentity
from bflmec.protocol.ledger_state import LedgerParameters
from bflmec.protocol.ports import Blobs
from bflmec.simulation.assembly import Consortium
from bflmec.simulation.population import Population
from bflmec.storage import MemoryStore
from bflmec.storage.unixfs import cid_of

LEDGER = b"\x1e" * 20


@dataclass
class DictionaryParticipants:
    clients: dict[bytes, bytes] = field(default_factory=dict)
    nodes: dict[int, bytes] = field(default_factory=dict)

    def client_key_digest(self, account: bytes) -> bytes | None:
        return self.clients.get(account)

    def edge_nodes(self) -> Mapping[int, bytes]:
        return self.nodes


@dataclass(frozen=True)
class HashCertifier:
    account: bytes

    def sign(self, block: bytes) -> bytes:
        return hmac.digest(self.account, block, "sha256")

    def holds(self, block: bytes, account: bytes, entry: bytes) -> bool:
        return entry == hmac.digest(account, block, "sha256")

    def assemble(self, entries: Mapping[bytes, bytes]) -> bytes:
        return b"".join(entries[account] for account in sorted(entries))


def verify(scheme: str, public_key: bytes, message: bytes, signature: bytes, context: bytes) -> bool:
    return signature_scheme(scheme).verify(public_key, message, signature, context)


@dataclass(frozen=True)
class HashSigner:
    """Signs with a hash that anybody can make: worth nothing, and the same bytes every time."""

    public_key: bytes

    def sign(self, message: bytes, context: bytes) -> bytes:
        return sha256(self.public_key + context + message).digest()


def verify_hash(scheme: str, public_key: bytes, message: bytes, signature: bytes, context: bytes) -> bool:
    return signature == HashSigner(public_key).sign(message, context)


def repeatable(consortium: Consortium) -> Consortium:
    """The same participants with signatures that are the same bytes every time."""
    clients = tuple(replace(client, signer=HashSigner(client.account)) for client in consortium.clients)
    return replace(
        consortium,
        participants=DictionaryParticipants(
            {client.account: key_digest(client.account) for client in clients},
            dict(consortium.participants.edge_nodes()),
        ),
        verify=verify_hash,
        clients=clients,
        edge_nodes=tuple(replace(node, receipts=HashSigner(node.account)) for node in consortium.edge_nodes),
    )


def dictionary_consortium(config: Config, population: Population, blobs: Blobs | None = None) -> Consortium:
    """All participants of a configuration, registered."""
    seed = config.experiment.seed
    scheme = signature_scheme(config.signatures.scheme, config.signatures.backend)
    participants = DictionaryParticipants()
    clients, edge_nodes = [], []
    chain_id = config.chain.chain_id
    for number in range(config.experiment.clients):
        identity = derived_identity(seed, Role.CLIENT, number)
        key = identity.signing_key(scheme)
        participants.clients[identity.address] = key_digest(key.public_key)
        clients.append(ClientIdentity(identity.address, scheme.name, key, chain_id, LEDGER))
    for number in range(1, config.experiment.edge_nodes + 1):
        identity = derived_identity(seed, Role.EDGE_NODE, number)
        participants.nodes[number] = identity.address
        certifier = HashCertifier(identity.address)
        edge_nodes.append(EdgeNodeIdentity(number, identity.address, identity.signing_key(scheme), certifier))
    genesis = cid_of(encode_blob(population.model.spec, population.initial))
    parameters = LedgerParameters(
        chain_id=chain_id,
        ledger=LEDGER,
        difficulty=config.ledger.difficulty,
        aggregation_threshold=threshold_of(config),
        max_transactions=config.ledger.max_transactions,
        base_reward=config.aggregation.base_reward,
        miner_reward=config.ledger.miner_reward * 10**18,
        rules_digest=rules_of(config, population.model).digest,
        genesis=genesis,
    )
    store = blobs if blobs is not None else MemoryStore()
    return Consortium(parameters, participants, store, verify, tuple(edge_nodes), tuple(clients), None)
