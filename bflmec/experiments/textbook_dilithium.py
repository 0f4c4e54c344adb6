"""The paper's Algorithm 1, Dilithium without compression, as it stands there: for study and for Table II only.

It is not ML-DSA and not constant-time, keys and signatures are large, and nothing in BFL-MEC uses it. Parameters are
those of Dilithium2 (level 2). Polynomials are int64 arrays (…, 256) of coefficients modulo q.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import shake_256
from typing import Final

import numpy as np
from numpy.typing import NDArray

Poly = NDArray[np.int64]

Q: Final = 8_380_417
DEGREE: Final = 256
K: Final = 4
L: Final = 4
ETA: Final = 2
GAMMA1: Final = 1 << 17
GAMMA2: Final = (Q - 1) // 88
TAU: Final = 39
BETA: Final = TAU * ETA
_ROOT: Final = 1753


def _zetas() -> Poly:
    reversed_bits = (int(f"{index:08b}"[::-1], 2) for index in range(DEGREE))
    return np.array([pow(_ROOT, exponent, Q) for exponent in reversed_bits], np.int64)


_ZETAS: Final = _zetas()


def ntt(poly: Poly) -> Poly:
    """The number-theoretic transform of R_q = Z_q[X]/(X^256 + 1), in eight layers of butterflies."""
    values = poly % Q
    for blocks in (1 << layer for layer in range(8)):
        halves = values.reshape(*poly.shape[:-1], blocks, 2, DEGREE // (2 * blocks))
        turned = _ZETAS[blocks : 2 * blocks, None] * halves[..., 1, :] % Q
        values = np.stack((halves[..., 0, :] + turned, halves[..., 0, :] - turned), axis=-2) % Q
    return values.reshape(poly.shape)


def inverse_ntt(values: Poly) -> Poly:
    """Inverse of `ntt`."""
    poly = values
    for blocks in (1 << layer for layer in reversed(range(8))):
        halves = poly.reshape(*values.shape[:-1], blocks, 2, DEGREE // (2 * blocks))
        turns = Q - _ZETAS[2 * blocks - 1 : blocks - 1 if blocks > 1 else 0 : -1, None]
        first, second = halves[..., 0, :], halves[..., 1, :]
        poly = np.stack(((first + second) % Q, turns * (first - second) % Q), axis=-2)
    return poly.reshape(values.shape) * pow(DEGREE, -1, Q) % Q


def _apply(matrix: Poly, vector: Poly) -> Poly:
    """A·v for A (K, L, 256), already transformed, and v (L, 256)."""
    return inverse_ntt((matrix * ntt(vector) % Q).sum(axis=1) % Q)


def centred(values: Poly) -> Poly:
    """Representatives in (−q/2, q/2]."""
    return (values + Q // 2) % Q - Q // 2


def decompose(values: Poly) -> tuple[Poly, Poly]:
    """HighBits and LowBits for 2·γ2."""
    values = values % Q
    low = (values + GAMMA2 - 1) % (2 * GAMMA2) - GAMMA2 + 1
    top = values - low == Q - 1
    high = np.where(top, 0, (values - low) // (2 * GAMMA2))
    return high, low - top


@dataclass(frozen=True, eq=False)
class PublicKey:
    """A, in the transformed domain, and t = A·s1 + s2."""

    matrix: Poly
    t: Poly


@dataclass(frozen=True, eq=False, repr=False)
class SecretKey:
    """s1 and s2, with the public key."""

    public: PublicKey
    s1: Poly
    s2: Poly


@dataclass(frozen=True, eq=False)
class Signature:
    """z and c."""

    z: Poly
    c: Poly


def generate() -> SecretKey:
    """Lines 1-5."""
    rng = _fresh()
    matrix = rng.integers(0, Q, (K, L, DEGREE))
    s1, s2 = (rng.integers(-ETA, ETA + 1, (rows, DEGREE)) for rows in (L, K))
    return SecretKey(PublicKey(matrix, (_apply(matrix, s1) + s2) % Q), s1, s2)


def sign(key: SecretKey, message: bytes) -> Signature:
    """Lines 7-15; draws masks until one hides the secret."""
    rng, matrix = _fresh(), key.public.matrix
    while True:
        mask = rng.integers(-GAMMA1 + 1, GAMMA1, (L, DEGREE))
        image = _apply(matrix, mask)
        challenge = _challenge(message, decompose(image)[0])
        turned = ntt(challenge)
        z = centred(mask + inverse_ntt(turned * ntt(key.s1) % Q))
        low = decompose(image - inverse_ntt(turned * ntt(key.s2) % Q))[1]
        if np.abs(z).max() < GAMMA1 - BETA and np.abs(low).max() < GAMMA2 - BETA:
            return Signature(z, challenge)


def verify(key: PublicKey, message: bytes, signature: Signature) -> bool:
    """Lines 17-19."""
    product = inverse_ntt(ntt(signature.c) * ntt(key.t) % Q)
    high = decompose(_apply(key.matrix, signature.z) - product)[0]
    short = bool(np.abs(signature.z).max() < GAMMA1 - BETA)
    return short and np.array_equal(signature.c, _challenge(message, high))


def _challenge(message: bytes, high: Poly) -> Poly:
    """H(M ‖ w1): a polynomial with τ coefficients of ±1."""
    digest = shake_256(message + high.astype(np.uint8).tobytes()).digest(32)
    rng = np.random.default_rng(np.frombuffer(digest, np.uint32))
    challenge = np.zeros(DEGREE, np.int64)
    challenge[rng.permutation(DEGREE)[:TAU]] = rng.choice((-1, 1), TAU)
    return challenge


def _fresh() -> np.random.Generator:
    return np.random.default_rng(np.frombuffer(os.urandom(32), np.uint32))
