"""Mini-batch SGD on dense ReLU networks for C clients at once, in numpy.

A client's result has the same bits whatever the other clients of the call: stacked `np.matmul` runs one BLAS call for
each client, whose shape does not depend on C, and everything else is elementwise or sums in a fixed order. Between
machines, or numbers of BLAS threads (`one_blas_thread`), bits may differ: nobody recomputes a client's training.

The first layer, which sees the data, comes in two forms with the same result up to rounding. The direct one applies
each gradient to its weights. The Gram one uses that all gradients lie in the span of the client's D samples: it trains
coefficients (D, units) against the Gram matrix (D, D) and multiplies by the samples once, at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from bflmec.learning.schedule import Indices, Schedule

Array = npt.NDArray[np.float32]
LayerWeights = tuple[Array, Array]
"""Bias (C, units) and weight (C, units, inputs) of one layer, one for each client."""

FirstLayerForm = Literal["direct", "gram"]


def train(
    layers: Sequence[LayerWeights],
    trained: Sequence[LayerWeights],
    x: Array,
    y: Indices,
    schedule: Schedule,
    learning_rate: float,
    proximal: float,
    form: FirstLayerForm | None = None,
) -> None:
    """Fills `trained` with `layers` after Eq. II.2 over the schedule, and FedProx's proximal term towards the start.

    `x` is (C, D, F) float32, `y` (C, D). The loss is the mean cross-entropy of a batch. `form` defaults to the cheaper.
    """
    clients, samples, _ = x.shape
    rate, decay = np.float32(learning_rate), np.float32(1 - learning_rate * proximal)
    bias, weight = layers[0]
    form = form or cheaper_form(samples, schedule.epochs, inputs=weight.shape[2], units=weight.shape[1])
    first: _FirstLayer = (_GramLayer if form == "gram" else _DirectLayer)(bias, weight, x)
    rest = [_HiddenLayer(*layer) for layer in layers[1:]]
    classes = layers[-1][0].shape[1]
    targets = np.eye(classes, dtype=np.float32)[y].reshape(clients * samples, classes)
    offsets = samples * np.arange(clients)[:, None]

    for epoch in range(schedule.epochs):
        rows = schedule.orders[:, epoch] + offsets
        first.reorder(rows)
        wanted = _class_major(targets[rows])
        for batch in schedule.slices():
            z = first.forward(batch, class_major=not rest)
            activations = []
            for layer in rest:
                np.maximum(z, 0, out=z)
                activations.append(z)
                z = layer.forward(z, class_major=layer is rest[-1])
            _softmax(z)
            z -= wanted[:, batch]
            z *= rate / np.float32(z.shape[1])
            for layer, inputs in zip(reversed(rest), reversed(activations), strict=True):
                below = layer.backward(z)
                below *= inputs > 0
                layer.descend(inputs, z, decay)
                z = below
            first.descend(batch, z, decay)
    first.write(*trained[0])
    for layer, new in zip(rest, trained[1:], strict=True):
        layer.write(*new)


def cheaper_form(samples: int, epochs: int, inputs: int, units: int) -> FirstLayerForm:
    """The form of the first layer that takes less time, whatever the number of clients.

    Multiplications for each sample, corrected by what benchmarks/local_update.py shows: indexing costs the Gram form
    as much as 2,000 of them in each epoch, and the direct one, with its thin products, a quarter more than it counts.
    """
    gram = samples * inputs + 4 * inputs * units + 2 * epochs * samples * units + 2000 * epochs
    direct = 5 * epochs * inputs * units
    return "gram" if gram < direct else "direct"


class _FirstLayer(Protocol):
    """The layer that sees the data. `rows` (C, D) are an epoch's order, as indices into all clients' samples."""

    def __init__(self, bias: Array, weight: Array, x: Array) -> None: ...

    def reorder(self, rows: Indices) -> None: ...

    def forward(self, batch: slice, class_major: bool) -> Array: ...

    def descend(self, batch: slice, step: Array, decay: np.float32) -> None: ...

    def write(self, bias: Array, weight: Array) -> None: ...


class _GramLayer:
    """weight = start + coefficientsᵀ · x. The bias is the weight of a constant feature: the 1 in the Gram matrix."""

    def __init__(self, bias: Array, weight: Array, x: Array) -> None:
        clients, samples, _ = x.shape
        units = weight.shape[1]
        self._bias, self._weight, self._x = bias, weight, x
        gram = x @ x.transpose(0, 2, 1)
        gram += 1
        self._gram = gram.reshape(clients * samples, samples)
        start = x @ weight.transpose(0, 2, 1)
        start += bias[:, None]
        self._start = start.reshape(clients * samples, units)
        self._coefficients = np.zeros((clients, samples, units), np.float32)

    def reorder(self, rows: Indices) -> None:
        self._rows = rows
        self._epoch_gram = self._gram.take(rows, axis=0)
        self._epoch_start = self._start.take(rows, axis=0)

    def forward(self, batch: slice, class_major: bool) -> Array:
        gram = self._epoch_gram[:, batch]
        z = _product(gram, self._coefficients, class_major)
        z += self._epoch_start[:, batch]
        return z

    def descend(self, batch: slice, step: Array, decay: np.float32) -> None:
        if decay != 1:
            self._coefficients *= decay
        rows = self._coefficients.reshape(-1, self._coefficients.shape[2])
        rows[self._rows[:, batch]] -= step

    def write(self, bias: Array, weight: Array) -> None:
        np.matmul(self._coefficients.transpose(0, 2, 1), self._x, out=weight)
        weight += self._weight
        np.add(self._bias, self._coefficients.sum(1), out=bias)


class _HiddenLayer:
    """bias and weight as they are, for inputs (C, B, units below)."""

    def __init__(self, bias: Array, weight: Array) -> None:
        self._start = bias, weight
        self._bias, self._weight = bias.copy(), weight.copy()

    def forward(self, inputs: Array, class_major: bool) -> Array:
        z = _product(inputs, self._weight.transpose(0, 2, 1), class_major)
        z += self._bias[:, None]
        return z

    def backward(self, step: Array) -> Array:
        return step @ self._weight

    def descend(self, inputs: Array, step: Array, decay: np.float32) -> None:
        if decay != 1:
            for value, start in zip((self._bias, self._weight), self._start, strict=True):
                value -= start
                value *= decay
                value += start
        self._weight -= step.transpose(0, 2, 1) @ inputs
        self._bias -= step.sum(1)

    def write(self, bias: Array, weight: Array) -> None:
        bias[...], weight[...] = self._bias, self._weight


class _DirectLayer:
    """A hidden layer whose inputs are the samples."""

    def __init__(self, bias: Array, weight: Array, x: Array) -> None:
        self._layer = _HiddenLayer(bias, weight)
        self._samples = x.reshape(-1, x.shape[2])

    def reorder(self, rows: Indices) -> None:
        self._rows = rows

    def forward(self, batch: slice, class_major: bool) -> Array:
        self._batch = self._samples.take(self._rows[:, batch], axis=0)
        return self._layer.forward(self._batch, class_major)

    def descend(self, batch: slice, step: Array, decay: np.float32) -> None:
        self._layer.descend(self._batch, step, decay)

    def write(self, bias: Array, weight: Array) -> None:
        self._layer.write(bias, weight)


def _product(a: Array, b: Array, class_major: bool) -> Array:
    """a @ b of shape (C, B, units), if `class_major` in memory as (units, C, B), where sums over classes are fast.

    A batch of one sample stays as it is: its product is one of matrix and vector, which some BLAS kernels round
    differently when the result's stride, here C, is not 1.
    """
    if not class_major or a.shape[1] == 1:
        return a @ b
    out = np.empty((b.shape[2], *a.shape[:2]), np.float32).transpose(1, 2, 0)
    return np.matmul(a, b, out=out)


def _class_major(a: Array) -> Array:
    return np.ascontiguousarray(a.transpose(2, 0, 1)).transpose(1, 2, 0)


def _softmax(z: Array) -> None:
    """Softmax over the last axis of (C, B, K), in place."""
    z -= z.max(-1, keepdims=True)
    np.exp(z, out=z)
    # A batch of one sample is contiguous: it would be summed pairwise, not in order of the classes like all others.
    z /= np.add.accumulate(z, -1)[..., -1:] if z.shape[-2] == 1 else z.sum(-1, keepdims=True)
