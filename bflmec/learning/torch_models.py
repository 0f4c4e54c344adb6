"""Convolutional networks that come along, for square images of one or three colours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bflmec.errors import ConfigError
from bflmec.learning.torch_runtime import import_torch

if TYPE_CHECKING:
    import torch

_SMALLEST_SIDE = 4


def image_shape(features: int) -> tuple[int, int, int]:
    """(channels, side, side) of a square image with so many features: one channel if that can be, else three.

    Raises ConfigError if neither is possible.
    """
    for channels in (1, 3):
        side = math.isqrt(features // channels)
        if side >= _SMALLEST_SIDE and channels * side * side == features:
            return channels, side, side
    raise ConfigError(
        f"a convolutional model needs square images of at least {_SMALLEST_SIDE} x {_SMALLEST_SIDE} with one or three "
        f"colours, but the data set has {features} features; choose another model"
    )


def cnn_mcmahan(features: int, classes: int) -> torch.nn.Module:
    """The CNN of McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data" (2017),
    section 3: two 5x5 convolutions with 32 and 64 channels, each with 2x2 max pooling, a dense layer of 512.
    1,663,370 parameters for MNIST."""
    return _cnn(features, classes, channels=(32, 64), hidden=(512,))


def cnn_small(features: int, classes: int) -> torch.nn.Module:
    """The same with 8 and 16 channels and no hidden dense layer: 11,274 parameters for MNIST."""
    return _cnn(features, classes, channels=(8, 16), hidden=())


def _cnn(features: int, classes: int, channels: tuple[int, int], hidden: tuple[int, ...]) -> torch.nn.Module:
    nn = import_torch().nn
    colours, side, _ = image_shape(features)
    layers = [nn.Unflatten(1, (colours, side, side))]
    for before, after in zip((colours, *channels), channels, strict=False):
        layers += [nn.Conv2d(before, after, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    layers.append(nn.Flatten())
    units = channels[-1] * (side // 4) ** 2
    for wanted in hidden:
        layers += [nn.Linear(units, wanted), nn.ReLU()]
        units = wanted
    return nn.Sequential(*layers, nn.Linear(units, classes))
