"""Asynchronous federated learning with one trusted server, to compare with: the registry `servers`.

A server takes one upload after the other and moves the global weights as its paper says. What the papers call a
gradient is here a client's delta, so that all methods share clients, local updates and learning rate.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bflmec.errors import ConfigError
from bflmec.registry import Registry

Vector = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Upload:
    """One client's delta (P,) float32 to the global weights `base` (P,) that it started from, `staleness` versions
    ago."""

    client: int
    delta: Vector
    base: Vector
    staleness: int


@dataclass(frozen=True, eq=False)
class ServerSettings:
    """`buffer` uploads make an aggregation where the method has one (our φ). `root_delta(weights)` is the delta that
    the server's own few trusted samples give; None if it has none. `byzantine` is the share of hostile clients that
    robust methods are told to expect."""

    clients: int
    buffer: int = 10
    byzantine: float = 0.3
    root_delta: Callable[[Vector], Vector] | None = None


class Server(Protocol):
    """A method."""

    def receive(self, weights: Vector, upload: Upload) -> Vector | None:
        """The new global weights (P,) float32, or None if they stay as they are."""
        ...


servers: Registry[Callable[[ServerSettings], Server]] = Registry("servers")


def _norm(vector: Vector) -> float:
    return float(np.linalg.norm(vector.astype(np.float64)))


@servers.register("fedasync")
class FedAsync:
    """w ← (1 − α_s) w + α_s w_local with α_s = 0.6 (1 + s)^-0.5 (Xie et al. 2019, polynomial staleness)."""

    ALPHA, DECAY = 0.6, 0.5

    def __init__(self, settings: ServerSettings) -> None:
        pass

    def receive(self, weights: Vector, upload: Upload) -> Vector | None:
        alpha = np.float32(self.ALPHA * (1 + upload.staleness) ** -self.DECAY)
        return weights + alpha * (upload.base + upload.delta - weights)


@servers.register("fedbuff")
class FedBuff:
    """The mean of a buffer of deltas, each divided by √(1 + s) (Nguyen et al. 2022)."""

    def __init__(self, settings: ServerSettings) -> None:
        self._size = settings.buffer
        self._buffer: list[Vector] = []

    def receive(self, weights: Vector, upload: Upload) -> Vector | None:
        self._buffer.append(upload.delta / np.float32(np.sqrt(1 + upload.staleness)))
        if len(self._buffer) < self._size:
            return None
        mean: Vector = np.stack(self._buffer).mean(axis=0)
        self._buffer.clear()
        return weights + mean


@servers.register("basgd")
class BufferedAsynchronousSgd:
    """Clients share 2f + 1 buffers, each keeping the mean of what came in; when none is empty, the coordinate median of
    the buffers moves the weights (Yang and Li 2021). f is the hostile share of `buffer` uploads."""

    def __init__(self, settings: ServerSettings) -> None:
        self._count = 2 * int(settings.byzantine * settings.buffer) + 1
        self._buffers: dict[int, list[Vector]] = defaultdict(list)

    def receive(self, weights: Vector, upload: Upload) -> Vector | None:
        self._buffers[upload.client % self._count].append(upload.delta)
        if len(self._buffers) < self._count:
            return None
        means = np.stack([np.stack(own).mean(axis=0) for own in self._buffers.values()])
        self._buffers.clear()
        median: Vector = np.median(means, axis=0).astype(np.float32)
        return weights + median


@servers.register("kardam")
class Kardam:
    """Refuses uploads that change faster with the weights than those of most clients (Lipschitz filter), and clients
    that upload too often in a row (frequency filter); stale ones weigh 1/(1 + s) (Damaskinos et al. 2018)."""

    REMEMBERED = 100

    def __init__(self, settings: ServerSettings) -> None:
        self._quantile = 1 - settings.byzantine
        self._last: dict[int, tuple[Vector, Vector]] = {}
        self._coefficients: deque[float] = deque(maxlen=self.REMEMBERED)
        hostile = int(settings.byzantine * settings.clients)
        self._recent: deque[int] = deque(maxlen=2 * hostile + 1)
        self._most = max(1, hostile)
        self._share = np.float32(1 / settings.buffer)

    def receive(self, weights: Vector, upload: Upload) -> Vector | None:
        before = self._last.get(upload.client)
        self._last[upload.client] = upload.base, upload.delta
        self._recent.append(upload.client)
        if before is not None:
            moved = _norm(upload.base - before[0])
            coefficient = _norm(upload.delta - before[1]) / moved if moved else float("inf")
            known = list(self._coefficients)
            self._coefficients.append(coefficient)
            if len(known) >= 10 and coefficient > float(np.quantile(known, self._quantile)):
                return None
        if self._recent.count(upload.client) > self._most:
            return None
        return weights + self._share / np.float32(1 + upload.staleness) * upload.delta


@servers.register("zeno++")
class ZenoPlusPlus:
    """Scales each delta to the length of the server's own one, and accepts it if it points the same way (Xie, Koyejo
    and Gupta 2020): ⟨v, g⟩ ≥ ρ‖g‖² − ε‖v‖². Needs root data."""

    RHO, EPSILON = 0.002, 0.1

    def __init__(self, settings: ServerSettings) -> None:
        self._root = _root_of(settings, "zeno++")
        self._share = np.float32(1 / settings.buffer)

    def receive(self, weights: Vector, upload: Upload) -> Vector | None:
        own = self._root(weights)
        length, norm = _norm(own), _norm(upload.delta)
        if not norm:
            return None
        scaled = upload.delta * np.float32(length / norm)
        if float(own.astype(np.float64) @ scaled) < (self.RHO - self.EPSILON) * length**2:
            return None
        return weights + self._share * scaled


@servers.register("fltrust")
class FlTrust:
    """A buffer of deltas, each scaled to the length of the server's own one and weighted by its positive cosine to it
    (Cao et al. 2021). Needs root data."""

    def __init__(self, settings: ServerSettings) -> None:
        self._root = _root_of(settings, "fltrust")
        self._size = settings.buffer
        self._buffer: list[Vector] = []

    def receive(self, weights: Vector, upload: Upload) -> Vector | None:
        self._buffer.append(upload.delta)
        if len(self._buffer) < self._size:
            return None
        own = self._root(weights)
        length = _norm(own)
        total, trust = np.zeros_like(own), 0.0
        for delta in self._buffer:
            norm = _norm(delta)
            cosine = float(own.astype(np.float64) @ delta) / (length * norm) if length and norm else 0.0
            if cosine > 0:
                total += np.float32(cosine * length / norm) * delta
                trust += cosine
        self._buffer.clear()
        return weights + total / np.float32(trust) if trust else None


def _root_of(settings: ServerSettings, name: str) -> Callable[[Vector], Vector]:
    if settings.root_delta is None:
        raise ConfigError(f"the server {name!r} needs trusted samples of its own")
    return settings.root_delta
