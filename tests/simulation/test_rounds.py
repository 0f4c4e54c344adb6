"""Synchronous rounds: FedAvg as it is written, on the world that everybody sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from small_runs import SMALL, digits

from bflmec.configuration import Config, load
from bflmec.learning.schedule import Schedule
from bflmec.simulation.population import Population, create_population
from bflmec.simulation.rounds import Local, RoundRules, Rounds, weighted_average

EVERYBODY = RoundRules(selected=8)


def prepared(*settings: str) -> tuple[Config, Population]:
    config = load(settings=[*SMALL, *settings])
    return config, create_population(config, digits())


def softmax_sgd(weights: np.ndarray, x: np.ndarray, y: np.ndarray, schedule: Schedule, rate: float) -> np.ndarray:
    """One client's logistic regression with plain SGD, bias first."""
    bias, matrix = weights[:10].astype(float), weights[10:].reshape(10, -1).astype(float)
    for batch in schedule.batches(0):
        z = x[batch] @ matrix.T + bias
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        p[np.arange(len(batch)), y[batch]] -= 1
        bias -= rate * p.mean(0)
        matrix -= rate * p.T @ x[batch] / len(batch)
    return np.concatenate([bias, matrix.ravel()])


def test_fedavg_equals_fedavg_written_out() -> None:
    config, population = prepared("arrival_spread=0", "mobility=static")
    learning = config.learning
    rounds = Rounds(config, population, EVERYBODY, weighted_average)
    seen: list[tuple[np.ndarray, list[Local]]] = []

    def remember(weights: np.ndarray, updates: list[Local]) -> np.ndarray:
        seen.append((weights, list(updates)))
        return weighted_average(weights, updates)

    rounds._aggregate = remember
    (_, first), (_, second), *_ = rounds.run(until=80)
    # Ten lines of FedAvg, for the first round:
    models, sizes = [], []
    for update in seen[0][1]:
        x, y = population.trainer.take(update.client, range(update.samples))
        order = Schedule.draw(
            np.random.default_rng([1, 0x0F0D, update.client, 0]), len(y), learning.epochs, learning.batch_size
        )
        models.append(softmax_sgd(population.initial, x, y, order, learning.learning_rate))
        sizes.append(len(y))
    by_hand = sum(size * model for size, model in zip(sizes, models, strict=True)) / sum(sizes)
    assert np.allclose(first, by_hand, atol=1e-6)
    assert np.array_equal(seen[1][0], first)
    assert not np.array_equal(first, second)


def test_a_round_waits_for_the_slowest_of_its_clients() -> None:
    config, population = prepared("mobility=static")
    ends = [time for time, _ in Rounds(config, population, EVERYBODY, weighted_average).run(until=200)]
    rounds = Rounds(config, population, EVERYBODY, weighted_average)
    slowest = max(rounds._trace.arrival(client, config.learning.data_threshold - 1) for client in range(8))
    assert ends[0] > slowest
    assert ends == sorted(ends)


def test_the_same_seed_gives_the_same_rounds() -> None:
    def run() -> list[tuple[float, bytes]]:
        config, population = prepared()
        rules = RoundRules(selected=4, stragglers=0.5, partial_work=True)
        return [(time, w.tobytes()) for time, w in Rounds(config, population, rules, weighted_average).run(until=300)]

    assert run() == run()


def test_dropped_stragglers_send_nothing_and_partial_work_sends_less() -> None:
    config, population = prepared("mobility=static")
    dropping = Rounds(config, population, replace(EVERYBODY, stragglers=1.0), weighted_average)
    assert next(iter(dropping.run(until=100, overhead=lambda uploads, size: 1.0)))[0] == 1.0
    assert dropping.uploads == 0
    partial = Rounds(config, population, replace(EVERYBODY, stragglers=1.0, partial_work=True), weighted_average)
    next(iter(partial.run(until=100)))
    assert partial.uploads == 8


def test_a_chain_in_step_lengthens_every_round() -> None:
    config, population = prepared()
    (plain, _), *_ = Rounds(config, population, EVERYBODY, weighted_average).run(until=200)
    (longer, _), *_ = Rounds(config, population, EVERYBODY, weighted_average).run(until=200, overhead=lambda u, s: 7.0)
    assert longer == plain + 7
