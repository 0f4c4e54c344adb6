"""Mini-batch SGD (Eq. II.2) on one module: with layers written out where possible, else with autograd.

Both take the same steps up to rounding. What of a step can be done once for a client or an epoch is not done in it.
"""

from __future__ import annotations

from typing import Any, Protocol

from bflmec.learning.dense_training import Array
from bflmec.learning.schedule import Indices
from bflmec.learning.torch_layers import Descent, Layer, Tensor, run, sequence
from bflmec.learning.torch_runtime import import_torch


class Trainer(Protocol):
    """Trains the parameters that its module holds, in place."""

    def train(
        self, x: Array, y: Indices, orders: Indices, batch_size: int, learning_rate: float, proximal: float
    ) -> None:
        """SGD on the mean cross-entropy, `x` (D, F) float32, `y` (D,), `orders` (E, D) as in `Schedule`."""
        ...

    def logits(self, x: Tensor) -> Tensor:
        """(D, K) in evaluation mode."""
        ...


def trainer_of(module: Any, features: int, classes: int) -> Trainer:
    """The faster trainer that the module allows. May lay its convolution weights out in another way."""
    descent = Descent()
    _prefer_channels_last(module, features)
    layers = sequence(module, descent, features)
    return AutogradTrainer(module) if layers is None else LayerTrainer(layers, descent, module, classes)


class LayerTrainer:
    """A `Trainer` of layers with their backward pass written out."""

    def __init__(self, layers: list[Layer], descent: Descent, module: Any, classes: int) -> None:
        self._torch = import_torch()
        self._layers = layers
        self._descent = descent
        self._classes = classes
        self._parameters = [parameter.detach() for parameter in module.parameters()]
        # Nothing below the first layer with parameters has to be told how to change.
        self._first = next((at for at, layer in enumerate(layers) if layer.has_parameters), len(layers))

    def train(
        self, x: Array, y: Indices, orders: Indices, batch_size: int, learning_rate: float, proximal: float
    ) -> None:
        torch, first = self._torch, self._first
        upper = [(layer, at > first) for at, layer in enumerate(self._layers) if at >= first][::-1]
        with torch.inference_mode():
            self._set_pull(learning_rate * proximal)
            samples = torch.tensor(x)
            targets = torch.nn.functional.one_hot(torch.tensor(y), self._classes).to(torch.float32)
            for order in orders:
                rows = torch.tensor(order)
                epoch = samples.index_select(0, rows).split(batch_size), targets.index_select(0, rows).split(batch_size)
                for batch, wanted in zip(*epoch, strict=True):
                    z = batch
                    for layer in self._layers:
                        z = layer.forward(z)
                    step = z.softmax(1).sub_(wanted).mul_(learning_rate / len(batch))
                    for layer, is_above in upper:
                        step = layer.backward(step, is_above)

    def logits(self, x: Tensor) -> Tensor:
        return run(self._layers, x)

    def _set_pull(self, pull: float) -> None:
        self._descent.pull = pull
        self._descent.starts = {value.data_ptr(): value.clone() for value in self._parameters} if pull else {}


class AutogradTrainer:
    """A `Trainer` of any module."""

    def __init__(self, module: Any) -> None:
        self._torch = import_torch()
        self._module = module
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]

    def train(
        self, x: Array, y: Indices, orders: Indices, batch_size: int, learning_rate: float, proximal: float
    ) -> None:
        torch = self._torch
        self._module.train()
        pull = learning_rate * proximal
        starts = [parameter.detach().clone() for parameter in self._parameters] if pull else []
        samples, labels = torch.tensor(x), torch.tensor(y)
        for order in orders:
            rows = torch.tensor(order)
            epoch = samples[rows].split(batch_size), labels[rows].split(batch_size)
            for batch, wanted in zip(*epoch, strict=True):
                loss = torch.nn.functional.cross_entropy(self._module(batch), wanted)
                # As a result, gradients need neither be zeroed nor added to.
                gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
                with torch.no_grad():
                    if pull:
                        torch._foreach_lerp_(self._parameters, starts, pull)
                    used = [at for at, gradient in enumerate(gradients) if gradient is not None]
                    torch._foreach_add_(
                        [self._parameters[at] for at in used], [gradients[at] for at in used], alpha=-learning_rate
                    )

    def logits(self, x: Tensor) -> Tensor:
        self._module.eval()
        return self._module(x)


def _prefer_channels_last(module: Any, features: int) -> None:
    """Convolution and pooling are faster on channels-last images; modules that view them as rows can't have it."""
    torch = import_torch()
    if not any(parameter.dim() == 4 for parameter in module.parameters()):
        return
    module.to(memory_format=torch.channels_last)
    try:
        with torch.inference_mode():
            module(torch.zeros(2, features))
    except RuntimeError:
        module.to(memory_format=torch.contiguous_format)
