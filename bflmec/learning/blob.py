"""Gradient blobs: the canonical bytes of a flat vector, in the safetensors format.

A blob is an 8-byte little-endian length, a JSON header of that length and the float32 data. A model's spec fixes every
byte before the data, so decoding compares them and never parses what a stranger wrote.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache

import msgspec
import numpy as np

from bflmec.errors import BlobError
from bflmec.learning.tensors import TensorSpec, Vector

_LENGTH_BYTES = 8
_WIRE = np.dtype("<f4")
_LIMIT_EXPLAINED = 1 << 16


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def blob_size(spec: TensorSpec) -> int:
    """The number of bytes of every blob of `spec`."""
    return len(_prefix(spec)) + _WIRE.itemsize * spec.size


def encode_blob(spec: TensorSpec, flat: Vector) -> bytes:
    """The one blob of `flat` (P,) float32. Raises BlobError if shape or dtype differ or a number is not finite."""
    if flat.shape != (spec.size,) or flat.dtype != np.float32:
        raise BlobError(f"a blob holds ({spec.size},) float32, not {flat.shape} {flat.dtype}; convert it first")
    _check_finite(spec, flat)
    return _prefix(spec) + flat.astype(_WIRE, copy=False).tobytes()


def decode_blob(spec: TensorSpec, blob: bytes) -> Vector:
    """The vector (P,) float32 of which `blob` is the one encoding, as a read-only view of `blob`.

    Raises BlobError on everything else: another length, name, shape, dtype, offset or padding, NaN and infinity.
    """
    prefix = _prefix(spec)
    if not blob.startswith(prefix):
        raise BlobError(_explain(spec, blob))
    if len(blob) != blob_size(spec):
        raise BlobError(f"a blob of this model has {blob_size(spec)} bytes, not {len(blob)}; fetch or send it again")
    flat = np.frombuffer(blob, _WIRE, offset=len(prefix)).astype(np.float32, copy=False)
    _check_finite(spec, flat)
    return flat


@lru_cache(maxsize=64)
def _prefix(spec: TensorSpec) -> bytes:
    header: dict[str, dict[str, object]] = {}
    start = 0
    for name, shape in spec.tensors:
        end = start + _WIRE.itemsize * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": (start, end)}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(-len(text) % 8 + len(text))
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def _check_finite(spec: TensorSpec, flat: Vector) -> None:
    if np.isfinite(flat).all():
        return
    bad = {name: int(np.count_nonzero(~np.isfinite(part))) for name, part in spec.unflatten(flat).items()}
    listed = ", ".join(f"{count} in {name!r}" for name, count in bad.items() if count)
    raise BlobError(f"numbers that are not finite: {listed}; the training diverged or the sender is lying")


def _explain(spec: TensorSpec, blob: bytes) -> str:
    """What is wrong with a prefix that is known to differ, read within strict bounds."""
    length = int.from_bytes(blob[:_LENGTH_BYTES], "little")
    text = blob[_LENGTH_BYTES : _LENGTH_BYTES + length] if length <= _LIMIT_EXPLAINED else b""
    if len(text) != length or length == 0:
        return f"not a gradient blob: {len(blob)} bytes with a header length of {length}; expected safetensors"
    try:
        entries = msgspec.json.decode(text, type=dict[str, _Entry])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "the header of the blob is not that of a safetensors file of plain tensors without metadata"
    expected = dict(spec.tensors)
    for name, shape in expected.items():
        if name not in entries:
            return f"the blob has no tensor {name!r}: it belongs to another model"
        entry = entries[name]
        if (entry.dtype, tuple(entry.shape)) != ("F32", shape):
            return f"tensor {name!r} is {entry.dtype[:9]} {entry.shape[:9]}, the model has F32 {list(shape)}"
    if len(entries) > len(expected):
        return "the blob has more tensors than the model: it belongs to another model"
    return "the header of the blob is not canonical: sort tensors by name, leave no gaps, pad with spaces to 8 bytes"
