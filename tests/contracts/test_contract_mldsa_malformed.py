"""ML-DSA-44 verified in Solidity: whatever is wrong with a signature or a key, the answer is false and no revert."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from hypothesis import given, settings
from hypothesis import strategies as st
from mldsa_evm import LONG, Verifier

MESSAGE = bytes(range(32))
CONTEXT = b"BFL-MEC/v1/local-gradient"
PUBLIC_KEY_SIZE, SIGNATURE_SIZE = 1312, 2420
RESPONSE, HINTS, COUNTS = 32, 2336, 2416
FLIPS = 150


@cache
def signed() -> tuple[bytes, bytes]:
    """A public key and a signature that it accepts, with at least two hints in the first polynomial."""
    key = mldsa.MLDSA44PrivateKey.from_seed_bytes(b"\x07" * 32)
    while True:
        signature = key.sign(MESSAGE, CONTEXT)
        if signature[COUNTS] >= 2 and signature[COUNTS + 3] < 80:
            return key.public_key().public_bytes_raw(), signature


def accepted(public_key: bytes, signature: bytes, context: bytes = CONTEXT) -> bool:
    return Verifier.deployed().verify(public_key, MESSAGE, context, signature)


def flipped(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data, "little") ^ 1 << bit).to_bytes(len(data), "little")


def chosen(bits: int, seed: int) -> list[int]:
    """Every bit in the long form, else a sample."""
    return list(range(bits)) if LONG else Random(seed).sample(range(bits), FLIPS)


def test_the_undamaged_signature_is_accepted() -> None:
    assert accepted(*signed())


def test_no_signature_with_one_bit_flipped_is_accepted() -> None:
    public_key, signature = signed()
    assert [b for b in chosen(8 * SIGNATURE_SIZE, 1) if accepted(public_key, flipped(signature, b))] == []


def test_no_key_with_one_bit_flipped_accepts() -> None:
    public_key, signature = signed()
    assert [b for b in chosen(8 * PUBLIC_KEY_SIZE, 2) if accepted(flipped(public_key, b), signature)] == []


@pytest.mark.parametrize("size", [0, 1, 31, 32, SIGNATURE_SIZE - 1, SIGNATURE_SIZE + 1, 2 * SIGNATURE_SIZE])
def test_a_signature_of_another_size_is_refused(size: int) -> None:
    public_key, signature = signed()
    assert not accepted(public_key, (2 * signature)[:size])


@pytest.mark.parametrize("size", [0, 1, 31, 32, PUBLIC_KEY_SIZE - 1, PUBLIC_KEY_SIZE + 1, 2 * PUBLIC_KEY_SIZE])
def test_a_key_of_another_size_is_refused(size: int) -> None:
    public_key, signature = signed()
    assert not accepted((2 * public_key)[:size], signature)


@pytest.mark.parametrize("size", [256, 257, 512, 5_000])
def test_a_context_of_more_than_255_bytes_is_refused(size: int) -> None:
    assert not accepted(*signed(), context=bytes(size))


def swap_positions(hints: bytearray) -> None:
    hints[0], hints[1] = hints[1], hints[0]


def repeat_position(hints: bytearray) -> None:
    hints[1:80] = hints[0:79]
    for i in range(80, 84):
        hints[i] += 1


def use_padding(hints: bytearray) -> None:
    hints[79] = 1


def fall_back(hints: bytearray) -> None:
    hints[81] = hints[80] - 1


def count_too_many(hints: bytearray) -> None:
    hints[83] = 81


def count_beyond_the_signature(hints: bytearray) -> None:
    hints[80:84] = bytes([255] * 4)


@pytest.mark.parametrize(
    "damage",
    [swap_positions, repeat_position, use_padding, fall_back, count_too_many, count_beyond_the_signature],
)
def test_hints_that_are_no_canonical_encoding_are_refused(damage: Callable[[bytearray], None]) -> None:
    public_key, signature = signed()
    hints = bytearray(signature[HINTS:])
    damage(hints)
    assert not accepted(public_key, signature[:HINTS] + bytes(hints))


@pytest.mark.parametrize("encoded", [0, 78, 2**18 - 78, 2**18 - 1], ids=lambda v: f"{v:x}")
@pytest.mark.parametrize("position", [0, 1, 255, 256, 511, 1023])
def test_a_response_out_of_range_is_refused(encoded: int, position: int) -> None:
    public_key, signature = signed()
    response = int.from_bytes(signature[RESPONSE:HINTS], "little")
    response &= ~(0x3FFFF << 18 * position)
    response |= encoded << 18 * position
    assert not accepted(
        public_key, signature[:RESPONSE] + response.to_bytes(HINTS - RESPONSE, "little") + signature[HINTS:]
    )


@settings(max_examples=1_000 if LONG else 40, deadline=None)
@given(
    st.binary(min_size=32, max_size=32),
    st.one_of(st.just(b"\x00"), st.just(b"\xff"), st.binary(min_size=1, max_size=64)),
    st.booleans(),
)
def test_arbitrary_keys_and_signatures_are_refused_within_one_transaction(
    seed: bytes, pattern: bytes, hints: bool
) -> None:
    key = (seed + pattern * PUBLIC_KEY_SIZE)[:PUBLIC_KEY_SIZE]
    signature = (seed[::-1] + pattern * SIGNATURE_SIZE)[:HINTS] + (bytes(84) if hints else (pattern * 84)[:84])
    assert not accepted(key, signature)
