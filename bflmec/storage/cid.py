"""Content ids: CIDv1 over SHA-256, for raw and dag-pb blocks (https://github.com/multiformats/cid).

The ledger records (codec, digest); that pair is a `Cid`, and its binary and text forms are derived from it.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from bflmec.errors import StorageError

RAW: Final = 0x55
DAG_PB: Final = 0x70
CODECS: Final = frozenset({RAW, DAG_PB})

DIGEST_SIZE: Final = 32
CID_SIZE: Final = 36
_VERSION: Final = 1
_SHA2_256: Final = b"\x12\x20"
_MULTIBASE_BASE32: Final = "b"
_TEXT_SIZE: Final = 59


@dataclass(frozen=True, slots=True, order=True)
class Cid:
    """`codec` is RAW or DAG_PB, `digest` the 32-byte SHA-256 of the block. Anything else raises StorageError."""

    codec: int
    digest: bytes

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise StorageError(f"content id has codec {self.codec:#x}; only raw (0x55) and dag-pb (0x70) are stored")
        if not isinstance(self.digest, bytes) or len(self.digest) != DIGEST_SIZE:
            raise StorageError(f"content id needs a digest of {DIGEST_SIZE} bytes")

    @classmethod
    def of(cls, codec: int, block: bytes | bytearray | memoryview) -> Cid:
        """The content id of one block."""
        return cls(codec, sha256(block).digest())

    @property
    def multihash(self) -> bytes:
        """34 bytes: hash function, length, digest. The name of a block on disk derives from it alone."""
        return _SHA2_256 + self.digest

    def __bytes__(self) -> bytes:
        return bytes((_VERSION, self.codec)) + self.multihash

    def __str__(self) -> str:
        return _MULTIBASE_BASE32 + base64.b32encode(bytes(self)).decode().lower().rstrip("=")

    @classmethod
    def from_bytes(cls, data: bytes) -> Cid:
        """Inverse of `bytes(cid)`. Raises StorageError on anything but the 36 bytes of a CIDv1 over SHA-256."""
        if len(data) != CID_SIZE or data[0] != _VERSION or data[2:4] != _SHA2_256:
            raise StorageError(f"not a CIDv1 over SHA-256 in {CID_SIZE} bytes: {bytes(data[:CID_SIZE]).hex()}")
        return cls(data[1], bytes(data[4:]))

    @classmethod
    def parse(cls, text: str) -> Cid:
        """Inverse of `str(cid)`. Raises StorageError on other bases, on CIDv0 and on any second spelling."""
        if len(text) == _TEXT_SIZE and text.startswith(_MULTIBASE_BASE32):
            try:
                cid = cls.from_bytes(base64.b32decode(text[1:].upper() + "======"))
            except (binascii.Error, ValueError):
                pass
            else:
                # Spare bits and upper case would give one block several names.
                if str(cid) == text:
                    return cid
        raise StorageError(f"not a CIDv1 in lower-case base32 (bafk… or bafy…): {text[:_TEXT_SIZE]!r}")
