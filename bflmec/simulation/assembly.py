"""Puts a simulation together from a configuration, a population and a consortium."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bflmec.configuration.sections import Config
from bflmec.consortium.edge_node import create_edge_node
from bflmec.consortium.rules import client_rules_of
from bflmec.protocol.cache_pool import MemoryCachePool
from bflmec.protocol.client import Client, ClientIdentity
from bflmec.protocol.edge_node import EdgeNodeIdentity
from bflmec.protocol.ledger_state import LedgerParameters
from bflmec.protocol.ports import Blobs, Participants, Verifier
from bflmec.simulation.conduct import HONEST, Conduct
from bflmec.simulation.gateway import LedgerGateway, StateGateway
from bflmec.simulation.population import Population
from bflmec.simulation.simulation import Simulation
from bflmec.simulation.trace import Trace, draw_trace, read_trace


@dataclass(frozen=True)
class RegistrySnapshot:
    """The registry as it was when the run started; nobody joins or leaves during a run."""

    clients: Mapping[bytes, bytes]
    nodes: Mapping[int, bytes]

    def client_key_digest(self, account: bytes) -> bytes | None:
        return self.clients.get(account)

    def edge_nodes(self) -> Mapping[int, bytes]:
        return self.nodes


@dataclass(frozen=True)
class Consortium:
    """Who takes part, and on which ledger. Without a `gateway` the edge nodes' own state stands in for the ledger."""

    parameters: LedgerParameters
    participants: Participants
    blobs: Blobs
    verify: Verifier
    edge_nodes: tuple[EdgeNodeIdentity, ...]
    clients: tuple[ClientIdentity, ...]
    gateway: LedgerGateway | None
    quorum: bool = True
    """Whether edge nodes on other machines have to come to the same bits."""


def trace_of(config: Config) -> Trace:
    """The world that the configuration names or draws."""
    experiment = config.experiment
    if config.world.trace:
        return read_trace(Path(config.world.trace), experiment.clients, experiment.edge_nodes)
    return draw_trace(config.world, experiment.clients, experiment.edge_nodes, experiment.seed)


def assemble(config: Config, population: Population, consortium: Consortium, conduct: Conduct = HONEST) -> Simulation:
    """A simulation that is ready to run, whose clients behave as `conduct` says. Stores the genesis global gradient."""
    consortium.blobs.put(population.genesis.blob)
    edge_nodes = [
        create_edge_node(
            config,
            population.genesis,
            identity,
            parameters=consortium.parameters,
            participants=consortium.participants,
            verify=consortium.verify,
            pool=MemoryCachePool(),
            blobs=consortium.blobs,
            quorum=consortium.quorum,
        )
        for identity in consortium.edge_nodes
    ]
    rules = client_rules_of(config)
    clients = [
        Client(identity, conduct.rules(index, rules), population.model.spec, consortium.blobs)
        for index, identity in enumerate(consortium.clients)
    ]
    population.trainer.conduct = conduct
    return Simulation(
        world=config.world,
        trace=trace_of(config),
        trainer=population.trainer,
        gateway=consortium.gateway or StateGateway(edge_nodes[0].state),
        participants=consortium.participants,
        verify=consortium.verify,
        scheme=config.signatures.scheme,
        receipt_keys={identity.id: identity.receipts.public_key for identity in consortium.edge_nodes},
        edge_nodes=edge_nodes,
        clients=clients,
        conduct=conduct,
    )
