"""Synchronous federated learning in the same world: rounds, in which a sample of the clients is waited for.

Data arrive, clients move and uploads take as long as in the asynchronous simulation; both read one trace. A selected
client trains on what arrived since its last round, at least the data threshold, so rounds wait for the slowest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bflmec.configuration.sections import Config
from bflmec.learning.local_update import LocalTask, LocalUpdateRules, local_updates
from bflmec.simulation.assembly import trace_of
from bflmec.simulation.population import Population

Vector = NDArray[np.float32]

LOOKAHEAD = 1e7
"""Seconds that a selected client may stay away before the round is given up: for ever, in practice."""
RETRY = 0.5
OVERHEAD = 500
"""Bytes of an upload beside its blob."""


@dataclass(frozen=True, eq=False)
class Local:
    """One client's local update in a round: its weights (P,) float32, how many samples it saw, and when it arrived."""

    client: int
    weights: Vector
    samples: int
    arrived: float


Aggregate = Callable[[Vector, Sequence[Local]], Vector]
"""New global weights from the old ones and a round's local updates, in the order of their clients."""

Overhead = Callable[[int, int], float]
"""Seconds that a round's aggregation takes, from the number of uploads and their bytes: a chain's blocks, or 0."""


@dataclass(frozen=True)
class RoundRules:
    """`selected` clients a round. A share `stragglers` of them is slow: their local update is left out
    (`partial_work` false) or does only part of its epochs (FedProx's own reading). `sign_time` in seconds, on the
    client."""

    selected: int = 10
    stragglers: float = 0.0
    partial_work: bool = False
    sign_time: float = 0.0


def weighted_average(weights: Vector, updates: Sequence[Local]) -> Vector:
    """FedAvg (McMahan et al. 2017): local weights by their numbers of samples."""
    total = sum(update.samples for update in updates)
    mean = np.zeros(len(weights))
    for update in updates:
        mean += update.samples / total * update.weights
    return mean.astype(np.float32)


class Rounds:
    """A synchronous run on a population and the world that its configuration draws or replays."""

    def __init__(self, config: Config, population: Population, rules: RoundRules, aggregate: Aggregate) -> None:
        learning = config.learning
        self._config = config
        self._population = population
        self._rules = rules
        self._aggregate = aggregate
        self._trace = trace_of(config)
        self._local = LocalUpdateRules(learning.learning_rate, learning.epochs, learning.batch_size, learning.proximal)
        self._taken = [0] * config.experiment.clients
        self._attempts = [0] * config.experiment.clients
        self._rng = np.random.default_rng([config.experiment.seed, 0x0F0D5])
        self.samples = 0
        self.uploads = 0

    def run(self, until: float, overhead: Overhead = lambda uploads, size: 0.0) -> Iterator[tuple[float, Vector]]:
        """Yields the global weights after each round with its end, up to `until` seconds of virtual time."""
        time, weights = 0.0, self._population.initial
        size = 4 * len(weights) + OVERHEAD
        while True:
            chosen = sorted(
                self._rng.choice(self._config.experiment.clients, self._rules.selected, replace=False).tolist()
            )
            updates = self._round(weights, chosen, time, size)
            time = max([time, *(update.arrived for update in updates)]) + overhead(len(updates), size)
            if time > until:
                return
            if updates:
                weights = self._aggregate(weights, updates)
            yield time, weights

    def _round(self, weights: Vector, chosen: Sequence[int], start: float, size: int) -> list[Local]:
        slow = {client for client in chosen if self._rng.random() < self._rules.stragglers}
        jobs: list[tuple[int, LocalTask, float, int]] = []
        for client in chosen:
            epochs = self._local.epochs
            if client in slow:
                if not self._rules.partial_work:
                    continue
                epochs = int(self._rng.integers(1, max(epochs, 2)))
            task, ready = self._prepare(weights, client, start)
            steps = epochs * -(-len(task.y) // self._local.batch_size)
            arrived = self._deliver(client, ready + steps * self._config.world.step_time, size)
            jobs.append((client, task, arrived, epochs))
        trained = self._train(jobs)
        self.samples += sum(len(task.y) for _, task, _, _ in jobs)
        self.uploads += len(jobs)
        return [
            Local(client, own, len(task.y), arrived)
            for (client, task, arrived, _), own in zip(jobs, trained, strict=True)
        ]

    def _train(self, jobs: Sequence[tuple[int, LocalTask, float, int]]) -> list[Vector]:
        """Clients with equally many epochs at once."""
        trained: dict[int, Vector] = {}
        for epochs in sorted({job[3] for job in jobs}):
            own = [(client, task) for client, task, _, work in jobs if work == epochs]
            rules = replace(self._local, epochs=epochs)
            done = local_updates(self._population.model, [task for _, task in own], rules)
            trained |= {client: weights for (client, _), weights in zip(own, done, strict=True)}
        return [trained[job[0]] for job in jobs]

    def _prepare(self, weights: Vector, client: int, start: float) -> tuple[LocalTask, float]:
        """Reads the global weights at the next contact, waits for enough fresh samples, takes all that are there."""
        learning, trace = self._config.learning, self._trace
        least = learning.data_threshold + learning.strict_threshold
        first = self._taken[client]
        ready = trace.next_contact(client, start, start + LOOKAHEAD)
        ready = max(ready, trace.arrival(client, first + least - 1))
        own = self._population.trainer.samples_of(client)
        count = least
        while count < own and trace.arrival(client, first + count) <= ready:
            count += 1
        self._taken[client] += count
        x, y = self._population.trainer.take(client, [(first + index) % own for index in range(count)])
        rng = np.random.default_rng([self._config.experiment.seed, 0x0F0D, client, first])
        return LocalTask(weights, x, y, rng), ready

    def _deliver(self, client: int, ready: float, size: int) -> float:
        """When the upload is complete; a contact that ends before makes it start again."""
        world, trace = self._config.world, self._trace
        time = ready + self._rules.sign_time
        while True:
            time = trace.next_contact(client, time, time + LOOKAHEAD)
            up = [node for node in trace.reachable(client, time) if trace.is_up(node, time)]
            jitter = world.upload_jitter * trace.jitter(client, self._attempts[client])
            duration = world.upload_latency + size / world.upload_rate + jitter
            self._attempts[client] += 1
            ends = [trace.contact_end(client, node, time, time + duration) for node in up]
            if ends and max(ends) >= time + duration:
                return time + duration
            time = max([time, *ends]) + RETRY
