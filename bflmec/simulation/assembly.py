"""Puts a simulation together from a configuration, a population and a consortium."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bflmec.configuration.sections import Config
from bflmec.learning.blob import encode_blob
from bflmec.learning.models import Model
from bflmec.protocol.aggregator import Aggregator
from bflmec.protocol.block_assembler import BlockAssembler
from bflmec.protocol.cache_pool import MemoryCachePool
from bflmec.protocol.client import AfterTraining, AnchorSearch, Client, ClientIdentity, ClientRules, StartFrom
from bflmec.protocol.edge_node import EdgeNode, EdgeNodeIdentity
from bflmec.protocol.ledger_state import LedgerParameters, LedgerState
from bflmec.protocol.ports import Blobs, Participants, Verifier
from bflmec.protocol.rules import Rules
from bflmec.protocol.verification import GradientVerifier
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


def rules_of(config: Config, model: Model) -> Rules:
    """The rules that all edge nodes of the run share."""
    return Rules(
        model=config.learning.model,
        parameters=model.spec.size,
        schemes=(config.signatures.scheme,),
        aggregation_threshold=threshold_of(config),
        per_client=config.ledger.per_client,
        omission_limit=config.ledger.omission_limit,
        aggregation=config.aggregation,
    )


def threshold_of(config: Config) -> int:
    """The ledger asks for at least phi transactions; more than phi (Algorithm 3, line 19) is at least phi + 1."""
    return config.ledger.aggregation_threshold + config.learning.strict_threshold


def trace_of(config: Config) -> Trace:
    """The world that the configuration names or draws."""
    experiment = config.experiment
    if config.world.trace:
        return read_trace(Path(config.world.trace), experiment.clients, experiment.edge_nodes)
    return draw_trace(config.world, experiment.clients, experiment.edge_nodes, experiment.seed)


def assemble(config: Config, population: Population, consortium: Consortium) -> Simulation:
    """A simulation that is ready to run. Stores the genesis global gradient."""
    consortium.blobs.put(encode_blob(population.model.spec, population.initial))
    edge_nodes = [_edge_node(config, population, consortium, identity) for identity in consortium.edge_nodes]
    rules = _client_rules(config, edge_nodes[0])
    clients = [Client(identity, rules, population.model.spec, consortium.blobs) for identity in consortium.clients]
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
    )


def _edge_node(config: Config, population: Population, consortium: Consortium, identity: EdgeNodeIdentity) -> EdgeNode:
    state, pool = LedgerState(consortium.parameters), MemoryCachePool()
    rules, spec = rules_of(config, population.model), population.model.spec
    return EdgeNode(
        identity,
        state=state,
        participants=consortium.participants,
        rules=rules,
        verifier=GradientVerifier(state, consortium.participants, rules, spec, consortium.verify),
        assembler=BlockAssembler(state, pool, Aggregator(rules, population.initial), rules, spec),
        pool=pool,
        blobs=consortium.blobs,
        record_after=config.ledger.record_after,
    )


def _client_rules(config: Config, edge_node: EdgeNode) -> ClientRules:
    learning = config.learning
    return ClientRules(
        data_threshold=learning.data_threshold,
        strict_threshold=learning.strict_threshold,
        mode=edge_node.rules.mode,
        anchor_search=AnchorSearch(learning.anchor_search),
        after_training=AfterTraining(learning.after_training),
        sliding_window=max(learning.sliding_window, learning.data_threshold),
        start_from=StartFrom(learning.start_from),
    )
