"""The parameters of a model: named tensors, and the same numbers as one flat vector."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from bflmec.errors import ConfigError

Vector = npt.NDArray[np.float32]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,199}")


@dataclass(frozen=True)
class TensorSpec:
    """Names and shapes of a model's float32 tensors, sorted by name.

    The order is the one in which safetensors lays tensors out, so a flat vector is the data part of a gradient blob.
    """

    tensors: tuple[tuple[str, tuple[int, ...]], ...]

    def __post_init__(self) -> None:
        """Raises ConfigError on no tensors, names out of order or that JSON would escape, and empty tensors."""
        if not self.tensors:
            raise ConfigError("a model needs at least one tensor to train")
        for name, shape in self.tensors:
            if not _NAME.fullmatch(name):
                raise ConfigError(f"tensor name {name!r}: use 1 to 200 letters, digits, dots, dashes and underscores")
            if any(length < 1 for length in shape):
                raise ConfigError(f"tensor {name!r} is empty: shape {shape}")
        if any(first >= second for (first, _), (second, _) in pairwise(self.tensors)):
            raise ConfigError("tensors must be sorted by name, each name once; TensorSpec.of sorts")

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]]) -> TensorSpec:
        """The spec of tensors given in any order. Raises ConfigError like the constructor."""
        return cls(tuple(sorted((name, tuple(shape)) for name, shape in shapes.items())))

    @cached_property
    def size(self) -> int:
        """P, the number of parameters."""
        return sum(math.prod(shape) for _, shape in self.tensors)

    def unflatten(self, flat: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """Views of `flat` (..., P) by name, shaped (..., *shape). Raises ValueError on another P."""
        if flat.shape[-1:] != (self.size,):
            raise ValueError(f"expected {self.size} parameters on the last axis, not an array of shape {flat.shape}")
        views, start = {}, 0
        for name, shape in self.tensors:
            end = start + math.prod(shape)
            views[name] = flat[..., start:end].reshape((*flat.shape[:-1], *shape))
            start = end
        return views

    def flatten(self, tensors: Mapping[str, npt.NDArray[Any]]) -> Vector:
        """The (P,) float32 vector of named tensors. Raises ValueError if names or shapes are not the spec's."""
        found = tuple(sorted((name, tensor.shape) for name, tensor in tensors.items()))
        if found != self.tensors:
            raise ValueError(f"expected the tensors {dict(self.tensors)}, not {dict(found)}")
        return np.concatenate([np.asarray(tensors[name], np.float32).reshape(-1) for name, _ in self.tensors])
