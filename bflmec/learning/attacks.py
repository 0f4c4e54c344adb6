"""What malicious clients make of their local gradients: the registry `attacks`.

An attack sees the honest delta of the client that it sits on, and what all attackers know together (`View`). It may
change the samples before training, or the delta after it. Distances and norms are over all parameters at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bflmec.learning.contribution import Label
from bflmec.learning.global_update import Contribution, global_update
from bflmec.learning.rules import AggregationRules
from bflmec.registry import Registry

Vector = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass
class View:
    """What the attackers know. `honest` are the newest deltas of honest clients, oldest first, as an omniscient
    attacker would have them; `step` is the newest change of the global gradient, None before the first."""

    rng: np.random.Generator
    rules: AggregationRules
    clients: int
    attackers: int
    honest: Sequence[Vector] = ()
    step: Vector | None = None
    memory: dict[str, Vector] = field(default_factory=dict)
    """What the attackers agreed on."""

    @property
    def mean(self) -> Vector:
        mean: Vector = np.stack(self.honest).mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean


class Attack:
    """Does nothing; the others change one of these. `uploads`: how many times as often as others it uploads."""

    uploads = 1
    needs_honest = 0
    """Honest deltas that `craft` has to know of; without them the attacker waits and acts honestly."""

    def poison(self, x: Vector, y: Labels, classes: int) -> tuple[Vector, Labels]:
        """The samples (D, F) and labels (D,) to train on."""
        return x, y

    def craft(self, delta: Vector, view: View) -> Vector:
        """The delta (P,) float32 to send in place of the honest one."""
        return delta


attacks: Registry[Callable[[], Attack]] = Registry("attacks")


def _norm(vector: Vector) -> float:
    return float(np.linalg.norm(vector.astype(np.float64)))


def _unit(vector: Vector) -> Vector:
    unit: Vector = vector / np.float32(_norm(vector) or 1.0)
    return unit


class Scaled(Attack):
    """Multiplies the delta."""

    def __init__(self, factor: float) -> None:
        self._factor = np.float32(factor)

    def craft(self, delta: Vector, view: View) -> Vector:
        return delta * self._factor


attacks.register("scale-up")(lambda: Scaled(5))
attacks.register("scale-down")(lambda: Scaled(0.2))
attacks.register("sign-flip")(lambda: Scaled(-1))
attacks.register("reverse")(lambda: Scaled(-5))


@attacks.register("noise")
class Noise(Attack):
    """Gaussian noise of the delta's own length in its place."""

    def craft(self, delta: Vector, view: View) -> Vector:
        return _unit(view.rng.standard_normal(len(delta), np.float32)) * np.float32(_norm(delta))


@attacks.register("push")
class Push(Attack):
    """The delta, pushed by three times its length in one direction that all attackers share (the paper's §IV-C)."""

    def craft(self, delta: Vector, view: View) -> Vector:
        if "direction" not in view.memory:
            view.memory["direction"] = _unit(view.rng.standard_normal(len(delta), np.float32))
        return delta + np.float32(3 * _norm(delta)) * view.memory["direction"]


@attacks.register("label-flip")
class LabelFlip(Attack):
    """Trains on label K − 1 − y in place of y."""

    def poison(self, x: Vector, y: Labels, classes: int) -> tuple[Vector, Labels]:
        return x, classes - 1 - y


@attacks.register("free-rider")
class FreeRider(Attack):
    """Echoes the last global step with a little noise, without any training (Lin et al. 2019)."""

    NOISE = 0.05

    def craft(self, delta: Vector, view: View) -> Vector:
        if view.step is None:
            return np.zeros_like(delta)
        noise = _unit(view.rng.standard_normal(len(delta), np.float32)) * np.float32(self.NOISE * _norm(view.step))
        return view.step + noise


@attacks.register("flooding")
class Flooding(Scaled):
    """Sign flips, uploaded ten times as often from a tenth of the data."""

    uploads = 10

    def __init__(self) -> None:
        super().__init__(-1)


@attacks.register("collusion")
class Collusion(Attack):
    """All attackers send one vector: against the honest mean, as long as the median honest delta."""

    needs_honest = 2

    def craft(self, delta: Vector, view: View) -> Vector:
        length = float(np.median([_norm(vector) for vector in view.honest]))
        return _unit(view.mean) * np.float32(-length)


@attacks.register("alie")
class ALittleIsEnough(Attack):
    """Mean minus z deviations in each coordinate, z as large as a majority still covers (Baruch et al. 2019)."""

    needs_honest = 2

    def craft(self, delta: Vector, view: View) -> Vector:
        honest = view.clients - view.attackers
        needed = view.clients // 2 + 1 - view.attackers
        share = min(max((honest - needed) / honest, 0.5), 0.999)
        deviation = np.std(view.honest, axis=0, dtype=np.float64)
        crafted: Vector = (view.mean - NormalDist().inv_cdf(share) * deviation).astype(np.float32)
        return crafted


@attacks.register("ipm")
class InnerProduct(Attack):
    """Half of the honest mean, reversed: negative inner product, small norm (Xie et al. 2019)."""

    needs_honest = 1

    def craft(self, delta: Vector, view: View) -> Vector:
        return view.mean * np.float32(-0.5)


@attacks.register("min-max")
class MinMax(Attack):
    """The honest mean, moved against itself as far as its greatest distance to an honest delta stays below the greatest
    one between two of them (Shejwalkar and Houmansadr 2021)."""

    needs_honest = 3

    def craft(self, delta: Vector, view: View) -> Vector:
        honest = np.stack(view.honest).astype(np.float64)
        mean = honest.mean(axis=0)
        direction = -mean / (np.linalg.norm(mean) or 1.0)
        squares = np.square(honest).sum(axis=1)
        spread = float(np.max(squares[:, None] + squares - 2 * honest @ honest.T))
        # ‖mean + γ·direction − x‖² is a quadratic in γ for each x: the largest γ that keeps all of them within.
        offsets = mean - honest
        along = offsets @ direction
        room = spread - np.square(offsets).sum(axis=1)
        gamma = float(np.min(-along + np.sqrt(np.maximum(along**2 + room, 0))))
        crafted: Vector = (mean + max(gamma, 0.0) * direction).astype(np.float32)
        return crafted


@attacks.register("backdoor")
class Backdoor(Attack):
    """Half of the samples get a bright patch in the last corner and the target's label; the delta is doubled."""

    TARGET = 7
    PATCH = 3

    def poison(self, x: Vector, y: Labels, classes: int) -> tuple[Vector, Labels]:
        chosen = np.arange(len(y)) % 2 == 0
        return np.where(chosen[:, None], patched(x, self.PATCH), x), np.where(chosen, self.TARGET, y)

    def craft(self, delta: Vector, view: View) -> Vector:
        return delta * np.float32(2)


def patched(x: Vector, patch: int = Backdoor.PATCH) -> Vector:
    """Square images, (D, F) float32, with `patch` x `patch` bright pixels in the last corner."""
    side = math.isqrt(x.shape[1])
    images = x[:, : side * side].reshape(-1, side, side).copy()
    images[:, -patch:, -patch:] = 1
    return images.reshape(len(x), -1)


@attacks.register("adaptive")
class Adaptive(Attack):
    """Knows the defence and the newest honest deltas: turns its own delta against the honest mean, at median length, as
    far as contribution identification still calls it high."""

    needs_honest = 8
    BISECTIONS = 5
    KNOWN = 12

    def craft(self, delta: Vector, view: View) -> Vector:
        length = np.float32(np.median([_norm(vector) for vector in view.honest]))
        towards, against = _unit(delta), -_unit(view.mean)
        low, high = 0.0, 1.0
        for _ in range(self.BISECTIONS):
            middle = (low + high) / 2
            if self._passes(self._turned(towards, against, middle) * length, view):
                low = middle
            else:
                high = middle
        return self._turned(towards, against, low) * length

    @staticmethod
    def _turned(towards: Vector, against: Vector, share: float) -> Vector:
        return _unit(np.float32(1 - share) * towards + np.float32(share) * against)

    def _passes(self, crafted: Vector, view: View) -> bool:
        known = [*view.honest[-self.KNOWN :], crafted]
        contributions = [Contribution(number.to_bytes(20, "big"), [own]) for number, own in enumerate(known, start=1)]
        update = global_update(np.zeros_like(crafted), contributions, (), view.rules)
        return update.labels[-1] is Label.HIGH
