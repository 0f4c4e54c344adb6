"""The key encapsulation key of an edge node: ML-KEM-768 (FIPS 203), derived from 64 bytes of seed."""

from __future__ import annotations

from typing import Final

from bflmec.errors import MissingExtraError

SEED_SIZE: Final = 64
PUBLIC_KEY_SIZE: Final = 1184


def encapsulation_public_key(seed: bytes) -> bytes:
    """The public key (1184 bytes) to which local gradients for this edge node are encapsulated.

    Raises MissingExtraError if the installed cryptography library has no ML-KEM.
    """
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

        return MLKEM768PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()
    except (ImportError, UnsupportedAlgorithm) as error:
        raise MissingExtraError(
            "ML-KEM-768 needs cryptography 49 or newer; run: pip install -U cryptography"
        ) from error
