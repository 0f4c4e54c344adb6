"""The learning of a run with nothing that makes it trustworthy: no chain, no signatures, no proof of work.

Arrivals, movement, delays, local updates, exchange, clustering, aggregation and rewards are those of `bflmec run`, by
the same protocol objects; what is left out costs most of a run's CPU time and changes nothing of what is learnt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from bflmec.configuration.sections import Config
from bflmec.consortium.rules import rules_of, threshold_of
from bflmec.crypto.keys import key_digest
from bflmec.crypto.schemes import signature_scheme
from bflmec.learning.datasets import Dataset
from bflmec.learning.global_update import GlobalUpdate
from bflmec.protocol.client import ClientIdentity
from bflmec.protocol.edge_node import EdgeNodeIdentity
from bflmec.protocol.ledger_state import LedgerParameters
from bflmec.simulation.assembly import Consortium, RegistrySnapshot, assemble
from bflmec.simulation.conduct import HONEST, Conduct
from bflmec.simulation.population import Population, create_population
from bflmec.simulation.simulation import AppendedBlock, Simulation
from bflmec.storage import MemoryStore
from bflmec.storage.unixfs import cid_of

LEDGER = bytes(20)
ENTRY = b"-"


class NoSigner:
    """Signs with zeros that everybody believes; as many as the scheme's signatures and keys have, so that uploads take
    as long as they would."""

    def __init__(self, scheme: str) -> None:
        """Raises ConfigError for an unknown scheme."""
        sizes = signature_scheme(scheme)
        self.public_key = bytes(sizes.public_key_size)
        self._signature = bytes(sizes.signature_size)

    def sign(self, message: bytes, context: bytes) -> bytes:
        return self._signature


class NoCertifier:
    """Certifies with one byte that everybody believes."""

    def sign(self, block: bytes) -> bytes:
        return ENTRY

    def holds(self, block: bytes, account: bytes, entry: bytes) -> bool:
        return True

    def assemble(self, entries: Mapping[bytes, bytes]) -> bytes:
        return ENTRY


def believe(scheme: str, public_key: bytes, message: bytes, signature: bytes, context: bytes) -> bool:
    """A verifier that does not look."""
    return True


def client_account(index: int) -> bytes:
    """The account, 20 bytes, of the client of that index from 0."""
    return (index + 1).to_bytes(20, "big")


def client_index(account: bytes) -> int:
    """Inverse of `client_account`."""
    return int.from_bytes(account, "big") - 1


def light_consortium(config: Config, population: Population) -> Consortium:
    """Clients and edge nodes that trust each other, on a ledger that is the edge nodes' own state."""
    signer = NoSigner(config.signatures.scheme)
    accounts = [client_account(index) for index in range(config.experiment.clients)]
    nodes = {node: (1 << 159 | node).to_bytes(20, "big") for node in range(1, config.experiment.edge_nodes + 1)}
    parameters = LedgerParameters(
        chain_id=config.chain.chain_id,
        ledger=LEDGER,
        difficulty=config.ledger.difficulty,
        aggregation_threshold=threshold_of(config),
        max_transactions=config.ledger.max_transactions,
        base_reward=config.aggregation.base_reward,
        miner_reward=0,
        rules_digest=rules_of(config, population.model, quorum=False).digest,
        genesis=cid_of(population.genesis.blob),
    )
    return Consortium(
        parameters=parameters,
        participants=RegistrySnapshot(dict.fromkeys(accounts, key_digest(signer.public_key)), nodes),
        blobs=MemoryStore(),
        verify=believe,
        edge_nodes=tuple(EdgeNodeIdentity(node, account, signer, NoCertifier()) for node, account in nodes.items()),
        clients=tuple(
            ClientIdentity(account, config.signatures.scheme, signer, parameters.chain_id, LEDGER)
            for account in accounts
        ),
        gateway=None,
        quorum=False,
    )


def _without_search(config: Config) -> Config:
    """Nonce searches that take as long in virtual time, and one hash of the machine's."""
    world = replace(config.world, hash_rate=config.world.hash_rate / config.ledger.difficulty)
    return replace(config, world=world, ledger=replace(config.ledger, difficulty=1))


@dataclass(frozen=True)
class LightWorld:
    """A simulation that is ready to run, and the learning behind it."""

    config: Config
    population: Population
    simulation: Simulation

    @classmethod
    def of(cls, config: Config, dataset: Dataset, conduct: Conduct = HONEST) -> LightWorld:
        """A world whose clients behave as `conduct` says. Raises ConfigError for a configuration that can't be run."""
        population = create_population(config, dataset)
        config = _without_search(config)
        return cls(config, population, assemble(config, population, light_consortium(config, population), conduct))

    def blocks(self) -> Iterator[AppendedBlock]:
        """The blocks of the run, as they are appended."""
        return self.simulation.run(self.config.experiment.aggregations, self.config.experiment.horizon)

    def updates(self) -> Iterator[tuple[float, GlobalUpdate]]:
        """The global updates and when they happened, in seconds of virtual time."""
        for appended in self.blocks():
            if appended.update is not None:
                yield appended.time, appended.update
