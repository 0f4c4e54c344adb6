"""What the rewards experiment measures: one function for each of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bflmec.configuration.sections import TOKEN
from bflmec.experiments.attacked_world import Outcome, adversary_of, attackers_reward, run_attacked
from bflmec.experiments.cells import Cell, Row
from bflmec.experiments.library import dataset_of
from bflmec.experiments.light_world import LightWorld, client_index
from bflmec.experiments.shapley import leave_one_out, shapley_values
from bflmec.experiments.statistics import rank_correlation
from bflmec.learning.contribution import Label
from bflmec.learning.evaluation import loss
from bflmec.simulation.conduct import Honest

if TYPE_CHECKING:
    pass

Vector = NDArray[np.float32]

MALICIOUS = (5, 7, 8)
"""The paper's clients 6, 8 and 9, counted from 0."""
SHAPLEY_SAMPLES, PERMUTATIONS = 2000, 20


def _run(cell: Cell, attack: str, attackers: Sequence[int]) -> tuple[LightWorld, Outcome]:
    config = cell.config()
    dataset = dataset_of(config)
    adversary = adversary_of(config, attack, dataset.classes, False, list(attackers))
    world = LightWorld.of(config, dataset, adversary)
    return world, run_attacked(world, adversary)


def figure(cell: Cell) -> list[Row]:
    _, outcome = _run(cell, "scale-up", MALICIOUS)
    total = [0] * 10
    rows: list[Row] = []
    for update, paid in enumerate(outcome.paid, start=1):
        for client in range(10):
            total[client] += paid.get(client, 0)
            kind = "malicious" if client in MALICIOUS else "honest"
            rows.append({"update": update, "client": client + 1, "kind": kind, "reward": total[client] / TOKEN})
    return rows


def worth(cell: Cell) -> Row:
    config = cell.config()
    dataset = dataset_of(config)
    world = LightWorld.of(config, dataset)
    clients = config.experiment.clients
    rewards, values, alone = np.zeros(clients), np.zeros(clients), np.zeros(clients)
    rng = np.random.default_rng([config.experiment.seed, 0x54A9])
    anchor = world.population.initial
    for _, update in world.updates():
        vectors = [np.ldexp(entry.delta.values.astype(np.float32), entry.delta.exponent) for entry in update.entries]
        players = [client_index(entry.client) for entry in update.entries]
        base = np.zeros_like(anchor) if config.aggregation.mode == "weights" else anchor
        utility = partial(_utility, world, anchor, base, vectors)
        values[players] += shapley_values(len(players), utility, PERMUTATIONS, rng)
        alone[players] += leave_one_out(len(players), utility)
        for account, amount in update.rewards:
            rewards[client_index(account)] += amount / TOKEN
        anchor = update.weights
    return {
        "shapley_correlation": rank_correlation(rewards, values),
        "leave_one_out_correlation": rank_correlation(rewards, alone),
        "shapley_negative": int((values < 0).sum()),
    }


def _utility(
    world: LightWorld, anchor: Vector, base: Vector, vectors: Sequence[Vector], coalition: Sequence[int]
) -> float:
    """Minus the test loss after the simple average of the coalition."""
    dataset = world.population.dataset
    weights = base + np.mean([vectors[i] for i in coalition], axis=0) if coalition else anchor
    x, y = dataset.test_x[:SHAPLEY_SAMPLES], dataset.test_y[:SHAPLEY_SAMPLES]
    return -loss(world.population.model, weights.astype(np.float32), x, y)


class _Sybil(Honest):
    """The second account sends what the first one learnt last."""

    def __init__(self) -> None:
        self._newest: Vector | None = None

    def trained(self, client: int, base: Vector, weights: Vector) -> Vector:
        if client == 0:
            self._newest = weights - base
        return base + self._newest if client == 1 and self._newest is not None else weights


def gain(cell: Cell, kind: str) -> Row:
    if kind != "sybil":
        _, outcome = _run(cell, kind, MALICIOUS)
        return {"gain": attackers_reward(outcome, set(MALICIOUS), 10)}
    config = cell.config()
    outcome = Outcome(np.zeros(0, np.float32))
    for _, update in LightWorld.of(config, dataset_of(config), _Sybil()).updates():
        for account, amount in update.rewards:
            client = client_index(account)
            outcome.rewards[client] = outcome.rewards.get(client, 0) + amount
    return {"gain": attackers_reward(outcome, {0, 1}, 10)}


def unusual(cell: Cell) -> Row:
    config = cell.config()
    world = LightWorld.of(config, dataset_of(config))
    clients = config.experiment.clients
    distance = _label_distance(world, clients)
    counted, kept, rewards = np.zeros(clients), np.zeros(clients), np.zeros(clients)
    for _, update in world.updates():
        for entry, label in zip(update.entries, update.labels, strict=True):
            counted[client_index(entry.client)] += 1
            kept[client_index(entry.client)] += label is Label.HIGH
        for account, amount in update.rewards:
            rewards[client_index(account)] += amount / TOKEN
    seen = counted > 0
    acceptance, pay = kept[seen] / counted[seen], rewards[seen] / counted[seen]
    order = np.argsort(distance[seen])
    fifth = max(len(order) // 5, 1)
    return {
        "acceptance_correlation": rank_correlation(distance[seen], acceptance),
        "pay_correlation": rank_correlation(distance[seen], pay),
        "usual_acceptance": float(acceptance[order[:fifth]].mean()),
        "unusual_acceptance": float(acceptance[order[-fifth:]].mean()),
        "usual_pay": float(pay[order[:fifth]].mean()),
        "unusual_pay": float(pay[order[-fifth:]].mean()),
    }


def _label_distance(world: LightWorld, clients: int) -> NDArray[np.float64]:
    trainer, classes = world.population.trainer, world.population.dataset.classes
    labels = [trainer.take(client, range(trainer.samples_of(client)))[1] for client in range(clients)]
    own = np.stack([np.bincount(mine, minlength=classes) / len(mine) for mine in labels])
    distance: NDArray[np.float64] = np.abs(own - own.mean(axis=0)).sum(axis=1) / 2
    return distance
