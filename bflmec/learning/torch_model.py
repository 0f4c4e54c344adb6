"""Any `torch.nn.Module` as a model. PyTorch is an extra: pip install 'bflmec[torch]'."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from bflmec.errors import ConfigError
from bflmec.learning.dense_training import Array
from bflmec.learning.schedule import Indices, Schedule
from bflmec.learning.tensors import TensorSpec, Vector
from bflmec.learning.torch_runtime import import_torch, running
from bflmec.learning.torch_training import trainer_of

if TYPE_CHECKING:
    import torch

ModuleFactory = Callable[[int, int], "torch.nn.Module"]
"""Builds a module that maps (D, features) float32 to (D, classes) logits; images are flat, channel by channel, row by
row."""

_EVALUATED_AT_ONCE = 256
"""Samples whose activations stay in the cache."""


class TorchModel:
    """A `Model` around one module.

    What travels is the parameters. Buffers go back to their start values before each client; layers that learn
    through buffers (batch normalisation with running statistics) are refused. Runs on the CPU, with one thread, since
    several cost more than they bring for small models. What is random in a module draws from a seed that the client's
    schedule fixes; algorithms that don't give the same bits again are refused by PyTorch with RuntimeError.
    """

    def __init__(self, name: str, factory: ModuleFactory, features: int, classes: int, threads: int = 1) -> None:
        """Raises ConfigError if the module doesn't fit the data set or can't be trained this way, MissingExtraError."""
        self._torch = import_torch()
        self.name = name
        self.features = features
        self.classes = classes
        self._factory = factory
        self._threads = threads
        with running(0, threads):
            module = _build(name, factory, features, classes)
            self._trainer = trainer_of(module, features, classes)
            self._parameters = dict(module.named_parameters())
            self.spec = TensorSpec.of({key: tuple(value.shape) for key, value in self._parameters.items()})
            self._buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]

    @classmethod
    def from_import_path(cls, path: str, features: int, classes: int) -> TorchModel:
        """The model whose factory is found at "package.module:function". Raises ConfigError if it isn't there."""
        module_name, _, attribute = path.partition(":")
        try:
            factory = getattr(import_module(module_name), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(f"no module factory at {path!r}, expected 'package.module:function': {error}") from error
        return cls(f"torch:{path}", factory, features, classes)

    def init(self, rng: np.random.Generator) -> Vector:
        """(P,) float32 as the module initialises itself, from a seed drawn from `rng`."""
        with running(int(rng.integers(1 << 63)), self._threads):
            fresh = _build(self.name, self._factory, self.features, self.classes)
            return self.spec.flatten({key: value.detach().numpy() for key, value in fresh.named_parameters()})

    def train(
        self, base: Array, x: Array, y: Indices, schedule: Schedule, learning_rate: float, proximal: float = 0.0
    ) -> Array:
        """As in `Model.train`, one client after the other."""
        trained = np.empty(base.shape, np.float32)
        for client, orders in enumerate(schedule.orders):
            with running(zlib.crc32(orders.tobytes()), self._threads):
                self._load(base[client])
                self._trainer.train(x[client], y[client], orders, schedule.batch_size, learning_rate, proximal)
                self._store(trained[client])
        return trained

    def logits(self, weights: Vector, x: Array) -> Array:
        """As in `Model.logits`, with the module in evaluation mode."""
        logits = np.empty((len(x), self.classes), np.float32)
        with running(0, self._threads), self._torch.inference_mode():
            self._load(weights)
            for start in range(0, len(x), _EVALUATED_AT_ONCE):
                part = slice(start, start + _EVALUATED_AT_ONCE)
                logits[part] = self._trainer.logits(self._torch.tensor(x[part])).numpy()
        return logits

    def _load(self, weights: Vector) -> None:
        # A copy, since PyTorch warns of arrays that it may not write to.
        values = self.spec.unflatten(np.array(weights, np.float32))
        with self._torch.no_grad():
            for key, parameter in self._parameters.items():
                parameter.copy_(self._torch.from_numpy(values[key]))
            for buffer, start in self._buffers:
                buffer.copy_(start)

    def _store(self, weights: Vector) -> None:
        for key, place in self.spec.unflatten(weights).items():
            place[...] = self._parameters[key].detach().numpy()


def _build(name: str, factory: ModuleFactory, features: int, classes: int) -> Any:
    torch = import_torch()
    try:
        module = factory(features, classes)
        with torch.inference_mode():
            shape = tuple(module.eval()(torch.zeros(2, features)).shape)
    except (TypeError, RuntimeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{name} does not map (samples, {features}) to (samples, {classes}): {error}") from error
    if shape != (2, classes):
        raise ConfigError(f"{name} maps (2, {features}) to {shape}, not to logits (2, {classes})")
    if any(getattr(part, "track_running_stats", False) for part in module.modules()):
        raise ConfigError(f"{name} learns running statistics, which do not travel; use GroupNorm or LayerNorm")
    if {parameter.dtype for parameter in module.parameters()} - {torch.float32}:
        raise ConfigError(f"{name} has parameters of another type than float32; call .float() on the module")
    return module
