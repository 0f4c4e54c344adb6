"""The samples that a client holds: fixed-size arrays whose oldest places are used again."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bflmec.errors import DataError
from bflmec.protocol.client import AfterTraining, ClientRules


def capacity_of(rules: ClientRules, accumulated: int) -> int:
    """How many samples a client has to hold at once; `accumulated` bounds it if samples are never consumed."""
    needed = rules.data_threshold + rules.strict_threshold
    if rules.after_training is AfterTraining.SLIDING:
        return rules.sliding_window + needed
    if rules.after_training is AfterTraining.ACCUMULATE:
        return max(accumulated, needed)
    return needed


class SampleRing:
    """Up to `capacity` samples of `features` features and `classes` classes; the newest replaces the oldest."""

    def __init__(self, capacity: int, features: int, classes: int) -> None:
        self._x = np.empty((capacity, features), np.float32)
        self._y = np.empty(capacity, np.int64)
        self._classes = classes
        self._arrived = 0

    def add(self, x: ArrayLike, y: object) -> int:
        """Takes a sample: `x` any shape of `features` finite numbers, `y` its class. Returns its place.

        Raises DataError, with nothing changed, if it does not fit the model.
        """
        try:
            features = np.asarray(x, np.float32).reshape(-1)
            given = np.asarray(y).reshape(())
            label = int(given)
        except (TypeError, ValueError) as error:
            raise DataError(f"a sample is a pair of features and class: {error}") from error
        if features.shape != self._x.shape[1:] or not np.isfinite(features).all():
            raise DataError(f"a sample has {self._x.shape[1]} finite features, not {features.size}")
        if label != given or not 0 <= label < self._classes:
            raise DataError(f"a sample's class is a whole number from 0 to {self._classes - 1}, not {given}")
        place = self._arrived % len(self._y)
        self._x[place], self._y[place] = features, label
        self._arrived += 1
        return place

    def take(self, places: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Copies of the samples in these places: (D, F) float32 and (D,) int64."""
        return self._x[places], self._y[places]
