"""WOTS+ one-time signatures over Keccak-256, n = 32 and w = 16, byte for byte as contracts/XMSS.sol reads them.

The construction of RFC 8391 with the tweakable hash of SLH-DSA's simple form (FIPS 205): keccak256(tweak || input), and
no two hashes of any tree have the same tweak.

    tweak = context (24 bytes) || leaf or node (4) || kind (1) || height (1) || chain (1) || position (1)

A one-time key must sign one message only: `bflmec.crypto.key_journal` sees to that, nothing here does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sha3 import keccak_256

from bflmec.errors import SignatureError

HASH_SIZE: Final = 32
CONTEXT_SIZE: Final = 24
DIGIT: Final = 16
CHAINS: Final = 67
SIGNATURE_SIZE: Final = CHAINS * HASH_SIZE

CHAIN, KEY, NODE, MESSAGE, SECRET = range(5)
"""Kinds of a tweak: a step of a chain, a one-time public key, an inner node, a message, a secret."""


def keccak(data: bytes) -> bytes:
    """Keccak-256, as Ethereum has it. A sixth of the time that eth_hash takes, and key generation is millions."""
    digest: bytes = keccak_256(data).digest()
    return digest


def tweak(context: bytes, kind: int, number: int, height: int = 0) -> bytes:
    """The tweak of a leaf or node, at chain and position 0. 32 bytes."""
    return context + number.to_bytes(4, "big") + bytes([kind, height, 0, 0])


def digits(digest: bytes) -> tuple[int, ...]:
    """The 64 digits of a digest (32 bytes), highest first, and three of their checksum: raising one lowers another."""
    if len(digest) != HASH_SIZE:
        raise SignatureError(f"a one-time key signs {HASH_SIZE} bytes, not {len(digest)}")
    message = [digit for byte in digest for digit in (byte >> 4, byte & 15)]
    checksum = sum(DIGIT - 1 - digit for digit in message)
    return (*message, checksum >> 8, checksum >> 4 & 15, checksum & 15)


def steps(digest: bytes) -> int:
    """How many steps of chains a verifier walks for a digest: 0 to 1,005, 498 on average."""
    return sum(DIGIT - 1 - digit for digit in digits(digest))


def public_key(seed: bytes, context: bytes, leaf: int) -> bytes:
    """The one-time public key of a leaf, 32 bytes: the hash over the ends of its chains."""
    ends = [
        _walk(context, leaf, chain, 0, DIGIT - 1, secret) for chain, secret in enumerate(_secrets(seed, context, leaf))
    ]
    return _compress(context, leaf, ends)


def sign(seed: bytes, context: bytes, leaf: int, digest: bytes) -> bytes:
    """The one-time signature over a digest, SIGNATURE_SIZE bytes."""
    return b"".join(
        _walk(context, leaf, chain, 0, digit, secret)
        for chain, (digit, secret) in enumerate(zip(digits(digest), _secrets(seed, context, leaf), strict=True))
    )


def recover(context: bytes, leaf: int, digest: bytes, signature: bytes) -> bytes:
    """The public key that a signature leads to. Raises SignatureError if it has another size than signatures have."""
    if len(signature) != SIGNATURE_SIZE:
        raise SignatureError(f"a one-time signature has {SIGNATURE_SIZE} bytes, not {len(signature)}")
    ends = [
        _walk(context, leaf, chain, digit, DIGIT - 1, signature[HASH_SIZE * chain : HASH_SIZE * (chain + 1)])
        for chain, digit in enumerate(digits(digest))
    ]
    return _compress(context, leaf, ends)


def _secrets(seed: bytes, context: bytes, leaf: int) -> list[bytes]:
    start = context + leaf.to_bytes(4, "big")
    return [keccak(start + bytes([SECRET, 0, chain, 0]) + seed) for chain in range(CHAINS)]


def _walk(context: bytes, leaf: int, chain: int, first: int, last: int, value: bytes) -> bytes:
    start = context + leaf.to_bytes(4, "big") + bytes([CHAIN, 0, chain])
    for position in range(first, last):
        value = keccak_256(start + _BYTES[position] + value).digest()
    return value


def _compress(context: bytes, leaf: int, ends: Sequence[bytes]) -> bytes:
    return keccak(tweak(context, KEY, leaf) + b"".join(ends))


_BYTES = [bytes([position]) for position in range(DIGIT)]
