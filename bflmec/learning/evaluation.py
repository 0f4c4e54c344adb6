"""How good a model is: on the global test set, and as the paper's average accuracy Σ acc_i / n."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bflmec.errors import DataError
from bflmec.learning.blas import one_blas_thread
from bflmec.learning.dense_training import Array
from bflmec.learning.models import Model
from bflmec.learning.schedule import Indices
from bflmec.learning.tensors import Vector

SAMPLES_AT_ONCE = 4096


def accuracy(model: Model, weights: Vector, x: Array, y: Indices) -> float:
    """The share of samples `x` (D, F) whose largest logit is that of label `y` (D,). Raises DataError if D is 0."""
    with one_blas_thread():
        right = (int((logits.argmax(1) == labels).sum()) for logits, labels in _chunks(model, weights, x, y))
        return sum(right) / len(y)


def loss(model: Model, weights: Vector, x: Array, y: Indices) -> float:
    """The mean cross-entropy in nats, summed in float64. Raises DataError if there is no sample."""
    total = 0.0
    with one_blas_thread():
        for logits, labels in _chunks(model, weights, x, y):
            z = logits.astype(np.float64)
            z -= z.max(1, keepdims=True)
            total += float((np.log(np.exp(z).sum(1)) - z[np.arange(len(labels)), labels]).sum())
    return total / len(y)


@dataclass(frozen=True, eq=False, slots=True)
class HeldOut:
    """What the clients hold out of training: client i owns the samples bounds[i] to bounds[i + 1] of `x` and `y`."""

    x: Array
    y: Indices
    bounds: npt.NDArray[np.int64]

    @classmethod
    def of(cls, x: Array, y: Indices, owned: Sequence[Indices]) -> HeldOut:
        """Gathers each client's held-out samples of a data set. Raises DataError if a client has none."""
        if not owned or min(map(len, owned)) == 0:
            raise DataError("every client must hold out at least one sample; hold_out makes sure of it")
        chosen = np.concatenate(owned)
        return cls(x[chosen], y[chosen], np.cumsum([0, *map(len, owned)]))


def client_accuracies(model: Model, weights: Sequence[Vector], held_out: HeldOut) -> npt.NDArray[np.float64]:
    """acc_i (n,) of each client on what it held out, with the weights (P,) that it holds; their mean is Σ acc_i / n."""
    parts = zip(weights, held_out.bounds[:-1], held_out.bounds[1:], strict=True)
    with one_blas_thread():
        return np.array([accuracy(model, own, held_out.x[a:b], held_out.y[a:b]) for own, a, b in parts])


def _chunks(model: Model, weights: Vector, x: Array, y: Indices) -> Iterator[tuple[Array, Indices]]:
    if len(y) == 0 or len(x) != len(y):
        raise DataError(f"evaluation needs as many labels as samples, at least one, not {len(y)} and {len(x)}")
    for start in range(0, len(y), SAMPLES_AT_ONCE):
        part = slice(start, start + SAMPLES_AT_ONCE)
        yield model.logits(weights, x[part]), y[part]
