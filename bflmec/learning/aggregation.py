"""Fair aggregation (Eq. II.4) with bounded norms, in float64 and one fixed order."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from bflmec.learning.fixed_point import Float32, Float64
from bflmec.learning.rules import Mode


def weights_of(thetas: Sequence[int]) -> tuple[Fraction, ...]:
    """p_i = θ_i / Σ θ_k exactly; equal weights if all θ are zero."""
    total = sum(thetas)
    return tuple(Fraction(theta, total) if total else Fraction(1, len(thetas)) for theta in thetas)


def clip_factors(norms: Sequence[float], accepted: Sequence[float], clip: float | None) -> tuple[float, ...]:
    """Factors in (0, 1] that bring each of `norms` down to at most `clip` times the median of the `accepted` norms.

    All are 1 without `clip` or without accepted norms.
    """
    bound = math.inf if clip is None or not accepted else clip * statistics.median(accepted)
    return tuple(1.0 if norm <= bound else bound / norm for norm in norms)


def applied(anchor_weights: Float32, combined: Float64, mode: Mode) -> Float32 | None:
    """The new global gradient, float32 of shape (P,): the combination of the kept ones, on top of the anchor's weights
    for deltas. None if a value exceeds the range of float32. `combined` is overwritten."""
    if mode == "delta":
        combined += anchor_weights
    if not np.all(np.abs(combined) <= np.finfo(np.float32).max):
        return None
    return combined.astype(np.float32)
