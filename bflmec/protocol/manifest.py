"""The history in bytes: a manifest names its entries, and its digest stands in the block body.

Manifest: the SHA-256 of each encoded entry, oldest first, 32 bytes each. A peer sends manifest and entries one by one;
whoever knows the digest can check all of them. Entries have an odd number of bytes, manifests an even one, so that one
digest never stands for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from bflmec.errors import MessageError
from bflmec.learning.history import HistoryEntry

MAX_HISTORY = 2048
"""A distance matrix holds no more members."""


def encode_manifest(history: Sequence[HistoryEntry]) -> bytes:
    """32 bytes for each entry, oldest first."""
    return b"".join(entry.digest for entry in history)


def decode_manifest(data: bytes) -> list[bytes]:
    """The digests of the entries, oldest first. Raises MessageError on anything but a manifest's canonical bytes."""
    if len(data) % 32 or len(data) > 32 * MAX_HISTORY:
        raise MessageError(
            f"a manifest holds 32 bytes for each of at most {MAX_HISTORY} entries, not {len(data)} bytes"
        )
    return [data[start : start + 32] for start in range(0, len(data), 32)]


def history_digest(history: Sequence[HistoryEntry]) -> bytes:
    """SHA-256 of the manifest: what a block body with a global update names."""
    return sha256(encode_manifest(history)).digest()
