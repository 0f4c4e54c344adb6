"""16-bit block fixed point: what a local gradient becomes before anything is compared.

A vector is stored as integers and one power of two. Products of such integers add up exactly in float64 up to 2^23
terms, so that every machine, BLAS and number of threads gets the same dot product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from struct import Struct

import numpy as np
import numpy.typing as npt

from bflmec.errors import BlobError, RecomputationError

BITS = 15
EXACT_TERMS = 1 << 23
"""So many products of two quantised values sum to less than 2^53."""
EXPONENT_LIMIT = 256
"""Bound on |exponent|; finite float32 values need -164 … 114."""

_exponent = Struct(">h")

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Quantised:
    """The vector `values` · 2^`exponent`, rounded half to even from the original.

    `values` is int16 of shape (P,), read-only, with max|values| in [2^14, 2^15), or all zero with exponent 0, so that
    a vector has one form only. Raises BlobError for anything else.
    """

    exponent: int
    values: npt.NDArray[np.int16] = field(repr=False)

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or self.values.dtype != np.int16 or not self.values.size:
            raise BlobError("a quantised vector must be a non-empty one-dimensional int16 array; quantise it again")
        peak = max(int(self.values.max()), -int(self.values.min()))
        if not (1 << BITS - 1 <= peak < 1 << BITS if peak else self.exponent == 0):
            raise BlobError(f"a quantised vector must use all of its {BITS} bits; quantise it again")
        if abs(self.exponent) > EXPONENT_LIMIT:
            raise BlobError(f"the exponent of a quantised vector is within ±{EXPONENT_LIMIT}, not {self.exponent}")
        values = np.ascontiguousarray(self.values).view()
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Quantised):
            return NotImplemented
        return self.exponent == other.exponent and np.array_equal(self.values, other.values)

    __hash__ = None  # type: ignore[assignment]  # compared by value, too large to hash

    @property
    def size(self) -> int:
        return self.values.size

    @cached_property
    def square(self) -> int:
        """The exact sum of squares of `values`; the squared norm is this times 4^exponent."""
        total = 0
        for start in range(0, self.size, EXACT_TERMS):
            part = self.values[start : start + EXACT_TERMS].astype(np.float64)
            total += int(np.square(part, out=part).sum())
        return total

    @property
    def norm(self) -> float:
        """Euclidean norm: a correctly rounded square root, the same everywhere."""
        return math.ldexp(math.sqrt(self.square), self.exponent)

    def encode(self) -> bytes:
        """2 bytes of exponent (big-endian), then P little-endian int16."""
        return _exponent.pack(self.exponent) + self.values.astype("<i2", copy=False).tobytes()

    @classmethod
    def decode(cls, data: bytes, size: int) -> Quantised:
        """Inverse of `encode` for a vector of `size` values. Raises BlobError on anything but canonical bytes."""
        if len(data) != _exponent.size + 2 * size:
            raise BlobError(
                f"a quantised vector of {size} values has {_exponent.size + 2 * size} bytes, not {len(data)}"
            )
        values = np.frombuffer(data, dtype="<i2", offset=_exponent.size).astype(np.int16)
        return cls(_exponent.unpack_from(data)[0], values)


def quantise(vector: Float32 | Float64) -> Quantised:
    """The quantised form of a float vector of shape (P,). The error of a value is at most half a unit, 2^(exponent-1).

    Raises BlobError if the vector is empty, not one-dimensional, not finite or beyond the range of float32.
    """
    if vector.ndim != 1 or not vector.size:
        raise BlobError(f"a local gradient is one non-empty vector, not an array of shape {vector.shape}")
    peak = max(float(vector.max()), -float(vector.min()))
    if not math.isfinite(peak):
        raise BlobError("a local gradient holds a value that is not finite; the client has to train again")
    if peak == 0:
        return Quantised(0, np.zeros(vector.size, np.int16))
    exponent = math.frexp(peak)[1] - BITS
    if round(math.ldexp(peak, -exponent)) == 1 << BITS:
        exponent += 1
    if abs(exponent) > EXPONENT_LIMIT:
        raise BlobError(f"a local gradient of size {peak:g} is out of range; the client has to train again")
    scaled = np.multiply(vector, math.ldexp(1.0, -exponent), dtype=np.float64)
    return Quantised(exponent, np.rint(scaled, out=scaled).astype(np.int16))


def mean(vectors: Sequence[Float32]) -> Float32 | Float64:
    """The mean of vectors of one shape (P,), added in the order given: in float64, or the only one as it is."""
    if len(vectors) == 1:
        return vectors[0]
    total = vectors[0].astype(np.float64)
    for vector in vectors[1:]:
        total += vector
    total /= len(vectors)
    return total


def require_subnormals() -> None:
    """Raises RecomputationError if this thread rounds subnormal numbers to zero, since other machines don't."""
    smallest = np.array([1], np.int32).view(np.float32)
    if not smallest.astype(np.float64)[0] or not (smallest * np.float32(2))[0]:
        raise RecomputationError(
            "this process rounds subnormal numbers to zero, so its global update would differ from the others'; "
            "don't call torch.set_flush_denormal(True), and load no library built with -ffast-math"
        )
