"""The convolutional network of the experiments: a model that none of the detectors' constants was chosen on."""

from __future__ import annotations

import math
from typing import Any

CNN = f"torch:{__name__}:cnn"


def cnn(features: int, classes: int) -> Any:
    """A `torch.nn.Module` for square grey images of at least 16 x 16: two convolutions with pooling, two layers."""
    from torch import nn

    side = math.isqrt(features)
    left = ((side - 4) // 2 - 4) // 2
    return nn.Sequential(
        nn.Unflatten(1, (1, side, side)),
        nn.Conv2d(1, 8, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * left * left, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )
