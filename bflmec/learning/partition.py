"""How a data set is divided among clients. No sample belongs to two of them, each gets exactly `per_client`.

A partition of your own is a frozen dataclass with this call, whose fields are its options:

    @partitions.register("mine")
    @dataclass(frozen=True)
    class Mine:
        def __call__(self, rng, labels, clients, per_client): ...
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bflmec.errors import ConfigError
from bflmec.learning.schedule import Indices
from bflmec.registry import Registry, nearest

Labels = npt.NDArray[np.int64]


class Partition(Protocol):
    """Divides samples among clients."""

    def __call__(self, rng: np.random.Generator, labels: Labels, clients: int, per_client: int) -> list[Indices]:
        """For each client the indices (per_client,) of its samples, in the order in which it collects them.

        `labels` (D,) are those of the whole data set. The result is a function of the arguments and of `rng` alone.
        Raises ConfigError if there are too few samples or the options don't fit.
        """


partitions: Registry[Callable[..., Partition]] = Registry("partitions")


def create_partition(name: str, options: Mapping[str, object] | None = None) -> Partition:
    """The partition of that name. Raises ConfigError on an unknown name, an unknown option or an impossible value."""
    factory, options = partitions.get(name), options or {}
    known = list(signature(factory).parameters)
    for option in options:
        if option not in known:
            hint = nearest(option, known) if known else "it has none"
            raise ConfigError(f"partition {name!r} has no option {option!r}; {hint}")
    return factory(**options)


@partitions.register("iid")
@dataclass(frozen=True, slots=True)
class Iid:
    """Everybody draws from the same distribution."""

    def __call__(self, rng: np.random.Generator, labels: Labels, clients: int, per_client: int) -> list[Indices]:
        """As in `Partition`."""
        _check_sizes(labels, clients, per_client)
        return list(rng.permutation(len(labels))[: clients * per_client].reshape(clients, per_client))


@partitions.register("dirichlet")
@dataclass(frozen=True, slots=True)
class Dirichlet:
    """Each client's mix of classes is drawn from a symmetric Dirichlet distribution: the smaller `alpha`, the purer.

    When a class is used up, later clients replace it by the others of their mix.
    """

    alpha: float = 0.3

    def __post_init__(self) -> None:
        if not (isinstance(self.alpha, int | float) and math.isfinite(self.alpha) and self.alpha > 0):
            raise ConfigError(f"alpha of the Dirichlet partition must be a number above 0, not {self.alpha!r}")

    def __call__(self, rng: np.random.Generator, labels: Labels, clients: int, per_client: int) -> list[Indices]:
        """As in `Partition`."""
        _check_sizes(labels, clients, per_client)
        stock = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
        left = np.array([len(own) for own in stock])
        parts = []
        for _ in range(clients):
            counts = _mix(rng, self.alpha, left, per_client)
            taken = [own[rest - count : rest] for own, rest, count in zip(stock, left, counts, strict=True)]
            left -= counts
            parts.append(rng.permutation(np.concatenate(taken)))
        return parts


@partitions.register("shard")
@dataclass(frozen=True, slots=True)
class Shard:
    """Each client gets `k` shards of the samples sorted by label (McMahan et al. 2017): about k classes.

    Few clients get shards that cover the classes evenly.
    """

    k: int = 2

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or self.k < 1:
            raise ConfigError(f"k of the shard partition must be a whole number of at least 1, not {self.k!r}")

    def __call__(self, rng: np.random.Generator, labels: Labels, clients: int, per_client: int) -> list[Indices]:
        """As in `Partition`."""
        _check_sizes(labels, clients, per_client)
        if self.k > per_client:
            raise ConfigError(f"{per_client} samples can't be made of {self.k} shards; lower k or raise per_client")
        used = rng.permutation(len(labels))[: len(labels) // per_client * per_client]
        rows = used[np.argsort(labels[used], kind="stable")].reshape(-1, per_client)
        columns = np.array_split(rows, self.k, axis=1)
        dealt = [column[_evenly(rng, labels[column[:, 0]], clients)] for column in columns]
        return [rng.permutation(own) for own in np.concatenate(dealt, axis=1)]


@dataclass(frozen=True, eq=False, slots=True)
class HoldOut:
    """A client's samples: those that it trains on, and those that it checks its accuracy on."""

    train: Indices
    held_out: Indices


def hold_out(rng: np.random.Generator, own: Indices, fraction: float = 0.1) -> HoldOut:
    """Holds a random `fraction` out, rounded, at least one and not all; the rest keeps its order.

    Raises ConfigError if there are fewer than two samples or `fraction` is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"the fraction to hold out must be between 0 and 1, not {fraction}")
    if len(own) < 2:
        raise ConfigError(f"a client needs at least 2 samples to hold one out, not {len(own)}; raise per_client")
    count = min(max(1, round(fraction * len(own))), len(own) - 1)
    chosen = np.zeros(len(own), bool)
    chosen[rng.permutation(len(own))[:count]] = True
    return HoldOut(train=own[~chosen], held_out=own[chosen])


def _check_sizes(labels: Labels, clients: int, per_client: int) -> None:
    if clients < 1 or per_client < 1:
        raise ConfigError(f"a partition needs clients and samples, not {clients} clients of {per_client} samples")
    if clients * per_client > len(labels):
        raise ConfigError(
            f"{clients} clients of {per_client} samples need {clients * per_client}, the data set has {len(labels)}; "
            f"use at most {len(labels) // clients} samples per client"
        )


def _mix(rng: np.random.Generator, alpha: float, left: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """How many samples of each class, `size` together, none more than what is `left`."""
    mix = rng.dirichlet(np.full(len(left), alpha))
    counts = np.zeros_like(left)
    while missing := size - int(counts.sum()):
        open_ = counts < left
        weights = np.where(open_, mix, 0)
        # Nothing of what is wanted is left, or alpha is too extreme for floating point: take from what there is.
        weights = weights if weights.sum() > 1e-12 else np.where(open_, left - counts, 0)
        counts = np.minimum(counts + rng.multinomial(missing, weights / weights.sum()), left)
    return counts


def _evenly(rng: np.random.Generator, labels: Labels, count: int) -> Indices:
    """`count` of the shards with these labels, in random order, such that labels occur equally often if they can."""
    order = rng.permutation(len(labels))
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        own = labels[order] == label
        turn[own] = np.arange(own.sum())
    return rng.permutation(order[np.argsort(turn, kind="stable")][:count])
