"""Layers with their backward pass written out: `torch.nn.Sequential` without the cost of recording a graph.

Each layer computes what autograd would, up to rounding, with the same kernels. Gradients are never stored: a backward
pass takes the SGD step (Eq. II.2) of its layer as it goes. Images are kept channels-last, which pooling is many times
faster on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from bflmec.learning.torch_runtime import import_torch

Tensor = Any


class Layer(Protocol):
    """One layer for one batch at a time: `backward` belongs to the `forward` before it."""

    has_parameters: bool

    def forward(self, x: Tensor) -> Tensor:
        """Activations (B, …) float32 for inputs (B, …) float32, which may be overwritten."""
        ...

    def infer(self, x: Tensor) -> Tensor:
        """As `forward` in evaluation mode."""
        ...

    def backward(self, step: Tensor, wanted: bool) -> Tensor:
        """Subtracts this layer's part of the step from its parameters. `step` is the loss's gradient by the
        activations, times the learning rate; returns the same by the inputs, None unless `wanted`."""
        ...


class Descent:
    """What the layers of one net share: FedProx's pull towards the start weights."""

    pull = 0.0
    """learning_rate · μ"""

    def __init__(self) -> None:
        self.starts: dict[int, Tensor] = {}

    def take(self, parameter: Tensor) -> Tensor:
        """The parameter, moved by the proximal term; its gradient's part is still to be subtracted."""
        if self.pull:
            parameter.lerp_(self.starts[parameter.data_ptr()], self.pull)
        return parameter


class _Stateless:
    has_parameters = False

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def infer(self, x: Tensor) -> Tensor:
        return self.forward(x)


class _Linear:
    has_parameters = True

    def __init__(self, module: Any, descent: Descent) -> None:
        self._torch = import_torch()
        self._weight = module.weight.detach()
        self._bias = None if module.bias is None else module.bias.detach()
        self._descent = descent

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 2:
            raise NotImplementedError
        self._x = x
        return self._torch.nn.functional.linear(x, self._weight, self._bias)

    infer = forward

    def backward(self, step: Tensor, wanted: bool) -> Tensor:
        below = step @ self._weight if wanted else None
        self._descent.take(self._weight).addmm_(step.t(), self._x, alpha=-1)
        if self._bias is not None:
            self._descent.take(self._bias).sub_(step.sum(0))
        return below


class _Convolution:
    has_parameters = True

    def __init__(self, module: Any, descent: Descent) -> None:
        self._aten = import_torch().ops.aten
        self._weight = module.weight.detach()
        self._bias = None if module.bias is None else module.bias.detach()
        self._descent = descent
        self._sizes = None if self._bias is None else [len(self._bias)]
        self._geometry = (module.stride, _padding(module), module.dilation, False, (0, 0), module.groups)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            raise NotImplementedError
        self._x = x
        return self._aten.convolution(x, self._weight, self._bias, *self._geometry)

    infer = forward

    def backward(self, step: Tensor, wanted: bool) -> Tensor:
        mask = [wanted, True, self._bias is not None]
        below, by_weight, by_bias = self._aten.convolution_backward(
            step, self._x, self._weight, self._sizes, *self._geometry, mask
        )
        self._descent.take(self._weight).sub_(by_weight)
        if self._bias is not None:
            self._descent.take(self._bias).sub_(by_bias)
        return below


class _ReLU(_Stateless):
    def __init__(self, module: Any, descent: Descent) -> None:
        self._aten = import_torch().ops.aten

    def forward(self, x: Tensor) -> Tensor:
        self._y = self._aten.relu(x)
        return self._y

    def backward(self, step: Tensor, wanted: bool) -> Tensor:
        return self._aten.threshold_backward(step, self._y, 0)


class _MaxPool(_Stateless):
    def __init__(self, module: Any, descent: Descent) -> None:
        self._aten = import_torch().ops.aten
        kernel, stride, padding, dilation = (
            [value, value] if isinstance(value, int) else list(value)
            for value in (module.kernel_size, module.stride, module.padding, module.dilation)
        )
        self._geometry = kernel, stride, padding, dilation, module.ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        y, self._chosen = self._aten.max_pool2d_with_indices(x, *self._geometry)
        return y

    def backward(self, step: Tensor, wanted: bool) -> Tensor:
        return self._aten.max_pool2d_with_indices_backward(step, self._x, *self._geometry, self._chosen)


class _Flatten(_Stateless):
    def __init__(self, module: Any, descent: Descent) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        self._shape = x.shape
        return x.flatten(1)

    def backward(self, step: Tensor, wanted: bool) -> Tensor:
        return step.view(self._shape)


class _Unflatten(_Stateless):
    def __init__(self, module: Any, descent: Descent) -> None:
        self._torch = import_torch()
        self._shape = tuple(module.unflattened_size)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 2:
            raise NotImplementedError
        if len(self._shape) != 3:
            return x.view(len(x), *self._shape)
        channels, height, width = self._shape
        if channels == 1:
            # Both layouts are the same bytes; PyTorch goes by the strides.
            return x.as_strided((len(x), 1, height, width), (x.stride(0), 1, width, 1))
        return x.view(len(x), *self._shape).contiguous(memory_format=self._torch.channels_last)

    def backward(self, step: Tensor, wanted: bool) -> Tensor:
        return step.flatten(1)


class _Dropout(_Stateless):
    def __init__(self, module: Any, descent: Descent) -> None:
        self._torch = import_torch()
        self._kept = 1 - module.p

    def forward(self, x: Tensor) -> Tensor:
        self._factor = self._torch.empty_like(x).bernoulli_(self._kept).div_(self._kept)
        return x * self._factor

    def infer(self, x: Tensor) -> Tensor:
        return x

    def backward(self, step: Tensor, wanted: bool) -> Tensor:
        return step * self._factor


def sequence(module: Any, descent: Descent, features: int) -> list[Layer] | None:
    """The layers of a module that maps (B, features), or None if it is not a Sequential of nothing but these layers."""
    torch = import_torch()
    parts = _parts(module)
    parameters = [id(value) for part in parts or () for value in part.parameters()]
    if parts is None or len(set(parameters)) < len(parameters) or not all(map(_is_plain, parts)):
        return None
    layers = [_MAKERS[type(part).__name__](part, descent) for part in parts]
    with torch.inference_mode():
        try:
            run(layers, torch.zeros(2, features))
        except NotImplementedError:
            return None
    return layers


def run(layers: Sequence[Layer], x: Tensor) -> Tensor:
    """(B, K) logits in evaluation mode."""
    for layer in layers:
        x = layer.infer(x)
    return x


_MAKERS: dict[str, Callable[[Any, Descent], Layer]] = {
    "Linear": _Linear,
    "Conv2d": _Convolution,
    "ReLU": _ReLU,
    "MaxPool2d": _MaxPool,
    "Flatten": _Flatten,
    "Unflatten": _Unflatten,
    "Dropout": _Dropout,
}


def _parts(module: Any) -> list[Any] | None:
    """The modules of a Sequential, nested ones laid out; None if hooks want to be called in between."""
    torch = import_torch()
    if any(hooks for name, hooks in vars(module).items() if name.endswith("_hooks")):
        return None
    if type(module) is not torch.nn.Sequential:
        return [module]
    parts: list[Any] = []
    for child in module:
        below = _parts(child)
        if below is None:
            return None
        parts += below
    return parts


def _is_plain(part: Any) -> bool:
    nn = import_torch().nn
    kind = type(part)
    if kind.__name__ not in _MAKERS or kind is not getattr(nn, kind.__name__):
        return False
    if not all(parameter.requires_grad for parameter in part.parameters()):
        return False
    if kind is nn.Conv2d:
        return part.padding_mode == "zeros" and _padding(part) is not None
    if kind is nn.MaxPool2d:
        return not part.return_indices
    if kind is nn.Flatten:
        return (part.start_dim, part.end_dim) == (1, -1)
    if kind is nn.Unflatten:
        return part.dim == 1 and all(isinstance(size, int) and size > 0 for size in part.unflattened_size)
    return kind is not nn.Dropout or 0 < part.p < 1


def _padding(convolution: Any) -> tuple[int, ...] | None:
    """The same padding on both sides, None if there is no such."""
    if convolution.padding == "valid":
        return (0, 0)
    if convolution.padding == "same":
        spans = [d * (k - 1) for d, k in zip(convolution.dilation, convolution.kernel_size, strict=True)]
        return None if any(span % 2 for span in spans) else tuple(span // 2 for span in spans)
    return tuple(convolution.padding)
