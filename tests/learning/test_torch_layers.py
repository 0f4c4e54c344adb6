"""Layers written out take the steps that autograd takes, and stand back from modules that they don't know."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bflmec.learning.schedule import Schedule
from bflmec.learning.torch_model import TorchModel
from bflmec.learning.torch_training import AutogradTrainer, LayerTrainer, trainer_of

SIDE = 8
FEATURES, CLASSES = SIDE * SIDE, 5


class Opaque(nn.Module):
    """Hides what is inside, so that autograd has to train it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


def trained(factory: Callable[[], nn.Module], proximal: float = 0.0, hide: bool = False) -> tuple[str, np.ndarray]:
    """The kind of trainer, and weights after two epochs from a fixed start."""
    model = TorchModel("net", lambda *_: Opaque(factory()) if hide else factory(), FEATURES, CLASSES)
    rng = np.random.default_rng(3)
    base = rng.normal(0, 0.2, (1, model.spec.size)).astype(np.float32)
    x, y = rng.random((1, 23, FEATURES), np.float32), rng.integers(0, CLASSES, (1, 23))
    schedule = Schedule.draw(rng, 23, 2, 10)
    return type(model._trainer).__name__, model.train(base, x, y, schedule, 0.1, proximal)


def image(*layers: nn.Module, channels: int, side: int) -> nn.Module:
    """Layers between an image and a dense layer, which gets `channels` x `side` x `side` inputs."""
    top = [nn.Flatten(), nn.Linear(channels * side * side, CLASSES)]
    return nn.Sequential(nn.Unflatten(1, (1, SIDE, SIDE)), *layers, *top)


KNOWN: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Sequential(nn.Linear(FEATURES, CLASSES)),
    "a layer alone": lambda: nn.Linear(FEATURES, CLASSES),
    "without bias": lambda: nn.Sequential(nn.Linear(FEATURES, 7, bias=False), nn.ReLU(), nn.Linear(7, CLASSES)),
    "nested": lambda: nn.Sequential(nn.Sequential(nn.Linear(FEATURES, 7), nn.ReLU()), nn.Linear(7, CLASSES)),
    "two activations": lambda: nn.Sequential(
        nn.ReLU(), nn.Linear(FEATURES, 7), nn.ReLU(), nn.ReLU(), nn.Linear(7, CLASSES)
    ),
    "convolution": lambda: image(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), channels=3, side=4),
    "two convolutions": lambda: image(
        nn.Conv2d(1, 4, 3, padding="same"),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, bias=False),
        channels=6,
        side=2,
    ),
    "strides and groups": lambda: image(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 2, groups=2, dilation=2), channels=4, side=2
    ),
    "pools that overlap": lambda: image(
        nn.Conv2d(1, 2, 1),
        nn.MaxPool2d(3, 2, padding=1, ceil_mode=True),
        nn.Flatten(),
        nn.Unflatten(1, (2, 5, 5)),
        channels=2,
        side=5,
    ),
    "three colours": lambda: nn.Sequential(
        nn.Linear(FEATURES, 48), nn.Unflatten(1, (3, 4, 4)), nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(8, CLASSES)
    ),
    "dropout": lambda: nn.Sequential(nn.Linear(FEATURES, 9), nn.Dropout(0.4), nn.ReLU(), nn.Linear(9, CLASSES)),
}


def with_hook() -> nn.Module:
    module = nn.Sequential(nn.Linear(FEATURES, CLASSES))
    module[0].register_forward_hook(lambda part, inputs, output: output * 2)
    return module


def with_frozen_layer() -> nn.Module:
    module = nn.Sequential(nn.Linear(FEATURES, 7), nn.Linear(7, CLASSES))
    module[0].requires_grad_(False)
    return module


def with_shared_layer() -> nn.Module:
    shared = nn.Linear(FEATURES, FEATURES)
    return nn.Sequential(shared, nn.ReLU(), shared, nn.Linear(FEATURES, CLASSES))


def with_weight_norm() -> nn.Module:
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(FEATURES, CLASSES)))


class Doubled(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


class Viewed(nn.Module):
    """Views its images as rows, which channels-last ones can't be."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 2, 3, padding=1)
        self.dense = nn.Linear(2 * FEATURES, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        images = self.second(self.convolution(x.view(-1, 1, SIDE, SIDE)))
        return self.dense(images.view(-1, 2 * FEATURES))


UNKNOWN: dict[str, Callable[[], nn.Module]] = {
    "another layer": lambda: nn.Sequential(nn.Linear(FEATURES, 7), nn.Tanh(), nn.Linear(7, CLASSES)),
    "a layer of one's own": lambda: nn.Sequential(Doubled(FEATURES, CLASSES)),
    "a hook": with_hook,
    "a frozen layer": with_frozen_layer,
    "a shared layer": with_shared_layer,
    "a parametrisation": with_weight_norm,
    "reflecting padding": lambda: image(nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), channels=2, side=8),
    "uneven padding": lambda: image(nn.Conv2d(1, 2, 2, padding="same"), channels=2, side=8),
    "a dense layer on rows": lambda: nn.Sequential(
        nn.Unflatten(1, (SIDE, SIDE)), nn.Linear(SIDE, 2), nn.Flatten(), nn.Linear(2 * SIDE, CLASSES)
    ),
    "flattening in part": lambda: nn.Sequential(
        nn.Flatten(0, -1), nn.Unflatten(0, (-1, FEATURES)), nn.Linear(FEATURES, CLASSES)
    ),
    "views": Viewed,
}


@pytest.mark.parametrize("proximal", [0.0, 0.7])
@pytest.mark.parametrize("name", KNOWN)
def test_written_out_layers_and_autograd_take_the_same_steps(name: str, proximal: float) -> None:
    by_layers, by_autograd = (trained(KNOWN[name], proximal, hide) for hide in (False, True))
    assert (by_layers[0], by_autograd[0]) == ("LayerTrainer", "AutogradTrainer")
    np.testing.assert_allclose(by_layers[1], by_autograd[1], rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_layers_do_not_know_is_left_to_autograd(name: str) -> None:
    kind, weights = trained(UNKNOWN[name])
    assert kind == "AutogradTrainer"
    np.testing.assert_array_equal(weights, trained(UNKNOWN[name], hide=True)[1])


@pytest.mark.parametrize("name", [*KNOWN, *UNKNOWN])
def test_the_plain_loop_of_pytorch_gives_the_same_model(name: str) -> None:
    """Cross-entropy, backward, `torch.optim.SGD`: what a user would write."""
    factory = (KNOWN | UNKNOWN)[name]
    rng = np.random.default_rng(3)
    module = factory()
    names = sorted(dict(module.named_parameters()))
    sizes = {key: value.numel() for key, value in module.named_parameters()}
    base = rng.normal(0, 0.2, sum(sizes.values())).astype(np.float32)
    at = 0
    for key in names:
        part = torch.tensor(base[at : at + sizes[key]])
        dict(module.named_parameters())[key].data.copy_(part.view_as(dict(module.named_parameters())[key]))
        at += sizes[key]
    x, y = torch.tensor(rng.random((23, FEATURES), np.float32)), torch.tensor(rng.integers(0, CLASSES, (1, 23))[0])
    orders = Schedule.draw(rng, 23, 2, 10)
    torch.manual_seed(zlib.crc32(orders.orders[0].tobytes()))
    optimiser = torch.optim.SGD(module.parameters(), 0.1)
    for batch in orders.batches(0):
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(x[torch.tensor(batch)]), y[torch.tensor(batch)]).backward()
        optimiser.step()
    flat = torch.cat([dict(module.named_parameters())[key].detach().reshape(-1) for key in names]).numpy()
    np.testing.assert_allclose(trained(factory)[1][0], flat, rtol=0, atol=2e-6)


@settings(max_examples=25)
@given(data=st.data())
def test_any_stack_of_known_layers_trains_as_with_autograd(data: st.DataObject) -> None:
    """Without dropout on images: what it draws goes by their layout in memory, which the two may choose differently."""
    channels, side, layers = 1, SIDE, []
    for _ in range(data.draw(st.integers(0, 4))):
        kind = data.draw(st.sampled_from(["convolution", "pool", "relu"]))
        if kind == "convolution":
            after, kernel = data.draw(st.integers(1, 4)), data.draw(st.integers(1, min(3, side)))
            layers.append(lambda c=channels, a=after, k=kernel: nn.Conv2d(c, a, k))
            channels, side = after, side - kernel + 1
        elif kind == "pool" and side > 1:
            layers.append(lambda: nn.MaxPool2d(2))
            side //= 2
        else:
            layers.append(nn.ReLU)
    makers, shape = list(layers), (channels, side)

    def factory() -> nn.Module:
        return image(*(make() for make in makers), channels=shape[0], side=shape[1])

    by_layers, by_autograd = (trained(factory, hide=hide) for hide in (False, True))
    assert by_layers[0] == "LayerTrainer"
    np.testing.assert_allclose(by_layers[1], by_autograd[1], rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", [*KNOWN, *UNKNOWN])
def test_evaluation_is_that_of_the_module(name: str) -> None:
    factory = (KNOWN | UNKNOWN)[name]
    x = np.random.default_rng(0).random((600, FEATURES), np.float32)
    torch.manual_seed(0)
    module = factory()
    model = TorchModel("net", lambda *_: module, FEATURES, CLASSES)
    weights = model.spec.flatten({key: value.detach().numpy() for key, value in module.named_parameters()})
    with torch.inference_mode():
        wanted = module.eval()(torch.tensor(x)).numpy()
    np.testing.assert_allclose(model.logits(weights, x), wanted, rtol=0, atol=1e-5)


def test_an_unused_parameter_stays_as_it_is() -> None:
    def factory(*_: int) -> nn.Module:
        module = Opaque(nn.Linear(FEATURES, CLASSES))
        module.unused = nn.Parameter(torch.ones(3))
        return module

    assert trained(lambda: factory())[0] == "AutogradTrainer"
    model = TorchModel("net", factory, FEATURES, CLASSES)
    _, weights = trained(lambda: factory())
    start = np.random.default_rng(3).normal(0, 0.2, (1, model.spec.size)).astype(np.float32)
    np.testing.assert_array_equal(model.spec.unflatten(weights)["unused"], model.spec.unflatten(start)["unused"])


def test_only_deterministic_algorithms_run_and_only_meanwhile() -> None:
    seen: list[bool] = []

    class Watching(Opaque):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(torch.are_deterministic_algorithms_enabled())
            return super().forward(x)

    trained(lambda: Watching(nn.Linear(FEATURES, CLASSES)))
    assert seen
    assert all(seen)
    assert not torch.are_deterministic_algorithms_enabled()


def test_trainers_are_what_their_names_say() -> None:
    known: Any = KNOWN["linear"]()
    assert isinstance(trainer_of(known, FEATURES, CLASSES), LayerTrainer)
    assert isinstance(trainer_of(Opaque(known), FEATURES, CLASSES), AutogradTrainer)
