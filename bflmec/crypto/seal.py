"""The SHA-256 proof-of-work seal (Eq. II.3), used by the ledger's blocks and by the embedded chain's.

A seal is a nonce of 8 bytes such that SHA-256(nonce || digest), read as a big-endian integer, is below
TARGET_1 / difficulty. `digest` is the 32-byte hash of the header that is sealed.
"""

from __future__ import annotations

from hashlib import sha256
from struct import Struct

TARGET_1 = 2**256 - 1
NONCE_LIMIT = 2**64

_pack = Struct(">Q").pack


def target(difficulty: int) -> int:
    """Values strictly below this one are sealed. Raises ValueError if `difficulty` is below 1."""
    if difficulty < 1:
        raise ValueError(f"difficulty must be at least 1, not {difficulty}")
    return TARGET_1 // difficulty


def seal_holds(digest: bytes, nonce: int, difficulty: int) -> bool:
    """Whether `nonce` seals `digest` at `difficulty`."""
    if not 0 <= nonce < NONCE_LIMIT:
        return False
    return int.from_bytes(sha256(_pack(nonce) + digest).digest(), "big") < target(difficulty)


def search(digest: bytes, difficulty: int, start: int, attempts: int) -> int | None:
    """The first nonce in [start, start + attempts) that seals `digest`, or None."""
    limit = target(difficulty).to_bytes(32, "big")
    pack, hash_ = _pack, sha256
    for nonce in range(start, min(start + attempts, NONCE_LIMIT)):
        if hash_(pack(nonce) + digest).digest() < limit:
            return nonce
    return None
