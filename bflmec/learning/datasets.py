"""Data sets by name: samples as rows of features in [0, 1], with class labels.

A loader looks for its files in the data folders: the one given, or else $BFLMEC_DATA, ./data and the user's cache. What
it has to fetch goes to the first of these that was chosen on purpose, or else to the cache.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bflmec.errors import DataError
from bflmec.registry import Registry

Report: TypeAlias = Callable[[str], None]
"""Takes one line of progress."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Samples and labels, read-only. Raises DataError if shapes, types or ranges do not fit each other.

    train_x: (N, F) float32 in [0, 1], F = product of `shape`; train_y: (N,) int64 in [0, classes); test_x and test_y
    alike.
    """

    name: str
    train_x: NDArray[np.float32]
    train_y: NDArray[np.int64]
    test_x: NDArray[np.float32]
    test_y: NDArray[np.int64]
    classes: int
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        for part, x, y in (("train", self.train_x, self.train_y), ("test", self.test_x, self.test_y)):
            self._check(part, x, y)
            x.flags.writeable = False
            y.flags.writeable = False

    @property
    def features(self) -> int:
        return int(np.prod(self.shape))

    def _check(self, part: str, x: NDArray[np.float32], y: NDArray[np.int64]) -> None:
        if x.dtype != np.float32 or x.shape != (len(y), self.features) or len(y) == 0:
            raise DataError(f"{self.name}: {part}_x must be float32 of shape ({len(y)}, {self.features}), not empty")
        if y.dtype != np.int64 or y.ndim != 1 or y.min() < 0 or y.max() >= self.classes:
            raise DataError(f"{self.name}: {part}_y must be one-dimensional int64 in [0, {self.classes})")
        if not (x.min() >= 0 and x.max() <= 1):
            raise DataError(f"{self.name}: {part}_x must be finite and between 0 and 1")


@dataclass(frozen=True, slots=True)
class DataFolders:
    """Where loaders look, in this order, and where they put what they fetch."""

    search: tuple[Path, ...]
    fetched: Path

    @classmethod
    def default(cls, given: Path | None = None) -> DataFolders:
        """From the folder given, or else from the environment."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bflmec"
        chosen = given or (Path(os.environ["BFLMEC_DATA"]) if os.environ.get("BFLMEC_DATA") else None)
        if chosen is not None:
            return cls((chosen,), chosen)
        return cls((Path("data"), cache), cache)


Loader: TypeAlias = Callable[[DataFolders, Report], Dataset]

datasets: Registry[Loader] = Registry("datasets")

TORCHVISION_PREFIX = "torchvision:"


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def load_dataset(name: str, folder: Path | None = None, report: Report = to_stderr) -> Dataset:
    """The data set of that name. Raises ConfigError if there is none, DataError if it can't be found or fetched."""
    if name.startswith(TORCHVISION_PREFIX):
        from bflmec.learning.vision import load_by_name

        return load_by_name(name.removeprefix(TORCHVISION_PREFIX), DataFolders.default(folder), report)
    return datasets.get(name)(DataFolders.default(folder), report)


_SHAPES: dict[str, tuple[int, int]] = {"digits": (8 * 8, 10), "mnist": (28 * 28, 10)}


def dataset_shape(name: str, folder: Path | None = None, report: Report = to_stderr) -> tuple[int, int]:
    """Features F and classes K of a data set; one that is a plug-in is loaded for it. Raises like `load_dataset`."""
    if name in _SHAPES:
        return _SHAPES[name]
    dataset = load_dataset(name, folder, report)
    return dataset.features, dataset.classes


@datasets.register("digits")
def load_digits(folders: DataFolders, report: Report) -> Dataset:
    """scikit-learn's handwritten digits, 8 x 8, which come with the package: every fifth sample is for testing."""
    from sklearn.datasets import load_digits as bundled

    x, y = bundled(return_X_y=True)
    x = (x / 16).astype(np.float32)
    y = y.astype(np.int64)
    test = np.arange(len(y)) % 5 == 4
    return Dataset("digits", x[~test], y[~test], x[test], y[test], classes=10, shape=(8, 8))


@datasets.register("mnist")
def load_mnist(folders: DataFolders, report: Report) -> Dataset:
    """MNIST: 60,000 samples for training and 10,000 for testing, 28 x 28."""
    from bflmec.learning.mnist import find_or_fetch, images, labels

    files = find_or_fetch(folders, report)
    return Dataset(
        "mnist",
        images(files["train-images-idx3-ubyte"], 60_000),
        labels(files["train-labels-idx1-ubyte"], 60_000),
        images(files["t10k-images-idx3-ubyte"], 10_000),
        labels(files["t10k-labels-idx1-ubyte"], 10_000),
        classes=10,
        shape=(28, 28),
    )
