"""BFL-MEC and what it is compared with, all in one world: each comes to global weights over virtual time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, takewhile
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bflmec.configuration import Config
from bflmec.experiments.light_world import LightWorld, client_account, light_consortium
from bflmec.learning.datasets import Dataset
from bflmec.learning.global_update import Contribution, global_update
from bflmec.learning.local_update import LocalTask, LocalUpdateRules, local_update
from bflmec.learning.rules import PAPER_RULES
from bflmec.simulation.conduct import HONEST, Conduct
from bflmec.simulation.population import Population, create_population
from bflmec.simulation.rounds import Local, RoundRules, Rounds, weighted_average
from bflmec.simulation.server_world import ServerWorld
from bflmec.simulation.servers import ServerSettings, servers

Vector = NDArray[np.float32]

ROOT_SAMPLES = 100
"""That a server with root data trusts; drawn from the training set, clients may hold some of them too."""
RSA_SIGN, RSA_VERIFY = 0.248, 0.106
"""Seconds, from the paper's Table II, which also gives the world's `sign_time` for the lattice scheme."""
BLOCK_LIMIT = 128 * 1024
"""Bytes that a block of vanilla BFL can carry: what an Ethereum block of 30 Mgas fits as calldata, roughly twice."""


@dataclass(frozen=True)
class Method:
    """`kind` says which of the simulations runs it. `settings` change the configuration, `server` names the server,
    `rounds` are the rules of a synchronous method, `chain` how a round is put on a chain."""

    kind: Literal["ledger", "server", "rounds"]
    settings: tuple[str, ...] = ()
    server: str = ""
    rounds: RoundRules = field(default_factory=RoundRules)
    chain: Literal["none", "every gradient", "one block"] = "none"
    contributions: bool = False
    """Whether a round's clients are judged by Algorithm 4, as in FAIR-BFL."""


METHODS = {
    "BFL-MEC": Method("ledger"),
    "BFL-MEC, keep": Method("ledger", ("strategy=keep",)),
    "BFL-MEC, paper preset": Method("ledger", ("preset=paper", "aggregation_threshold=10")),
    "BFL-MEC, paper preset, keep": Method("ledger", ("preset=paper", "aggregation_threshold=10", "strategy=keep")),
    "FedAvg": Method("rounds"),
    "FedProx, 2 % dropped": Method("rounds", ("proximal=0.1",), rounds=RoundRules(stragglers=0.02)),
    "FedProx, 2 % partial work": Method(
        "rounds", ("proximal=0.1",), rounds=RoundRules(stragglers=0.02, partial_work=True)
    ),
    "FedProx, 50 % partial work": Method(
        "rounds", ("proximal=0.1",), rounds=RoundRules(stragglers=0.5, partial_work=True)
    ),
    "vanilla BFL": Method("rounds", rounds=RoundRules(sign_time=RSA_SIGN), chain="every gradient"),
    "FAIR-BFL": Method("rounds", rounds=RoundRules(sign_time=RSA_SIGN), chain="one block", contributions=True),
    "FedAsync": Method("server", server="fedasync"),
    "FedBuff": Method("server", server="fedbuff"),
}
DEFENDED = {
    "FLTrust": Method("server", server="fltrust"),
    "Zeno++": Method("server", server="zeno++"),
    "BASGD": Method("server", server="basgd"),
    "Kardam": Method("server", server="kardam"),
}


@dataclass(frozen=True)
class Trajectory:
    """Versions of the global weights with their times, and what went into them."""

    population: Population
    versions: list[tuple[float, Vector]]
    samples: int
    uploads: int

    def accuracy_at(self, times: Sequence[float]) -> list[float]:
        """Test accuracy of the version that was the newest at each of these ascending times."""
        known: dict[int, float] = {}
        accuracies = []
        for time in times:
            newest = sum(version <= time for version, _ in self.versions) - 1
            if newest not in known:
                weights = self.versions[newest][1] if newest >= 0 else self.population.initial
                known[newest] = self.population.global_accuracy(weights)
            accuracies.append(known[newest])
        return accuracies

    @property
    def final(self) -> Vector:
        return self.versions[-1][1] if self.versions else self.population.initial


def follow(
    method: Method,
    config: Config,
    dataset: Dataset,
    until: float,
    conduct: Conduct = HONEST,
    most: int | None = None,
    watch: Callable[[Vector], None] = lambda weights: None,
) -> Trajectory:
    """Runs the method for so many seconds of virtual time, or until it has made `most` versions of the global weights.
    `config` has the method's settings already. A server's new versions are shown to `watch` as they come."""
    if method.kind == "ledger":
        return _on_ledger(config, dataset, until, conduct, most)
    population = create_population(config, dataset)
    if method.kind == "server":
        return _with_server(method, config, population, dataset, until, conduct, most, watch)
    population.trainer.conduct = conduct
    rounds = Rounds(config, population, method.rounds, _aggregate(method))
    versions = list(islice(rounds.run(until, _block_time(method, config)), most))
    return Trajectory(population, versions, rounds.samples, rounds.uploads)


def _on_ledger(config: Config, dataset: Dataset, until: float, conduct: Conduct, most: int | None) -> Trajectory:
    endless = replace(config, experiment=replace(config.experiment, aggregations=10**9, horizon=10 * until))
    world = LightWorld.of(endless, dataset, conduct)
    updates = takewhile(lambda found: found[0] <= until, world.updates())
    versions = [(time, update.weights) for time, update in islice(updates, most)]
    measurements = world.simulation.measurements
    uploads = measurements.asynchrony().steps
    threshold = config.learning.data_threshold + config.learning.strict_threshold
    return Trajectory(world.population, versions, threshold * (uploads + measurements.updates_averaged), uploads)


def _with_server(
    method: Method,
    config: Config,
    population: Population,
    dataset: Dataset,
    until: float,
    conduct: Conduct,
    most: int | None,
    watch: Callable[[Vector], None],
) -> Trajectory:
    settings = ServerSettings(
        clients=config.experiment.clients,
        buffer=config.ledger.aggregation_threshold,
        root_delta=_root(config, population, dataset),
    )
    server = servers.get(method.server)(settings)
    identities = light_consortium(config, population).clients
    world = ServerWorld(config, population, server, identities, conduct)
    versions = []
    for version in islice(world.run(until), most):
        versions.append(version)
        watch(version[1])
    samples = config.learning.data_threshold * (world.uploads + world.measurements.updates_averaged)
    return Trajectory(population, versions, samples, world.uploads)


def _root(config: Config, population: Population, dataset: Dataset) -> Callable[[Vector], Vector]:
    rng = np.random.default_rng([config.experiment.seed, 0x7007])
    chosen = rng.choice(len(dataset.train_y), min(ROOT_SAMPLES, len(dataset.train_y)), replace=False)
    x, y = dataset.train_x[chosen], dataset.train_y[chosen]
    learning = config.learning
    rules = LocalUpdateRules(learning.learning_rate, learning.epochs, learning.batch_size)

    def delta(weights: Vector) -> Vector:
        return local_update(population.model, LocalTask(weights, x, y, rng), rules) - weights

    return delta


def _aggregate(method: Method) -> Callable[[Vector, Sequence[Local]], Vector]:
    if not method.contributions:
        return weighted_average

    def by_contribution(weights: Vector, updates: Sequence[Local]) -> Vector:
        contributions = [Contribution(client_account(update.client), [update.weights]) for update in updates]
        return global_update(weights, contributions, (), PAPER_RULES).weights

    return by_contribution


def _block_time(method: Method, config: Config) -> Callable[[int, int], float]:
    """A chain in step with the rounds: gradients are verified, then blocks are mined one after the other."""
    mining = config.ledger.difficulty / config.world.hash_rate + config.world.append_time

    def seconds(uploads: int, size: int) -> float:
        if method.chain == "none":
            return 0.0
        blocks = -(-uploads * size // BLOCK_LIMIT) if method.chain == "every gradient" else 1
        return uploads * RSA_VERIFY + blocks * mining

    return seconds
