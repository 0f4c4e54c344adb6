"""Theorem 1: the problem that it speaks of, its constants, and the bound of its proof."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bflmec.experiments.cells import Row
from bflmec.experiments.light_world import LightWorld
from bflmec.experiments.tables import number
from bflmec.learning.evaluation import loss
from bflmec.learning.local_update import LocalTask, LocalUpdateRules, local_update
from bflmec.learning.models import Model

if TYPE_CHECKING:
    pass

Vector = NDArray[np.float32]

SAMPLES = 6000
"""Of all clients' training samples, that f and its gradient are measured on."""
CLIENTS, BATCHES = 20, 4
"""That σ, ζ and G are measured on."""
BATCH = 75
"""Samples of a stochastic gradient."""


class Problem:
    """f, its gradient, and the theorem's constants, on samples that the clients train on."""

    def __init__(
        self,
        model: Model,
        x: Vector,
        y: NDArray[np.int64],
        clients: Sequence[tuple[Vector, NDArray[np.int64]]],
        seed: int,
    ) -> None:
        self._model = model
        self._x, self._y = x, y
        self._clients = clients
        self._seed = seed

    @classmethod
    def of(cls, world: LightWorld, seed: int) -> Problem:
        trainer = world.population.trainer
        count = world.config.experiment.clients
        each = max(1, SAMPLES // count)
        parts = [trainer.take(client, range(min(each, trainer.samples_of(client)))) for client in range(count)]
        chosen = range(0, count, max(1, count // CLIENTS))
        whole = [trainer.take(client, range(trainer.samples_of(client))) for client in chosen]
        x, y = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
        return cls(world.population.model, x, y, whole, seed)

    def loss(self, weights: Vector) -> float:
        return loss(self._model, weights, self._x, self._y)

    def gradient(self, weights: Vector, x: Vector, y: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of the mean loss over these samples: what one SGD step of length 1 takes away."""
        task = LocalTask(weights, x, y, np.random.default_rng(0))
        after = local_update(self._model, task, LocalUpdateRules(learning_rate=1.0, epochs=1, batch_size=len(y)))
        return weights.astype(np.float64) - after

    def squared_norm(self, weights: Vector) -> float:
        """‖∇f‖²."""
        return float(np.square(self.gradient(weights, self._x, self._y)).sum())

    def constants(self, places: Sequence[Vector]) -> Row:
        """L, and the largest σ², ζ² and G² over the places."""
        extended = np.concatenate([self._x.astype(np.float64), np.ones((len(self._x), 1))], axis=1)
        largest = float(np.linalg.eigvalsh(extended.T @ extended / len(extended))[-1])
        measured = [self._variances(weights) for weights in places]
        sigma, zeta, second = (max(values) for values in zip(*measured, strict=True))
        return {"L": largest / 2, "sigma2": sigma, "zeta2": zeta, "G2": second}

    def _variances(self, weights: Vector) -> tuple[float, float, float]:
        rng = np.random.default_rng([self._seed, 0x516A])
        own = [self.gradient(weights, x, y) for x, y in self._clients]
        mean = np.mean(own, axis=0)
        noise, second = [], []
        for (x, y), gradient in zip(self._clients, own, strict=True):
            for _ in range(BATCHES):
                chosen = rng.choice(len(y), min(BATCH, len(y)), replace=False)
                stochastic = self.gradient(weights, x[chosen], y[chosen])
                noise.append(float(np.square(stochastic - gradient).sum()))
                second.append(float(np.square(stochastic).sum()))
        spread = [float(np.square(gradient - mean).sum()) for gradient in own]
        return float(np.mean(noise)), float(np.mean(spread)), max(second)


def bound(constants: Row, step: float, steps: int, concurrency: int, fall: float) -> Row:
    """The right-hand side of the proof's last inequality, and the conditions of its lemmas:
    4 (f₀ − f_T) / (η (T + 1)) + 3 L η σ² + 4 L η ζ² + 2 L² η² τ_C² G²."""
    L, sigma2, zeta2, G2 = (number(constants, name) for name in ("L", "sigma2", "zeta2", "G2"))
    terms = {
        "bound_start": 4 * fall / (step * (steps + 1)),
        "bound_noise": 3 * L * step * sigma2,
        "bound_spread": 4 * L * step * zeta2,
        "bound_delay": 2 * L**2 * step**2 * concurrency**2 * G2,
    }
    return {
        **terms,
        "bound": math.fsum(terms.values()),
        "lemma1": step <= 1 / (4 * L),
        "lemma2": step <= 1 / (4 * L * concurrency),
    }
