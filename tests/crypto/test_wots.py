"""One-time signatures: what they are made of, and that nothing but the signed digest leads to the key."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bflmec.crypto import wots
from bflmec.crypto.wots import CHAINS, HASH_SIZE, SIGNATURE_SIZE
from bflmec.errors import SignatureError

SEED, CONTEXT = bytes(range(32)), bytes(range(24))
digests = st.binary(min_size=32, max_size=32)


def test_keccak_is_ethereums() -> None:
    assert wots.keccak(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_digits_are_the_nibbles_and_their_checksum() -> None:
    assert wots.digits(bytes(32)) == (0,) * 64 + (3, 12, 0)  # 64 · 15 = 0x3c0
    assert wots.digits(b"\xff" * 32) == (15,) * 64 + (0, 0, 0)
    assert wots.digits(bytes.fromhex("0123456789abcdef" * 4))[:16] == tuple(range(16))


@given(digests, digests)
def test_no_digest_dominates_another(first: bytes, second: bytes) -> None:
    """Whoever has one signature can only walk chains forward: every other digest needs at least one step back."""
    if first != second:
        assert any(b < a for a, b in zip(wots.digits(first), wots.digits(second), strict=True))


@given(digests)
def test_steps_are_what_a_verifier_walks(digest: bytes) -> None:
    assert wots.steps(digest) == sum(15 - digit for digit in wots.digits(digest))


@settings(max_examples=10, deadline=None)
@given(digests)
def test_a_signature_leads_to_the_public_key(digest: bytes) -> None:
    signature = wots.sign(SEED, CONTEXT, 3, digest)
    assert len(signature) == SIGNATURE_SIZE
    assert wots.recover(CONTEXT, 3, digest, signature) == wots.public_key(SEED, CONTEXT, 3)


def test_public_key_is_the_known_one() -> None:
    assert wots.public_key(SEED, CONTEXT, 3).hex() == "034788071d2c1acbd373cb26de63bdf541d52ebe1fead6b5b384b3b90fc5090f"


def test_chains_written_out_by_hand_give_the_same_key() -> None:
    ends = b""
    for chain in range(CHAINS):
        value = wots.keccak(CONTEXT + bytes([0, 0, 0, 3, 4, 0, chain, 0]) + SEED)
        for position in range(15):
            value = wots.keccak(CONTEXT + bytes([0, 0, 0, 3, 0, 0, chain, position]) + value)
        ends += value
    assert wots.keccak(CONTEXT + bytes([0, 0, 0, 3, 1, 0, 0, 0]) + ends) == wots.public_key(SEED, CONTEXT, 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 8 * SIGNATURE_SIZE - 1))
def test_a_flipped_bit_of_the_signature_leads_elsewhere(bit: int) -> None:
    digest = wots.keccak(b"message")
    damaged = bytearray(wots.sign(SEED, CONTEXT, 3, digest))
    damaged[bit // 8] ^= 1 << bit % 8
    assert wots.recover(CONTEXT, 3, digest, bytes(damaged)) != wots.public_key(SEED, CONTEXT, 3)


def test_another_context_leaf_or_seed_is_another_key() -> None:
    keys = {
        wots.public_key(SEED, CONTEXT, 3),
        wots.public_key(SEED, CONTEXT, 4),
        wots.public_key(SEED, CONTEXT[::-1], 3),
        wots.public_key(SEED[::-1], CONTEXT, 3),
    }
    assert len(keys) == 4


@pytest.mark.parametrize("size", [0, 31, 33])
def test_only_digests_are_signed(size: int) -> None:
    with pytest.raises(SignatureError, match="32 bytes"):
        wots.sign(SEED, CONTEXT, 0, bytes(size))


@pytest.mark.parametrize("size", [0, SIGNATURE_SIZE - 1, SIGNATURE_SIZE + HASH_SIZE])
def test_recover_refuses_another_size(size: int) -> None:
    with pytest.raises(SignatureError, match="2144 bytes"):
        wots.recover(CONTEXT, 0, bytes(32), bytes(size))
