"""A light world with malicious clients, and what is measured in it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bflmec.configuration import Config
from bflmec.experiments.cells import Row
from bflmec.experiments.light_world import LightWorld, client_account, client_index
from bflmec.learning.attacks import Backdoor, attacks, patched
from bflmec.learning.datasets import Dataset
from bflmec.learning.evaluation import client_accuracies
from bflmec.protocol.blocks import Transaction
from bflmec.simulation.adversary import Adversary
from bflmec.simulation.population import Population

NOBODY = "nobody attacks"
SHARE = 0.3
"""Of the clients are malicious."""


@dataclass
class Counts:
    """Contributions of one or more global updates: attacks, those of them that were found (called low), honest ones,
    those of them that were called low."""

    attacks: int = 0
    found: int = 0
    honest: int = 0
    false: int = 0

    def add(self, attacked: bool, low: bool) -> None:
        self.attacks += attacked
        self.found += attacked and low
        self.honest += not attacked
        self.false += low and not attacked

    def row(self) -> Row:
        return {"attacks": self.attacks, "found": self.found, "honest": self.honest, "false": self.false}


@dataclass
class Outcome:
    """What came of a run under attack."""

    weights: NDArray[np.float32]
    updates: list[Counts] = field(default_factory=list)
    rewards: dict[int, int] = field(default_factory=dict)
    """By client index, in the smallest unit."""
    paid: list[dict[int, int]] = field(default_factory=list)
    """The same, update by update."""

    def total(self) -> Counts:
        return Counts(
            *(sum(getattr(c, name) for c in self.updates) for name in ("attacks", "found", "honest", "false"))
        )


def adversary_of(
    config: Config, attack: str, classes: int, moves: bool, attackers: list[int] | None = None
) -> Adversary:
    """A share of the clients, drawn from the run's seed unless they are given."""
    clients = config.experiment.clients
    if attackers is None:
        rng = np.random.default_rng([config.experiment.seed, 0xBAD])
        count = 0 if attack == NOBODY else round(SHARE * clients)
        attackers = sorted(rng.choice(clients, count, replace=False).tolist())
    return Adversary(
        attacks.get("scale-up" if attack == NOBODY else attack)(),
        clients=clients,
        attackers=attackers,
        accounts=[client_account(index) for index in range(clients)],
        rules=config.aggregation,
        classes=classes,
        seed=config.experiment.seed,
        moves=moves,
    )


def run_attacked(world: LightWorld, adversary: Adversary) -> Outcome:
    """Runs the world, which `adversary` is the conduct of, to its end."""
    outcome = Outcome(world.population.initial)
    since_anchor: list[Transaction] = []
    for appended in world.blocks():
        since_anchor += appended.block.transactions
        if appended.update is None:
            continue
        counts = Counts()
        for judgement in adversary.learn(appended.update, since_anchor):
            counts.add(judgement.attacked, judgement.found)
        paid = {client_index(account): amount for account, amount in appended.update.rewards}
        for client, amount in paid.items():
            outcome.rewards[client] = outcome.rewards.get(client, 0) + amount
        outcome.paid.append(paid)
        outcome.updates.append(counts)
        outcome.weights = appended.update.weights
        since_anchor = []
    return outcome


def attacked_run(config: Config, dataset: Dataset, attack: str, moves: bool) -> tuple[LightWorld, Adversary, Outcome]:
    """Puts a world together and runs it."""
    adversary = adversary_of(config, attack, dataset.classes, moves)
    world = LightWorld.of(config, dataset, adversary)
    return world, adversary, run_attacked(world, adversary)


def harm(population: Population, weights: NDArray[np.float32], attackers: set[int]) -> Row:
    """What is left of the model: accuracy, recall of the worst class, accuracy for the worst tenth of the honest
    clients on what they held out, and how often a patch makes a sample of another class the backdoor's target."""
    model, dataset = population.model, population.dataset
    predicted = model.logits(weights, dataset.test_x).argmax(axis=1)
    right = predicted == dataset.test_y
    recalls = [float(right[dataset.test_y == label].mean()) for label in range(dataset.classes)]
    own = client_accuracies(model, [weights] * (len(population.held_out.bounds) - 1), population.held_out)
    honest = [float(own[client]) for client in range(len(own)) if client not in attackers]
    others = dataset.test_y != Backdoor.TARGET
    fooled = model.logits(weights, patched(dataset.test_x[others])).argmax(axis=1) == Backdoor.TARGET
    return {
        "accuracy": float(right.mean()),
        "worst_recall": min(recalls),
        "worst_decile": float(np.quantile(honest, 0.1)),
        "backdoor": float(fooled.mean()),
    }


def attackers_reward(outcome: Outcome, attackers: set[int], clients: int) -> float | None:
    """An attacker's mean reward in units of an honest client's; None if honest ones were paid nothing."""
    bad = sum(amount for client, amount in outcome.rewards.items() if client in attackers)
    good = sum(outcome.rewards.values()) - bad
    if not good or not attackers:
        return None
    return (bad / len(attackers)) / (good / (clients - len(attackers)))
