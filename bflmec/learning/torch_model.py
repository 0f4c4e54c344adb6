"""Any `torch.nn.Module` as a model. PyTorch is an extra: pip install 'bflmec[torch]'."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from bflmec.errors import ConfigError, MissingExtraError
from bflmec.learning.dense_training import Array
from bflmec.learning.schedule import Indices, Schedule
from bflmec.learning.tensors import TensorSpec, Vector

if TYPE_CHECKING:
    import torch

ModuleFactory = Callable[[int, int], "torch.nn.Module"]
"""Builds a module that maps (D, features) float32 to (D, classes) logits; images are flat, row by row."""

_one_at_a_time = RLock()


class TorchModel:
    """A `Model` around one module, whose parameters are views into one flat tensor, so that a step is one operation.

    What travels is the parameters. Buffers go back to their start values before each client; layers that learn
    through buffers (batch normalisation with running statistics) are refused. Runs on the CPU, with one thread, since
    several cost more than they bring for small models. Dropout draws from a seed that the client's schedule fixes.
    """

    def __init__(self, name: str, factory: ModuleFactory, features: int, classes: int, threads: int = 1) -> None:
        """Raises ConfigError if the module doesn't fit the data set or can't be trained this way, MissingExtraError."""
        self._torch = _import_torch()
        self.name = name
        self.features = features
        self.classes = classes
        self._factory = factory
        self._threads = threads
        with self._running(seed=0):
            self._module = _build(name, factory, features, classes)
            parameters = dict(sorted(self._module.named_parameters()))
            self.spec = TensorSpec.of({key: tuple(value.shape) for key, value in parameters.items()})
            self._flat = self._torch.empty(self.spec.size)
            self._gradient = self._torch.zeros(self.spec.size)
            self._buffers = [(buffer, buffer.clone()) for buffer in self._module.buffers()]
            places = self.spec.unflatten(self._flat.numpy()), self.spec.unflatten(self._gradient.numpy())
            for key, parameter in parameters.items():
                value, gradient = (self._torch.from_numpy(place[key]) for place in places)
                parameter.data = value.copy_(parameter.data)
                parameter.grad = gradient

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
        with self._running(seed=int(rng.integers(1 << 63))):
            fresh = _build(self.name, self._factory, self.features, self.classes)
            return self.spec.flatten({key: value.detach().numpy() for key, value in fresh.named_parameters()})

    def train(
        self, base: Array, x: Array, y: Indices, schedule: Schedule, learning_rate: float, proximal: float = 0.0
    ) -> Array:
        """As in `Model.train`, one client after the other."""
        trained = np.empty(base.shape, np.float32)
        for client in range(len(base)):
            with self._running(seed=zlib.crc32(schedule.orders[client].tobytes())):
                self._module.train()
                self._load(base[client])
                batches = schedule.batches(client)
                self._descend(base[client], x[client], y[client], batches, learning_rate, proximal)
                trained[client] = self._flat.numpy()
        return trained

    def logits(self, weights: Vector, x: Array) -> Array:
        """As in `Model.logits`, with the module in evaluation mode."""
        with self._running(seed=0), self._torch.inference_mode():
            self._module.eval()
            self._load(weights)
            logits: Array = self._module(self._torch.tensor(x)).numpy()
            return logits

    def _descend(
        self, base: Vector, x: Array, y: Indices, batches: Iterator[Indices], learning_rate: float, proximal: float
    ) -> None:
        torch, module, flat, gradient = self._torch, self._module, self._flat, self._gradient
        anchor, samples, labels = torch.tensor(base), torch.tensor(x), torch.tensor(y)
        for batch in batches:
            rows = torch.from_numpy(batch)
            gradient.zero_()
            torch.nn.functional.cross_entropy(module(samples[rows]), labels[rows]).backward()
            if proximal:
                gradient.add_(flat - anchor, alpha=proximal)
            flat.add_(gradient, alpha=-learning_rate)

    def _load(self, weights: Vector) -> None:
        self._flat.copy_(self._torch.tensor(weights))
        for buffer, start in self._buffers:
            buffer.copy_(start)

    @contextmanager
    def _running(self, seed: int) -> Iterator[None]:
        """The module to oneself, with PyTorch's global number of threads and random state borrowed and given back."""
        torch = self._torch
        with _one_at_a_time, torch.random.fork_rng(devices=[]), torch.enable_grad():
            threads = torch.get_num_threads()
            torch.set_num_threads(self._threads)
            torch.random.default_generator.manual_seed(seed)
            try:
                yield
            finally:
                torch.set_num_threads(threads)


def _import_torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("this model needs PyTorch: pip install 'bflmec[torch]'") from error
    return torch


def _build(name: str, factory: ModuleFactory, features: int, classes: int) -> Any:
    torch = _import_torch()
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
