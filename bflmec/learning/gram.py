"""All dot products of a set of quantised vectors, exactly, and the angles and lengths that follow from them."""

from __future__ import annotations

import decimal
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from bflmec.errors import BlobError
from bflmec.learning.blas import one_blas_thread
from bflmec.learning.fixed_point import EXACT_TERMS, Float64, Int64, Quantised

UNIT_BITS = 30
UNIT = 1 << UNIT_BITS
"""Cosines and logarithms are integers in units of 2^-30."""

COLUMNS = 1 << 14
"""Columns converted to float64 at a time: bounds the memory for large models and stays in the processor's cache."""

_context = decimal.Context(prec=40, rounding=decimal.ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Gram:
    """Dot products `values[i, j]` · 2^(exponents[i] + exponents[j]) of n vectors; `values` is int64 of shape (n, n)."""

    values: Int64
    exponents: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.exponents)

    @cached_property
    def norms(self) -> Float64:
        """Euclidean norms, float64 of shape (n,), correctly rounded from the integers."""
        norms: Float64 = np.ldexp(np.sqrt(self.values.diagonal().astype(np.float64)), np.array(self.exponents))
        return norms

    @cached_property
    def cosines(self) -> Int64:
        """Cosines in units of 2^-30, int64 of shape (n, n): within one unit of the true value, and 1 between equal
        directions. The zero vector has cosine 0 to every other vector and 1 to itself and other zero vectors."""
        # IEEE 754 rounds each of these operations correctly: every machine gets the same bits.
        roots = np.sqrt(self.values.diagonal().astype(np.float64))
        zero = roots == 0
        roots[zero] = 1
        cosines = np.rint(self.values / (roots[:, None] * roots) * UNIT).astype(np.int64)
        cosines[np.ix_(zero, zero)] = UNIT
        np.fill_diagonal(cosines, UNIT)
        bounded: Int64 = np.clip(cosines, -UNIT, UNIT)
        return bounded

    @cached_property
    def log_norms(self) -> Int64:
        """Natural logarithms of the norms in units of 2^-30, int64 of shape (n,). A zero vector counts as if it were
        shorter than any vector that float32 can hold. Scaling all vectors by 2^k adds one constant to all of them."""
        return np.array(
            [
                log_root(int(square)) + exponent * _LN2 if square else -512 * _LN2
                for square, exponent in zip(self.values.diagonal(), self.exponents, strict=True)
            ],
            np.int64,
        )

    def cosines_to_sum(self, members: Sequence[int]) -> tuple[int, ...]:
        """The cosine of each of `members` to the sum of them all, in units of 2^-30, rounded towards zero."""
        low = min(self.exponents[i] for i in members)
        shifts = [self.exponents[i] - low for i in members]
        rows = self.values[np.ix_(members, members)].tolist()
        to_sum = [sum(dot << shift for dot, shift in zip(row, shifts, strict=True)) for row in rows]
        square = sum(dot << shift for dot, shift in zip(to_sum, shifts, strict=True))
        return tuple(_cosine(dot, rows[k][k], square) if rows[k][k] and square else 0 for k, dot in enumerate(to_sum))


def gram(vectors: Sequence[Quantised], *, columns: int = COLUMNS) -> Gram:
    """The Gram matrix of n vectors of one size P. `columns` (at most 2^23) changes memory and speed, never the result.

    Raises BlobError if the sizes differ.
    """
    sizes = {vector.size for vector in vectors}
    if len(sizes) != 1:
        raise BlobError(f"local gradients of one model have one size, not {sorted(sizes)}")
    size = sizes.pop()
    width = min(columns, size, EXACT_TERMS)
    total = np.zeros((len(vectors), len(vectors)), np.int64)
    block = np.empty((len(vectors), width))
    # Any number of threads gives these integers; but for products this small more than one only burns CPU time.
    with one_blas_thread():
        for start in range(0, size, width):
            part = block[:, : min(width, size - start)]
            for row, vector in zip(part, vectors, strict=True):
                row[:] = vector.values[start : start + width]
            total += (part @ part.T).astype(np.int64)
    return Gram(total, tuple(vector.exponent for vector in vectors))


@lru_cache(maxsize=4096)
def log_root(square: int) -> int:
    """ln √square in units of 2^-30, rounded half to even from 40 decimal digits. `decimal` rounds its logarithm
    correctly by specification, so that no mathematical library of the machine has a say."""
    units = _context.multiply(_context.ln(decimal.Decimal(square)), UNIT // 2)
    return int(units.to_integral_value(decimal.ROUND_HALF_EVEN))


_LN2 = log_root(4)


def _cosine(dot: int, square: int, other: int) -> int:
    magnitude = math.isqrt((dot * dot << 2 * UNIT_BITS) // (square * other))
    return magnitude if dot >= 0 else -magnitude
