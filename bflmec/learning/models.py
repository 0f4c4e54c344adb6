"""What a model is, and the models that come along.

A model of your own is a class with these members, registered by decorator or entry point (see `bflmec.registry`):

    @models.register("mine")
    class Mine: ...          # called with the data set's features and classes

or, with PyTorch, any importable function that builds a module: `model = "torch:my_package.nets:cnn"`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np

from bflmec.learning.dense import DenseNetwork
from bflmec.learning.dense_training import Array
from bflmec.learning.schedule import Indices, Schedule
from bflmec.learning.tensors import TensorSpec, Vector
from bflmec.registry import Registry


class Model(Protocol):
    """A classifier whose P parameters travel as one flat float32 vector; it holds none itself.

    Attributes: its name, the number of features F and classes K that it was made for, the spec of its tensors.
    """

    @property
    def name(self) -> str: ...

    @property
    def features(self) -> int: ...

    @property
    def classes(self) -> int: ...

    @property
    def spec(self) -> TensorSpec: ...

    def init(self, rng: np.random.Generator) -> Vector:
        """Start weights (P,) float32, a function of `rng` alone."""

    def train(
        self, base: Array, x: Array, y: Indices, schedule: Schedule, learning_rate: float, proximal: float = 0.0
    ) -> Array:
        """Weights (C, P) float32 of C clients after SGD (Eq. II.2) on the mean cross-entropy over the schedule.

        `base` (C, P) float32 is where each client starts, `x` (C, D, F) float32 and `y` (C, D) int64 its samples.
        `proximal` is FedProx's μ: each step also subtracts learning_rate · μ · (w − base). A client's result does not
        depend on the others of the call. Weights are not finite if the training diverged.
        """

    def logits(self, weights: Vector, x: Array) -> Array:
        """(D, K) float32 from `weights` (P,) and `x` (D, F) float32."""


ModelFactory = Callable[[int, int], Model]
"""Makes a model for a number of features and classes."""

models: Registry[ModelFactory] = Registry("models")
models.register("logistic")(partial(DenseNetwork, "logistic"))
models.register("mlp-200")(partial(DenseNetwork, "mlp-200", hidden=(200,)))
models.register("mlp-200-200")(partial(DenseNetwork, "mlp-200-200", hidden=(200, 200)))


@models.register("cnn-mcmahan")
def _cnn_mcmahan(features: int, classes: int) -> Model:
    from bflmec.learning.torch_model import TorchModel
    from bflmec.learning.torch_models import cnn_mcmahan

    return TorchModel("cnn-mcmahan", cnn_mcmahan, features, classes)


@models.register("cnn-small")
def _cnn_small(features: int, classes: int) -> Model:
    from bflmec.learning.torch_model import TorchModel
    from bflmec.learning.torch_models import cnn_small

    return TorchModel("cnn-small", cnn_small, features, classes)


TORCH_PREFIX = "torch:"
TORCHVISION_PREFIX = "torchvision:"


def create_model(name: str, features: int, classes: int) -> Model:
    """The model of that name, for a data set of so many features and classes.

    Raises ConfigError for an unknown name or one that does not fit, MissingExtraError without the
    packages that "torch:…", "torchvision:…" and convolutional models need.
    """
    if name.startswith(TORCH_PREFIX):
        from bflmec.learning.torch_model import TorchModel

        return TorchModel.from_import_path(name.removeprefix(TORCH_PREFIX), features, classes)
    if name.startswith(TORCHVISION_PREFIX):
        from bflmec.learning.torch_model import TorchModel
        from bflmec.learning.vision import load_model

        return TorchModel(name, load_model(name.removeprefix(TORCHVISION_PREFIX)), features, classes)
    return models.get(name)(features, classes)
