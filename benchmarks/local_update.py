"""Client updates per CPU second: numpy (Gram and direct form), `TorchModel` and a plain PyTorch loop, in one run.

    python benchmarks/local_update.py --model mlp-200 --samples 75

The ways take turns, so that a busy machine slows all of them; trust the ratios. Data are random with as many zeros as
MNIST has. One thread everywhere.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from statistics import median

import numpy as np

from bflmec.learning import dense_training
from bflmec.learning.models import create_model
from bflmec.learning.schedule import Schedule
from bflmec.learning.torch_model import TorchModel

LEARNING_RATE = 0.01
NONZERO = 0.19
HIDDEN = {"logistic": (), "mlp-200": (200,), "mlp-200-200": (200, 200)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=HIDDEN, default="logistic")
    parser.add_argument("--clients", type=int, default=20, help="clients trained in one call (default 20)")
    parser.add_argument("--samples", type=int, default=75, help="N (default 75)")
    parser.add_argument("--epochs", type=int, default=5, help="E (default 5)")
    parser.add_argument("--batch-size", type=int, default=10, help="B (default 10)")
    parser.add_argument("--features", type=int, default=784, help="(default 784)")
    parser.add_argument("--repeats", type=int, default=15, help="runs of each way (default 15)")
    args = parser.parse_args()

    ways = make_ways(args)
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.repeats):
        for name, way in ways.items():
            start = time.process_time()
            way()
            seconds[name].append(time.process_time() - start)

    chosen = dense_training.cheaper_form(args.samples, args.epochs, args.features, (*HIDDEN[args.model], 10)[0])
    slowest = median(seconds["plain torch loop"])
    print(f"{args.model}, {args.samples} samples, E={args.epochs}, B={args.batch_size}, {args.clients} clients at once")
    print(f"{'way':<20}{'updates / CPU s':>16}{'best run':>12}{'ratio':>8}")
    for name, taken in seconds.items():
        rates = args.clients / median(taken), args.clients / min(taken)
        note = "   chosen" if name == f"numpy {chosen}" else ""
        print(f"{name:<20}{rates[0]:>16,.0f}{rates[1]:>12,.0f}{slowest / median(taken):>8.1f}{note}")


def make_ways(args: argparse.Namespace) -> dict[str, Callable[[], object]]:
    import torch

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    shape = (args.clients, args.samples, args.features)
    x = rng.random(shape, np.float32) * (rng.random(shape) < NONZERO)
    y = rng.integers(0, 10, shape[:2])
    drawn = [Schedule.draw(rng, args.samples, args.epochs, args.batch_size) for _ in range(args.clients)]
    schedule = Schedule.stack(drawn)
    model = create_model(args.model, args.features, 10)
    base = np.stack([model.init(rng)] * args.clients)
    ours = TorchModel("torch", partial(make_module, HIDDEN[args.model]), args.features, 10)

    def numpy_form(form: dense_training.FirstLayerForm) -> None:
        usual = dense_training.cheaper_form
        dense_training.cheaper_form = lambda *_, **__: form
        try:
            model.train(base, x, y, schedule, LEARNING_RATE)
        finally:
            dense_training.cheaper_form = usual

    return {
        "numpy gram": lambda: numpy_form("gram"),
        "numpy direct": lambda: numpy_form("direct"),
        "TorchModel": lambda: ours.train(base, x, y, schedule, LEARNING_RATE),
        "plain torch loop": lambda: plain_torch_loop(HIDDEN[args.model], x, y, schedule),
    }


def make_module(hidden: tuple[int, ...], features: int, classes: int):
    from torch import nn

    sizes = (features, *hidden, classes)
    layers: list[nn.Module] = []
    for inputs, units in pairwise(sizes):
        layers += [nn.Linear(inputs, units), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def plain_torch_loop(hidden: tuple[int, ...], x: np.ndarray, y: np.ndarray, schedule: Schedule) -> None:
    """What most programs do: a module and an SGD object for each client, autograd for each batch."""
    import torch

    for client in range(len(x)):
        module = make_module(hidden, x.shape[2], 10)
        optimizer = torch.optim.SGD(module.parameters(), lr=LEARNING_RATE)
        samples, labels = torch.from_numpy(x[client]), torch.from_numpy(y[client])
        for batch in schedule.batches(client):
            rows = torch.from_numpy(batch)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(samples[rows]), labels[rows]).backward()
            optimizer.step()


if __name__ == "__main__":
    main()
