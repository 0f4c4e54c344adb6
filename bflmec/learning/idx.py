"""The idx file format of MNIST: unsigned bytes in an array of fixed shape (http://yann.lecun.com/exdb/mnist/)."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from bflmec.errors import DataError

_UNSIGNED_BYTE = 0x08


def parse_idx(data: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The array of exactly that shape, a read-only view of `data`. Raises DataError on any other type, shape or
    length."""
    header = bytes((0, 0, _UNSIGNED_BYTE, len(shape))) + b"".join(size.to_bytes(4, "big") for size in shape)
    if data[: len(header)] != header:
        raise DataError(
            f"not an idx file of unsigned bytes of shape {shape}: it begins with {data[: len(header)].hex()}"
        )
    if len(data) != len(header) + prod(shape):
        raise DataError(f"an idx file of shape {shape} has {len(header) + prod(shape)} bytes, not {len(data)}")
    return np.frombuffer(data, np.uint8, offset=len(header)).reshape(shape)
