"""Sealed messages: one way, to the holder of an ML-KEM key, opened by nobody else and nowhere else.

    sealed = version (1) | ML-KEM-768 ciphertext (1088) | AES-256-GCM of the plaintext, tag included (n + 16)
    key | nonce = HKDF-SHA256(shared secret, salt = SHA-256 of the ML-KEM ciphertext, info = binding)    32 | 12 bytes

Each message has a secret of its own (FIPS 203), so that key and nonce are never used twice. Version and ML-KEM
ciphertext are authenticated through the key, the binding as associated data, too. Who sent a message is for its content
to prove: an envelope is signed.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from bflmec.crypto.encapsulation import CIPHERTEXT_SIZE, DecapsulationKey, encapsulate
from bflmec.errors import EncryptionError, MessageTooLargeError
from bflmec.transport.binding import VERSION, Binding
from bflmec.transport.cipher import TAG_SIZE, Cipher, derive

OVERHEAD: Final = 1 + CIPHERTEXT_SIZE + TAG_SIZE
"""Bytes that a sealed message has more than its plaintext."""

_KEY: Final = 32
_NONCE: Final = 12


def seal(plaintext: bytes, public_key: bytes, binding: Binding) -> bytes:
    """The sealed message for the holder of `public_key` (ML-KEM-768, 1184 bytes). Raises EncryptionError if that is
    no key."""
    secret, ciphertext = encapsulate(public_key)
    cipher, nonce = _cipher(secret, ciphertext, binding)
    return bytes([VERSION]) + ciphertext + cipher.encrypt(nonce, plaintext, binding.encode())


def open_sealed(data: bytes, key: DecapsulationKey, binding: Binding, limit: int) -> bytes:
    """The plaintext, of at most `limit` bytes.

    Raises MessageTooLargeError for a longer one, EncryptionError if `data` was made for another key or binding, or
    altered. Costs a decapsulation and a decryption, together less than a signature check.
    """
    if len(data) > limit + OVERHEAD:
        raise MessageTooLargeError(f"a sealed message of {len(data)} bytes is over the limit of {limit + OVERHEAD}")
    if len(data) < OVERHEAD:
        raise EncryptionError(f"a sealed message has at least {OVERHEAD} bytes, not {len(data)}")
    if data[0] != VERSION:
        raise EncryptionError(f"version {data[0]} of sealed messages is not spoken here; this is version {VERSION}")
    ciphertext = data[1 : 1 + CIPHERTEXT_SIZE]
    cipher, nonce = _cipher(key.decapsulate(ciphertext), ciphertext, binding)
    return cipher.decrypt(nonce, memoryview(data)[1 + CIPHERTEXT_SIZE :], binding.encode())


def _cipher(secret: bytes, ciphertext: bytes, binding: Binding) -> tuple[Cipher, bytes]:
    material = derive(secret, sha256(ciphertext).digest(), binding.encode(), _KEY + _NONCE)
    return Cipher(material[:_KEY]), material[_KEY:]
