"""Where a client's samples come from: anything that can be iterated over and waits where there is nothing yet.

    for x, y in source: ...      x: the features, any shape; y: the class

A worker takes a sample only when it has room for it, so a source that can't wait has to bound what it keeps. An
asynchronous iterator will do as well (see bflmec/client/async_worker.py).
"""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bflmec.configuration.sections import Config
from bflmec.consortium.shares import shares_of
from bflmec.errors import ConfigError, DataError
from bflmec.learning.datasets import Dataset

Sample: TypeAlias = tuple[Any, Any]
"""Features, and a class."""


class DataSource(Protocol):
    """Samples that arrive. The iterator ends when no more will come; an exception of it ends the worker."""

    def __iter__(self) -> Iterator[Sample]: ...


class ArraySource:
    """The rows of arrays `x` (D, …) and `y` (D,), in order, `repeat`edly or once.

    With a `rate` they arrive as so many a second on average (exponential gaps drawn from `seed`), else at once.
    """

    def __init__(
        self, x: ArrayLike, y: ArrayLike, *, rate: float | None = None, repeat: bool = True, seed: int | None = None
    ) -> None:
        self._x, self._y = np.asarray(x), np.asarray(y)
        if len(self._x) != len(self._y) or not len(self._y):
            raise DataError(f"as many samples as classes are needed, not {len(self._x)} and {len(self._y)}")
        if rate is not None and not rate > 0:
            raise ConfigError(f"a rate is a number of samples a second above 0, not {rate}")
        self._rate, self._repeat, self._rng = rate, repeat, np.random.default_rng(seed)

    def __iter__(self) -> Iterator[Sample]:
        order: Iterable[int] = range(len(self._y))
        for index in itertools.cycle(order) if self._repeat else order:
            if self._rate is not None:
                time.sleep(self._rng.exponential(1 / self._rate))
            yield self._x[index], self._y[index]


class QueueSource:
    """What another thread puts into a queue as `(x, y)`; None ends it. Bound the queue: `queue.Queue(maxsize=…)`."""

    def __init__(self, samples: queue.Queue[Sample | None]) -> None:
        self._samples = samples

    def __iter__(self) -> Iterator[Sample]:
        while (sample := self._samples.get()) is not None:
            yield sample


class LoaderSource:
    """The single samples of what yields batches `(x, y)`, such as a `torch.utils.data.DataLoader`; `epochs` times over,
    or without end."""

    def __init__(self, loader: Iterable[tuple[Any, Any]], epochs: int | None = None) -> None:
        self._loader, self._epochs = loader, epochs

    def __iter__(self) -> Iterator[Sample]:
        for _ in itertools.count() if self._epochs is None else range(self._epochs):
            for x, y in self._loader:
                yield from zip(np.asarray(x), np.asarray(y), strict=True)


def share_of(config: Config, dataset: Dataset, number: int, of: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The samples of client `number` (1 … `of`) if the data set is divided as the configuration says.

    x (D, F) float32 and y (D,) int64. Raises ConfigError if there are not enough samples.
    """
    if not 1 <= number <= of:
        raise ConfigError(f"a share is NUMBER/OF with 1 ≤ NUMBER ≤ OF, not {number}/{of}")
    part = shares_of(config, dataset.train_y, of)[number - 1]
    return dataset.train_x[part], dataset.train_y[part]
