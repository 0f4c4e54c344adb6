"""Public ML-DSA-44 verification vectors: tests/contracts/vectors/README.md."""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from functools import cache
from hashlib import shake_256
from pathlib import Path


@dataclass(frozen=True)
class Vector:
    source: str
    public_key: bytes
    signature: bytes
    valid: bool
    mu: bytes
    message: bytes | None
    context: bytes

    def __str__(self) -> str:
        return self.source

    @property
    def fits(self) -> bool:
        """Whether it is a pure signature of 32 bytes."""
        return self.message is not None and len(self.message) == 32


@cache
def vectors() -> tuple[Vector, ...]:
    file = Path(__file__).parent / "vectors/ml_dsa_44_verify.json.xz"
    return tuple(_vector(entry) for entry in json.loads(lzma.decompress(file.read_bytes())))


def representative(public_key: bytes, message: bytes, context: bytes) -> bytes:
    """μ of FIPS 204, algorithms 2 and 7."""
    prefixed = bytes([0, len(context) % 256]) + context + message
    return shake_256(shake_256(public_key).digest(64) + prefixed).digest(64)


def _vector(entry: dict[str, str | bool]) -> Vector:
    data = {name: bytes.fromhex(value) for name, value in entry.items() if isinstance(value, str) and name != "source"}
    message, context = data.get("message"), data.get("context", b"")
    mu = data["mu"] if message is None else representative(data["public_key"], message, context)
    source, valid = str(entry["source"]), bool(entry["valid"])
    return Vector(source, data["public_key"], data["signature"], valid, mu, message, context)
