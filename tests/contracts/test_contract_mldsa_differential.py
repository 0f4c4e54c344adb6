"""ML-DSA-44 verified in Solidity, against `cryptography` and `dilithium-py`, on signatures of random keys."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from random import Random

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa
from dilithium_py.ml_dsa import ML_DSA_44
from mldsa_evm import LONG, Verifier

KEYS = 1_000 if LONG else 60
SLOW_KEYS = 200 if LONG else 6
CONTEXT = b"BFL-MEC/v1/local-gradient"

# Sizes at which the hash input of tr, prefix, context and message ends at, before or behind a block of 136 bytes.
CONTEXT_SIZES = (0, 1, 25, 36, 37, 38, 39, 172, 173, 174, 175, 254, 255)


def messages(kind: str, count: int) -> Iterator[tuple[bytes, bytes]]:
    """(seed, message), 32 bytes each."""
    for i in range(count):
        yield sha256(f"{kind} seed {i}".encode()).digest(), sha256(f"{kind} message {i}".encode()).digest()


def accepts(public_key: bytes, message: bytes, context: bytes, signature: bytes) -> bool:
    try:
        mldsa.MLDSA44PublicKey.from_public_bytes(public_key).verify(signature, message, context)
    except (InvalidSignature, ValueError):
        return False
    return True


def test_signatures_of_cryptography_verify_and_slightly_damaged_ones_get_its_answer() -> None:
    verifier, random = Verifier.deployed(), Random(1)
    for seed, message in messages("cryptography", KEYS):
        key = mldsa.MLDSA44PrivateKey.from_seed_bytes(seed)
        public_key, signature = key.public_key().public_bytes_raw(), key.sign(message, CONTEXT)
        assert verifier.verify(public_key, message, CONTEXT, signature)
        case = [public_key, message, CONTEXT, signature]
        for _ in range(3):
            damaged = list(case)
            part = random.choice((0, 1, 2, 3, 3, 3))
            data = bytearray(damaged[part])
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
            damaged[part] = bytes(data)
            assert verifier.verify(*damaged) is accepts(*damaged)


def test_signatures_of_dilithium_py_verify_and_its_answer_to_random_responses_is_the_same() -> None:
    verifier, random = Verifier.deployed(), Random(2)
    for seed, message in messages("dilithium-py", SLOW_KEYS):
        public_key, secret_key = ML_DSA_44.key_derive(seed)
        signature = ML_DSA_44.sign(secret_key, message, CONTEXT)
        assert verifier.verify(public_key, message, CONTEXT, signature)
        foreign = signature[:32] + random.randbytes(2304) + signature[2336:]
        answer = ML_DSA_44.verify(public_key, message, foreign, CONTEXT)
        assert verifier.verify(public_key, message, CONTEXT, foreign) is answer is False


@pytest.mark.parametrize("size", range(256) if LONG else CONTEXT_SIZES)
def test_a_context_of_any_permitted_size_is_bound(size: int) -> None:
    verifier = Verifier.deployed()
    key = mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(32))
    public_key, message, context = key.public_key().public_bytes_raw(), bytes(range(32)), bytes(range(size))
    signature = key.sign(message, context)
    assert verifier.verify(public_key, message, context, signature)
    assert not verifier.verify(public_key, message, (context + b"\0")[:255] if size < 255 else context[1:], signature)
