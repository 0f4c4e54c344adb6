"""What the privacy experiment measures: exposure, noise, and an active attacker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bflmec.experiments.cells import Cell, Row
from bflmec.experiments.library import dataset_of
from bflmec.experiments.light_world import LightWorld, client_index
from bflmec.experiments.observers import (
    OBSERVERS,
    Observation,
    Recorder,
    alignment,
    area_under_roc,
    best_match,
    epsilon,
    gradient,
    inverted,
    relative_error,
    seen_by,
)
from bflmec.experiments.tables import number
from bflmec.protocol.blocks import Transaction
from bflmec.simulation.conduct import Honest

if TYPE_CHECKING:
    pass

Vector = NDArray[np.float32]

CLIP = 0.5
"""The length that deltas are cut to where they get noise: about their usual one."""
TARGETS, JUDGED = 3, 25
"""Clients of each global update that are attacked, and samples of each side that membership is judged on."""
STRENGTH = 3.0
"""Length of the active attacker's push, in lengths of its own delta."""


def _observed(cell: Cell, recorder: Recorder) -> tuple[LightWorld, list[Observation]]:
    config = cell.config()
    world = LightWorld.of(config, dataset_of(config), recorder)
    anchor, transactions = world.population.initial, list[Transaction]()
    observations = []
    for appended in world.blocks():
        transactions += appended.block.transactions
        update = appended.update
        if update is None:
            continue
        total = sum(amount for _, amount in update.rewards)
        deltas = {
            entry.client: np.ldexp(entry.delta.values.astype(np.float32), entry.delta.exponent)
            for entry in update.entries
        }
        batches = {entry.client: recorder.batches.get(entry.gradient, []) for entry in transactions}
        shares = {account: amount / total for account, amount in update.rewards}
        observations.append(Observation(anchor, update.weights - anchor, shares, deltas, batches))
        anchor, transactions = update.weights, []
    return world, observations


def exposure(cell: Cell) -> list[Row]:
    world, observations = _observed(cell, Recorder(cell.seed))
    return [{"observer": observer, **_judge(world, observations, observer)} for observer in OBSERVERS]


def _judge(world: LightWorld, observations: Sequence[Observation], observer: str) -> Row:
    """Mean error of the estimated delta, AUC of membership, and match of inverted images."""
    population = world.population
    model, dataset = population.model, population.dataset
    mean = dataset.train_x[:5000].mean(axis=0, dtype=np.float64)
    errors, areas, matches = [], [], []
    for found in observations:
        for target in list(found.shares)[:TARGETS]:
            estimate = seen_by(observer, target, found)
            if estimate is None or not found.batches[target]:
                continue
            errors.append(relative_error(estimate, found.deltas[target]))
            x = np.concatenate([batch[0] for batch in found.batches[target]])
            y = np.concatenate([batch[1] for batch in found.batches[target]])
            first, last = population.held_out.bounds[client_index(target) : client_index(target) + 2]
            outside = slice(first, min(last, first + JUDGED))
            held_x, held_y = population.held_out.x[outside], population.held_out.y[outside]
            inside = alignment(model, found.anchor, estimate, x[:JUDGED], y[:JUDGED])
            areas.append(area_under_roc(inside, alignment(model, found.anchor, estimate, held_x, held_y)))
            matches.append(best_match(inverted(estimate, model.classes, model.features), x, mean))
    return {"error": fmean(errors), "membership": fmean(areas), "inversion": fmean(matches)}


def noise(cell: Cell) -> Row:
    level = number(dict(cell.labels), "noise")
    recorder = Recorder(cell.seed, level, CLIP)
    world, observations = _observed(cell, recorder)
    final = observations[-1].anchor + observations[-1].step
    steps = round(fmean(recorder.uploads.values()))
    spent = epsilon(level, steps)
    row = _judge(world, observations[:6], "edge node")
    return {
        "accuracy": world.population.global_accuracy(final.astype(np.float32)),
        "membership": row["membership"],
        "uploads": steps,
        "epsilon": None if spent == float("inf") else spent,
    }


class _Pusher(Honest):
    """Client 0 pushes the targets' loss up with its own local gradient (Nasr et al. 2019)."""

    def __init__(self, ascent: Callable[[Vector], NDArray[np.float64]]) -> None:
        self._ascent = ascent

    def trained(self, client: int, base: Vector, weights: Vector) -> Vector:
        if client != 0:
            return weights
        push = self._ascent(base)
        length = STRENGTH * np.linalg.norm(weights - base) / (np.linalg.norm(push) or 1.0)
        return weights + (length * push).astype(np.float32)


def active(cell: Cell) -> Row:
    config = cell.config()
    dataset = dataset_of(config)
    passive = LightWorld.of(config, dataset)
    victim = 1
    population = passive.population
    own_x, own_y = population.trainer.take(victim, range(JUDGED))
    first, last = population.held_out.bounds[victim : victim + 2]
    outside = slice(first, min(last, first + JUDGED))
    x = np.concatenate([own_x, population.held_out.x[outside]])
    y = np.concatenate([own_y, population.held_out.y[outside]])
    world = LightWorld.of(config, dataset, _Pusher(lambda weights: gradient(population.model, weights, x, y)))
    scores = [_losses(passive, x, y), _losses(world, x, y)]
    quiet, pushed = (area_under_roc([-v for v in s[:JUDGED]], [-v for v in s[JUDGED:]]) for s in scores)
    return {"passive": quiet, "active": pushed}


def _losses(world: LightWorld, x: Vector, y: NDArray[np.int64]) -> list[float]:
    """Each target's loss, averaged over the global gradients of the run."""
    model = world.population.model
    total = np.zeros(len(y))
    count = 0
    for _, update in world.updates():
        z = model.logits(update.weights, x).astype(np.float64)
        z -= z.max(axis=1, keepdims=True)
        total += np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]
        count += 1
    return [float(value) / count for value in total]
