"""Local updates of many simulated clients, put off until one is needed and then run together.

Nobody sees trained weights before the client signs them, so training can wait until then; the batch that has come
together by that time runs at once. Batched or alone, a client's bits are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bflmec.learning.datasets import Dataset
from bflmec.learning.local_update import LocalTask, LocalUpdateRules, local_updates
from bflmec.learning.models import Model
from bflmec.protocol.client import TrainingTask
from bflmec.simulation.conduct import HONEST, Conduct


@dataclass(eq=False)
class Job:
    """A local update that was asked for; `result` runs it, and all others that wait, if need be."""

    task: LocalTask
    trainer: Trainer = field(repr=False)
    weights: NDArray[np.float32] | None = None

    def result(self) -> NDArray[np.float32]:
        if self.weights is None:
            self.trainer.run_waiting()
        assert self.weights is not None
        return self.weights


class Trainer:
    """Runs local updates (Eq. II.2) on the clients' shares of a data set: indices into its training set."""

    def __init__(
        self, model: Model, dataset: Dataset, shares: list[NDArray[np.int64]], rules: LocalUpdateRules, seed: int
    ) -> None:
        self._model = model
        self._dataset = dataset
        self._shares = shares
        self._rules = rules
        self._seed = seed
        self.conduct: Conduct = HONEST
        self._waiting: list[Job] = []

    def samples_of(self, client: int) -> int:
        return len(self._shares[client])

    def take(
        self, client: int, samples: Sequence[int] | NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Samples (D, F) and labels (D,) by their index in the client's own data."""
        chosen = self._shares[client][np.asarray(samples, np.int64)]
        return self.conduct.data(client, self._dataset.train_x[chosen], self._dataset.train_y[chosen])

    def steps(self, task: TrainingTask) -> int:
        """SGD steps of a task: E * ceil(D / B)."""
        return self._rules.epochs * -(-len(task.samples) // self._rules.batch_size)

    def submit(self, client: int, task: TrainingTask) -> Job:
        """The batches are drawn from the run's seed, the client and the number of its update."""
        rng = np.random.default_rng([self._seed, 0x5EED, client, task.number])
        x, y = self.take(client, task.samples)
        local = LocalTask(task.start, x, y, rng)
        job = Job(local, self)
        self._waiting.append(job)
        return job

    def run_waiting(self) -> None:
        jobs, self._waiting = self._waiting, []
        for job, weights in zip(jobs, local_updates(self._model, [job.task for job in jobs], self._rules), strict=True):
            job.weights = weights
