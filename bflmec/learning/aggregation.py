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


def fair_aggregation(
    anchor_weights: Float32, vectors: Sequence[Float32 | Float64], factors: Sequence[float], mode: Mode
) -> Float32 | None:
    """Σ factor_i · vector_i, on top of the anchor's weights for deltas: float32 of shape (P,).

    `factors` are p_i times clip factor, `vectors` in ledger order. None if a sum exceeds the range of float32.
    """
    # One ufunc for each operation: no fused multiply-add, no BLAS, so the bits depend on the order alone.
    total = np.zeros(anchor_weights.shape)
    term = np.empty_like(total)
    for factor, vector in zip(factors, vectors, strict=True):
        total += np.multiply(vector, factor, out=term, dtype=np.float64)
    if mode == "delta":
        total += anchor_weights
    if not np.all(np.abs(total, out=term) <= np.finfo(np.float32).max):
        return None
    return total.astype(np.float32)
