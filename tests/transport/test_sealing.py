"""Sealed uploads: known bytes open, everything that was altered or moved does not."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.crypto.encapsulation import CIPHERTEXT_SIZE, DecapsulationKey, encapsulation_seed
from bflmec.errors import EncryptionError, MessageTooLargeError
from bflmec.transport.binding import Binding, Purpose
from bflmec.transport.sealing import OVERHEAD, open_sealed, seal

KEY = DecapsulationKey(bytes(range(64)))
BINDING = Binding(1337, bytes(range(20)), 7, Purpose.UPLOAD)
SEALED = seal(b"a local gradient", KEY.public_key, BINDING)

KNOWN_DIGEST = "11a99a62f648ab9317ef6b4374756c4a703d37ecec433ec7acbcc8c37d599c75"
KNOWN_SEALED = Path(__file__).with_name("vectors") / "sealed.hex"
"""Made once by `seal`: what an older client has sealed opens with every later version."""


def test_a_sealed_message_opens() -> None:
    assert open_sealed(SEALED, KEY, BINDING, 100) == b"a local gradient"


@given(st.binary(max_size=3000))
def test_any_plaintext_comes_back_and_is_longer_by_the_overhead(plaintext: bytes) -> None:
    sealed = seal(plaintext, KEY.public_key, BINDING)
    assert len(sealed) == len(plaintext) + OVERHEAD
    assert open_sealed(sealed, KEY, BINDING, 3000) == plaintext


def test_sealing_twice_shares_no_bytes_but_the_version() -> None:
    other = seal(b"a local gradient", KEY.public_key, BINDING)
    assert other[0] == SEALED[0]
    assert other[1:33] != SEALED[1:33]
    assert other[-16:] != SEALED[-16:]


@pytest.mark.parametrize(
    "position",
    [0, 1, 500, CIPHERTEXT_SIZE, CIPHERTEXT_SIZE + 1, len(SEALED) - 17, len(SEALED) - 16, len(SEALED) - 1],
)
def test_a_flipped_bit_anywhere_is_noticed(position: int) -> None:
    altered = bytearray(SEALED)
    altered[position] ^= 0x10
    with pytest.raises(EncryptionError):
        open_sealed(bytes(altered), KEY, BINDING, 100)


@given(st.integers(0, 8 * len(SEALED) - 1))
def test_no_flipped_bit_opens(bit: int) -> None:
    altered = bytearray(SEALED)
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(EncryptionError):
        open_sealed(bytes(altered), KEY, BINDING, 100)


@pytest.mark.parametrize("size", [0, 1, OVERHEAD - 1, len(SEALED) - 1])
def test_a_truncated_message_does_not_open(size: int) -> None:
    with pytest.raises(EncryptionError):
        open_sealed(SEALED[:size], KEY, BINDING, 100)


@pytest.mark.parametrize(
    "binding",
    [
        Binding(1, BINDING.ledger, 7, Purpose.UPLOAD),
        Binding(1337, bytes(20), 7, Purpose.UPLOAD),
        Binding(1337, BINDING.ledger, 8, Purpose.UPLOAD),
        Binding(1337, BINDING.ledger, 7, Purpose.SESSION),
    ],
    ids=["chain", "ledger", "edge node", "purpose"],
)
def test_it_opens_nowhere_else(binding: Binding) -> None:
    with pytest.raises(EncryptionError):
        open_sealed(SEALED, KEY, binding, 100)


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(EncryptionError):
        open_sealed(SEALED, DecapsulationKey(bytes(64)), BINDING, 100)


def test_a_message_over_the_limit_is_refused_before_it_is_decrypted() -> None:
    with pytest.raises(MessageTooLargeError):
        open_sealed(SEALED, KEY, BINDING, 15)


@pytest.mark.parametrize("size", [0, 1183, 1185])
def test_what_is_no_key_is_refused(size: int) -> None:
    with pytest.raises(EncryptionError):
        seal(b"", bytes(size), BINDING)


def test_the_binding_has_fixed_bytes() -> None:
    assert BINDING.encode().hex() == (
        "42464c2d4d45432f76312f6279746573010000000000000539000102030405060708090a0b0c0d0e0f10111213000701"
    )


def test_keys_derive_from_their_files_secret_the_same_way_forever() -> None:
    seed = encapsulation_seed(bytes(range(32)))
    assert len(seed) == 64
    assert sha256(DecapsulationKey(seed).public_key).hexdigest() == KNOWN_DIGEST


def test_a_known_message_opens() -> None:
    sealed = bytes.fromhex(KNOWN_SEALED.read_text())
    assert open_sealed(sealed, KEY, BINDING, 100) == b"a local gradient"
