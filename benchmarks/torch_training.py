"""CPU time of one client update with PyTorch: our trainers beside the loop that everybody writes, in one run.

    OMP_NUM_THREADS=1 python benchmarks/torch_training.py [--models cnn-small cnn-mcmahan]

50 SGD steps of 10 samples, one thread. The ways take turns, so that a busy machine slows all of them; trust the ratios.
Data are random; loading the weights into the module and taking them out again is part of ours.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from bflmec.learning.schedule import Schedule
from bflmec.learning.torch_model import ModuleFactory, TorchModel
from bflmec.learning.torch_models import cnn_mcmahan, cnn_small

FEATURES, CLASSES, SAMPLES, EPOCHS, BATCH, RATE = 784, 10, 100, 5, 10, 0.01


def dense(*hidden: int) -> ModuleFactory:
    def build(features: int, classes: int) -> nn.Module:
        sizes = (features, *hidden)
        layers = [part for a, b in zip(sizes, hidden, strict=False) for part in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], classes))

    return build


MODELS: dict[str, tuple[ModuleFactory, int]] = {
    "logistic": (dense(), 60),
    "784-200-200-10": (dense(200, 200), 40),
    "cnn-small": (cnn_small, 20),
    "cnn-mcmahan": (cnn_mcmahan, 5),
}
"""Factory, and how often each way is run."""


class Opaque(nn.Module):
    """Hides the layers, so that autograd has to train them, as it has modules of one's own."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> Any:
        return self.inner(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'model':<16}{'way':<30}{'CPU ms / update':>16}{'best':>9}{'ratio':>8}")
    for name in args.models:
        factory, repeats = MODELS[name]
        taken = measure(make_ways(name, factory), repeats)
        slowest = median(taken["plain loop"])
        for way, seconds in taken.items():
            middle = median(seconds)
            print(f"{name:<16}{way:<30}{1e3 * middle:>16.2f}{1e3 * min(seconds):>9.2f}{slowest / middle:>8.2f}")


def make_ways(name: str, factory: ModuleFactory) -> dict[str, Callable[[], object]]:
    rng = np.random.default_rng(0)
    x, y = rng.random((1, SAMPLES, FEATURES), np.float32), rng.integers(0, CLASSES, (1, SAMPLES))
    schedule = Schedule.draw(rng, SAMPLES, EPOCHS, BATCH)
    layers = TorchModel(name, factory, FEATURES, CLASSES)
    autograd = TorchModel(name, lambda *sizes: Opaque(factory(*sizes)), FEATURES, CLASSES)
    base = layers.init(rng)[None]
    module, samples, labels = factory(FEATURES, CLASSES), torch.tensor(x[0]), torch.tensor(y[0])
    optimiser = torch.optim.SGD(module.parameters(), RATE)

    def plain() -> None:
        for batch in schedule.batches(0):
            rows = torch.from_numpy(batch)
            optimiser.zero_grad()
            nn.functional.cross_entropy(module(samples[rows]), labels[rows]).backward()
            optimiser.step()

    return {
        "plain loop": plain,
        "TorchModel, any module": lambda: autograd.train(base, x, y, schedule, RATE),
        "TorchModel, known layers": lambda: layers.train(base, x, y, schedule, RATE),
    }


def measure(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.process_time()
            way()
            seconds[name].append(time.process_time() - start)
    return seconds


if __name__ == "__main__":
    main()
