"""The key encapsulation key of an edge node: ML-KEM-768 (FIPS 203), derived from 64 bytes of seed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from bflmec.crypto.schemes import Unpicklable
from bflmec.errors import EncryptionError, MissingExtraError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey

SCHEME: Final = "ML-KEM-768"
SEED_SIZE: Final = 64
SECRET_SIZE: Final = 32
PUBLIC_KEY_SIZE: Final = 1184
CIPHERTEXT_SIZE: Final = 1088

_SALT: Final = b"BFL-MEC/v1/encapsulation"


class Encapsulated(NamedTuple):
    """A fresh secret of 32 bytes, and the 1088 bytes from which the holder of the key gets the same one."""

    secret: bytes
    ciphertext: bytes


class DecapsulationKey(Unpicklable):
    """The private key. It can't be pickled and does not show itself when printed.

    Raises EncryptionError on a seed that has not 64 bytes, MissingExtraError if the installed cryptography library has
    no ML-KEM.
    """

    __slots__ = ("_key", "public_key")

    def __init__(self, seed: bytes) -> None:
        self._key = _private_key(seed)
        self.public_key = self._key.public_key().public_bytes_raw()

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The secret (32 bytes). A ciphertext for another key gives another secret (FIPS 203, implicit rejection); one
        of another length raises EncryptionError."""
        if len(ciphertext) != CIPHERTEXT_SIZE:
            raise EncryptionError(f"an ML-KEM-768 ciphertext has {CIPHERTEXT_SIZE} bytes, not {len(ciphertext)}")
        return self._key.decapsulate(ciphertext)


def new_decapsulation_key() -> DecapsulationKey:
    """A key from the operating system's randomness."""
    return DecapsulationKey(os.urandom(SEED_SIZE))


def encapsulate(public_key: bytes) -> Encapsulated:
    """A fresh secret for the holder of `public_key` (1184 bytes). Raises EncryptionError if that is no key."""
    try:
        return Encapsulated(*_public_key(public_key).encapsulate())
    except ValueError as error:
        raise EncryptionError(f"{len(public_key)} bytes that are no ML-KEM-768 key: {error}") from error


def encapsulation_public_key(seed: bytes) -> bytes:
    """The public key (1184 bytes) to which local gradients for this edge node are encapsulated.

    Raises what `DecapsulationKey` raises.
    """
    return DecapsulationKey(seed).public_key


def encapsulation_seed(secret: bytes) -> bytes:
    """The 64 bytes of seed that a key file's secret of 32 bytes stands for, by HKDF-SHA256 (RFC 5869)."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), SEED_SIZE, _SALT, b"seed").derive(secret)


def _private_key(seed: bytes) -> MLKEM768PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm

    if len(seed) != SEED_SIZE:
        raise EncryptionError(f"the seed of an ML-KEM-768 key has {SEED_SIZE} bytes, not {len(seed)}")
    try:
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

        return MLKEM768PrivateKey.from_seed_bytes(seed)
    except (ImportError, UnsupportedAlgorithm) as error:
        raise _too_old() from error


def _public_key(data: bytes) -> MLKEM768PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey

        return MLKEM768PublicKey.from_public_bytes(data)
    except (ImportError, UnsupportedAlgorithm) as error:
        raise _too_old() from error


def _too_old() -> MissingExtraError:
    return MissingExtraError("ML-KEM-768 needs cryptography 49 or newer; run: pip install -U cryptography")
