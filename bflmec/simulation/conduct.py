"""What simulated clients do apart from the protocol: nothing, if they are honest."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bflmec.protocol.client import ClientRules

Vector = NDArray[np.float32]
Labels = NDArray[np.int64]


class Conduct(Protocol):
    """Asked at the moments at which a client could cheat. Clients are named by their index, from 0."""

    def rules(self, client: int, rules: ClientRules) -> ClientRules:
        """How the client works; asked once, before the run."""
        ...

    def data(self, client: int, x: Vector, y: Labels) -> tuple[Vector, Labels]:
        """The samples, (D, F) float32 and (D,) int64, that the client trains on in place of its own."""
        ...

    def trained(self, client: int, base: Vector, weights: Vector) -> Vector:
        """What the client sends in place of its trained weights (P,) float32; `base` (P,) is where it started."""
        ...

    def sent(self, client: int, gradient: bytes, updates: int) -> None:
        """The local gradient of that digest has its receipt; it averages the client's `updates` oldest local updates
        that were not sent before."""
        ...


class Honest:
    """Changes nothing."""

    def rules(self, client: int, rules: ClientRules) -> ClientRules:
        return rules

    def data(self, client: int, x: Vector, y: Labels) -> tuple[Vector, Labels]:
        return x, y

    def trained(self, client: int, base: Vector, weights: Vector) -> Vector:
        return weights

    def sent(self, client: int, gradient: bytes, updates: int) -> None: ...


HONEST = Honest()
