"""The local update (Eq. II.2, Algorithm 2 lines 6 to 9), for one client or for many at once."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bflmec.errors import ConfigError, DataError
from bflmec.learning.dense_training import Array
from bflmec.learning.models import Model
from bflmec.learning.schedule import Indices, Schedule
from bflmec.learning.tensors import Vector

CLIENTS_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class LocalUpdateRules:
    """The paper's η, E and B, and FedProx's μ (`proximal`, 0: plain SGD). Raises ConfigError on impossible values."""

    learning_rate: float = 0.01
    epochs: int = 5
    batch_size: int = 10
    proximal: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigError(f"learning_rate must be a number above 0, not {self.learning_rate}")
        if self.epochs < 1:
            raise ConfigError(f"epochs must be at least 1, not {self.epochs}")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, not {self.batch_size}")
        if not (math.isfinite(self.proximal) and self.proximal >= 0):
            raise ConfigError(f"proximal must be a number of at least 0, not {self.proximal}")


@dataclass(frozen=True, eq=False, slots=True)
class LocalTask:
    """What one client trains on: start weights (P,) float32, samples `x` (D, F) float32 and `y` (D,) int64.

    `rng` orders the samples and belongs to this client alone; the update draws from it.
    """

    base: Vector
    x: Array
    y: Indices
    rng: np.random.Generator


def local_update(model: Model, task: LocalTask, rules: LocalUpdateRules) -> Vector:
    """One client's weights (P,) float32. Raises DataError on samples that don't fit the model."""
    return local_updates(model, [task], rules)[0]


def local_updates(model: Model, tasks: Sequence[LocalTask], rules: LocalUpdateRules) -> list[Vector]:
    """The weights of many clients, in the order of `tasks`, each the same as from `local_update`.

    Clients with equally many samples are trained together. Raises DataError on samples that don't fit the model.
    """
    by_samples: defaultdict[int, list[int]] = defaultdict(list)
    for index, task in enumerate(tasks):
        _check(model, task)
        by_samples[len(task.y)].append(index)
    updates: dict[int, Vector] = {}
    for indices in by_samples.values():
        for start in range(0, len(indices), CLIENTS_AT_ONCE):
            chosen = indices[start : start + CLIENTS_AT_ONCE]
            updates |= zip(chosen, _train(model, [tasks[index] for index in chosen], rules), strict=True)
    return [updates[index] for index in range(len(tasks))]


def _train(model: Model, tasks: Sequence[LocalTask], rules: LocalUpdateRules) -> Array:
    drawn = [Schedule.draw(task.rng, len(task.y), rules.epochs, rules.batch_size) for task in tasks]
    return model.train(
        np.stack([task.base for task in tasks]),
        np.stack([task.x for task in tasks]),
        np.stack([task.y for task in tasks]),
        Schedule.stack(drawn),
        rules.learning_rate,
        rules.proximal,
    )


def _check(model: Model, task: LocalTask) -> None:
    if task.base.shape != (model.spec.size,):
        raise DataError(f"{model.name} has {model.spec.size} parameters, the start weights are {task.base.shape}")
    if len(task.y) == 0 or task.x.shape != (len(task.y), model.features):
        raise DataError(f"{model.name} trains on (samples, {model.features}), not on {task.x.shape} and {task.y.shape}")
    if task.y.min() < 0 or task.y.max() >= model.classes:
        raise DataError(f"labels must be 0 to {model.classes - 1}, found {task.y.min()} to {task.y.max()}")
