"""Dense ReLU networks on numpy: logistic regression is the one without hidden layers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from bflmec.errors import ConfigError
from bflmec.learning.blas import one_blas_thread
from bflmec.learning.dense_training import Array, LayerWeights, train
from bflmec.learning.schedule import Indices, Schedule
from bflmec.learning.tensors import TensorSpec, Vector

# Together these keep what a step touches in the cache.
_CLIENTS_AT_ONCE = 20
_PARAMETERS_AT_ONCE = 1_600_000


class DenseNetwork:
    """A `Model`: `features` inputs, ReLU layers of `hidden` units each, `classes` logits.

    Its tensors have the names and shapes of the same `torch.nn.Sequential` of Linear and ReLU, so that a blob loads
    there: "0.weight" (units, inputs), "0.bias" (units,), then "2.weight" and so on.
    """

    def __init__(self, name: str, features: int, classes: int, hidden: tuple[int, ...] = ()) -> None:
        """Raises ConfigError on sizes below 1 and on fewer than 2 classes."""
        if min(features, *hidden, classes - 1) < 1:
            raise ConfigError(f"{name}: impossible sizes: {features} features, hidden {hidden}, {classes} classes")
        self.name = name
        self.features = features
        self.classes = classes
        self._sizes = list(pairwise((features, *hidden, classes)))
        shapes: dict[str, tuple[int, ...]] = {}
        for index, (inputs, units) in enumerate(self._sizes):
            shapes |= {f"{2 * index}.bias": (units,), f"{2 * index}.weight": (units, inputs)}
        self.spec = TensorSpec.of(shapes)

    def init(self, rng: np.random.Generator) -> Vector:
        """(P,) float32: weights uniform in ±1/√inputs, biases zero; all zero without hidden layers (a convex loss)."""
        flat = np.zeros(self.spec.size, np.float32)
        if len(self._sizes) > 1:
            for (inputs, units), (_, weight) in zip(self._sizes, self._layers(flat[None]), strict=True):
                weight[0] = rng.uniform(-1, 1, (units, inputs)) / np.sqrt(inputs)
        return flat

    def train(
        self, base: Array, x: Array, y: Indices, schedule: Schedule, learning_rate: float, proximal: float = 0.0
    ) -> Array:
        """As in `Model.train`, batched over clients, each with the bits that it gets alone."""
        x = np.ascontiguousarray(x, np.float32)
        trained = np.empty(base.shape, np.float32)
        at_once = min(_CLIENTS_AT_ONCE, max(1, _PARAMETERS_AT_ONCE // self.spec.size))
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(base), at_once):
                part = slice(start, start + at_once)
                some = Schedule(schedule.orders[part], schedule.batch_size)
                layers, new_layers = self._layers(base[part]), self._layers(trained[part])
                train(layers, new_layers, x[part], y[part], some, learning_rate, proximal)
        return trained

    def logits(self, weights: Vector, x: Array) -> Array:
        """As in `Model.logits`."""
        activations = x
        for index, (bias, weight) in enumerate(self._layers(weights)):
            if index:
                activations = np.maximum(activations, 0)
            activations = activations @ weight.T + bias
        return activations

    def _layers(self, flat: Array) -> list[LayerWeights]:
        tensors = self.spec.unflatten(flat)
        return [(tensors[f"{2 * i}.bias"], tensors[f"{2 * i}.weight"]) for i in range(len(self._sizes))]
