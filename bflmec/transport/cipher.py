"""AES-256-GCM and HKDF-SHA256 with this package's errors."""

from __future__ import annotations

from typing import Final

from bflmec.crypto.schemes import Unpicklable
from bflmec.errors import EncryptionError

TAG_SIZE: Final = 16


class Cipher(Unpicklable):
    """AES-256-GCM (NIST SP 800-38D) under one key of 32 bytes. Whoever uses it never repeats a nonce."""

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._aead = AESGCM(key)

    def encrypt(self, nonce: bytes, plaintext: bytes | memoryview, associated: bytes) -> bytes:
        """Ciphertext and tag. `nonce` has 12 bytes."""
        return self._aead.encrypt(nonce, plaintext, associated)

    def decrypt(self, nonce: bytes, ciphertext: bytes | memoryview, associated: bytes) -> bytes:
        """Inverse of `encrypt`. Raises EncryptionError if anything of it was altered."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._aead.decrypt(nonce, ciphertext, associated)
        except (InvalidTag, ValueError):
            raise EncryptionError(
                "the bytes do not decrypt: made for another key, ledger or purpose, or altered on the way"
            ) from None


def derive(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """HKDF-SHA256 (RFC 5869)."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), size, salt, info).derive(secret)
