"""The order in which clients walk through their samples: E epochs of mini-batches (Algorithm 2, lines 6 to 8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bflmec.errors import ConfigError

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Schedule:
    """`orders` (C, E, D): for each client and epoch a permutation of its D samples, cut into batches of `batch_size`.

    The last batch of an epoch is shorter when `batch_size` does not divide D.
    """

    orders: Indices
    batch_size: int

    def __post_init__(self) -> None:
        if self.orders.ndim != 3 or 0 in self.orders.shape:
            raise ConfigError(f"a schedule has the shape (clients, epochs, samples), not {self.orders.shape}")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, not {self.batch_size}")

    @classmethod
    def draw(cls, rng: np.random.Generator, samples: int, epochs: int, batch_size: int) -> Schedule:
        """One client's schedule (1, E, D). Raises ConfigError if a number is below 1."""
        if min(samples, epochs) < 1:
            raise ConfigError(f"training needs samples and epochs, not {samples} and {epochs}")
        return cls(np.stack([rng.permutation(samples) for _ in range(epochs)])[None], batch_size)

    @classmethod
    def stack(cls, schedules: Sequence[Schedule]) -> Schedule:
        """The schedules of several clients as one. Raises ConfigError if epochs, samples or batch size differ."""
        if len({(one.orders.shape[1:], one.batch_size) for one in schedules}) != 1:
            raise ConfigError("only schedules with the same epochs, samples and batch size can be stacked")
        return cls(np.concatenate([one.orders for one in schedules]), schedules[0].batch_size)

    @property
    def clients(self) -> int:
        return int(self.orders.shape[0])

    @property
    def epochs(self) -> int:
        return int(self.orders.shape[1])

    @property
    def samples(self) -> int:
        return int(self.orders.shape[2])

    def slices(self) -> list[slice]:
        """The batches of one epoch as slices of its order."""
        return [slice(start, start + self.batch_size) for start in range(0, self.samples, self.batch_size)]

    def batches(self, client: int) -> Iterator[Indices]:
        """One client's batches over all epochs, each the indices of its samples."""
        for order in self.orders[client]:
            for part in self.slices():
                yield order[part]
