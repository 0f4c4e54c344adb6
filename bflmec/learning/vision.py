"""torchvision's data sets, transforms and models: pip install 'bflmec[vision]'.

By name: `dataset = "torchvision:FashionMNIST"`, `model = "torchvision:resnet18"`. From Python: `dataset_of` takes any
data set and transform, `colour_model` any torchvision model, `in_training` a random transform.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bflmec.errors import ConfigError, DataError, MissingExtraError
from bflmec.learning.datasets import DataFolders, Dataset, Report
from bflmec.learning.torch_models import image_shape
from bflmec.learning.torch_runtime import import_torch

if TYPE_CHECKING:
    import torch

COLOURS = 3
_MOST_GROUPS = 32


class Samples(Protocol):
    """A data set as torchvision has them: an image (PIL image, array or tensor) and a label for each index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Any, Any]: ...


def dataset_of(
    name: str, train: Samples, test: Samples, classes: int, transform: Callable[[Any], Any] | None = None
) -> Dataset:
    """Both parts of a torchvision data set as a `Dataset`, every image flat, channel by channel, row by row.

    `transform` is applied once to each image; what comes out must have one size, and be bytes or in [0, 1]. Raises
    DataError if it isn't.
    """
    train_x, train_y, shape = _arrays(f"{name}: train", train, transform)
    test_x, test_y, test_shape = _arrays(f"{name}: test", test, transform)
    if shape != test_shape:
        raise DataError(f"{name}: images for training are {shape}, for testing {test_shape}; give a transform")
    return Dataset(name, train_x, train_y, test_x, test_y, classes, shape)


def load_by_name(name: str, folders: DataFolders, report: Report) -> Dataset:
    """The data set `torchvision.datasets.NAME`, from the data folders or else downloaded.

    Raises ConfigError if there is none that comes in two parts, DataError if it can't be had, MissingExtraError.
    """
    datasets = import_torchvision().datasets
    kind = getattr(datasets, name, None)
    parts = _parts(kind)
    if kind is None or parts is None:
        raise ConfigError(f"torchvision has no data set {name!r} with a part for training and one for testing by name")
    for folder in folders.search:
        try:
            train, test = (kind(folder, **part) for part in parts)
        except (RuntimeError, OSError):
            continue
        break
    else:
        report(f"downloading {name} to {folders.fetched}")
        try:
            train, test = (kind(folders.fetched, **part, download=True) for part in parts)
        except (RuntimeError, OSError, TypeError) as error:
            raise DataError(f"torchvision can't download {name}: {error}; put it into {folders.fetched}") from error
    named = getattr(train, "classes", None)
    classes = len(named) if named else 1 + max(int(train[index][1]) for index in range(len(train)))
    return dataset_of(f"torchvision:{name}", train, test, classes)


def load_model(name: str) -> Callable[[int, int], torch.nn.Module]:
    """A factory for `torchvision.models.NAME` with fresh weights. Raises ConfigError if there is none."""
    known = import_torchvision().models

    def build(features: int, classes: int) -> torch.nn.Module:
        try:
            module = known.get_model(name, weights=None, num_classes=classes)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"torchvision has no classifier of images named {name!r}: {error}") from error
        return colour_model(module, features)

    return build


def colour_model(module: torch.nn.Module, features: int) -> torch.nn.Module:
    """A module for square colour images as one for flat samples: grey ones get three equal channels, and batch
    normalisation, whose running statistics don't travel, becomes group normalisation, in place."""
    nn = import_torch().nn
    channels, side, _ = image_shape(features)
    layers = [nn.Unflatten(1, (channels, side, side))]
    if channels < COLOURS:
        layers.append(_module(lambda image: image.expand(-1, COLOURS, -1, -1)))
    return nn.Sequential(*layers, without_running_statistics(module))


def without_running_statistics(module: torch.nn.Module) -> torch.nn.Module:
    """The module with each batch normalisation of images replaced by a group normalisation of up to 32 groups."""
    nn = import_torch().nn
    if isinstance(module, nn.BatchNorm2d):
        groups = math.gcd(_MOST_GROUPS, module.num_features)
        return nn.GroupNorm(groups, module.num_features, eps=module.eps, affine=module.affine)
    for name, child in module.named_children():
        setattr(module, name, without_running_statistics(child))
    return module


def in_training(transform: Callable[[Any], Any]) -> torch.nn.Module:
    """A layer that applies a transform of `torchvision.transforms.v2` to batches of images, in training alone. What
    it draws follows from the client's schedule, so a seed still gives one run."""
    return _module(transform, only_in_training=True)


def import_torchvision() -> Any:
    """The module `torchvision`. Raises MissingExtraError without it.

    Beside a PyTorch for the CPU alone, the package's compiled part does not load, and two operators of object
    detection are then missing at import. They are declared here, without a body: nothing of ours calls them.
    """
    torch = import_torch()
    try:
        import torchvision
    except ImportError as error:
        raise MissingExtraError("this needs torchvision: pip install 'bflmec[vision]'") from error
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision

        # The declaration goes when its object does.
        torchvision._bflmec_operators = library
    return torchvision


def _parts(kind: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The arguments for the training and the test part of a torchvision data set, None if it has no such."""
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):
        return None
    if "train" in parameters:
        return {"train": True}, {"train": False}
    if "split" in parameters and parameters["split"].default == "train":
        return {"split": "train"}, {"split": "test"}
    return None


def _arrays(
    name: str, samples: Samples, transform: Callable[[Any], Any] | None
) -> tuple[NDArray[np.float32], NDArray[np.int64], tuple[int, ...]]:
    if len(samples) == 0:
        raise DataError(f"{name} has no samples")
    labels = np.empty(len(samples), np.int64)
    images: NDArray[np.float32] | None = None
    for index in range(len(samples)):
        image, label = samples[index]
        pixels = _pixels(f"{name}, sample {index}", image if transform is None else transform(image))
        if images is None:
            shape = pixels.shape
            images = np.empty((len(samples), pixels.size), np.float32)
        if pixels.shape != shape:
            raise DataError(f"{name}, sample {index} is {pixels.shape}, others {shape}; give a transform that resizes")
        images[index] = pixels.reshape(-1)
        labels[index] = _label(f"{name}, sample {index}", label)
    assert images is not None
    return images, labels, shape


def _pixels(name: str, image: Any) -> NDArray[np.float32]:
    """(H, W) or (C, H, W) float32 of a PIL image, which has its channels last, or of an array or tensor, as it is."""
    from PIL.Image import Image

    try:
        pixels = np.asarray(image)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{name} is no image: {error}") from error
    if isinstance(image, Image) and pixels.ndim == 3:
        pixels = pixels.transpose(2, 0, 1)
    if pixels.ndim == 3 and len(pixels) == 1:
        pixels = pixels[0]
    if pixels.ndim not in (2, 3) or pixels.dtype.kind not in "uf":
        raise DataError(f"{name} is no image of bytes or floats, but {pixels.dtype} of shape {pixels.shape}")
    if pixels.dtype.kind == "u":
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return pixels.astype(np.float32)


def _label(name: str, label: Any) -> int:
    try:
        return int(label)
    except (TypeError, ValueError):
        raise DataError(f"{name} has the label {label!r}; classification needs a whole number") from None


def _module(function: Callable[[Any], Any], *, only_in_training: bool = False) -> torch.nn.Module:
    class Applied(import_torch().nn.Module):  # type: ignore[misc]  # PyTorch is not imported before it is needed
        def forward(self, x: Any) -> Any:
            return function(x) if self.training or not only_in_training else x

    return Applied()
