"""ML-DSA (FIPS 204), pure mode: fast by `cryptography`, deterministic by the pure-Python reference `dilithium-py`.

`cryptography` hedges: each signature draws fresh randomness (FIPS 204, Algorithm 2, line 5). `dilithium-py` is used in
the deterministic variant, for runs that repeat byte for byte; it is about a hundred times slower.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from bflmec.crypto.schemes import (
    MAX_CONTEXT_SIZE,
    SignatureScheme,
    SigningKey,
    Unpicklable,
    check_context,
    check_seed,
    signatures,
)
from bflmec.errors import MissingExtraError


@dataclass(frozen=True, slots=True)
class Parameters:
    """Sizes in bytes: FIPS 204, Table 2."""

    name: str
    public_key_size: int
    signature_size: int


PARAMETER_SETS: Final = (
    Parameters("ML-DSA-44", 1312, 2420),
    Parameters("ML-DSA-65", 1952, 3309),
    Parameters("ML-DSA-87", 2592, 4627),
)


class CryptographyMLDSA:
    """ML-DSA by `cryptography` (OpenSSL or AWS-LC underneath)."""

    backend = "cryptography"
    deterministic = False

    def __init__(self, parameters: Parameters) -> None:
        """Raises MissingExtraError if the installed `cryptography` can't do ML-DSA."""
        self.name = parameters.name
        self.public_key_size = parameters.public_key_size
        self.signature_size = parameters.signature_size
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

        try:
            from cryptography.hazmat.primitives.asymmetric import mldsa

            stem = parameters.name.replace("-", "")
            self._private: Any = getattr(mldsa, f"{stem}PrivateKey")
            self._public: Any = getattr(mldsa, f"{stem}PublicKey")
            self._invalid = InvalidSignature
            self._private.from_seed_bytes(bytes(32))
        except (ImportError, AttributeError, UnsupportedAlgorithm) as error:
            raise MissingExtraError(
                f"{self.name} needs a newer cryptography: pip install 'cryptography>=49,<51', or choose the "
                f"implementation {self.name}@dilithium-py"
            ) from error

    def from_seed(self, seed: bytes) -> SigningKey:
        check_seed(seed)
        return _CryptographyKey(self._private.from_seed_bytes(seed))

    def verify(self, public_key: bytes, message: bytes, signature: bytes, context: bytes) -> bool:
        try:
            self._public.from_public_bytes(public_key).verify(signature, message, context)
        except (ValueError, self._invalid):
            return False
        return True


class _CryptographyKey(Unpicklable):
    __slots__ = ("_key", "_public")

    def __init__(self, key: Any) -> None:
        self._key = key
        self._public: bytes = key.public_key().public_bytes_raw()

    @property
    def public_key(self) -> bytes:
        return self._public

    def sign(self, message: bytes, context: bytes) -> bytes:
        check_context(context)
        signature: bytes = self._key.sign(message, context)
        return signature


class DilithiumPyMLDSA:
    """ML-DSA by `dilithium-py`, in the deterministic variant."""

    backend = "dilithium-py"
    deterministic = True

    def __init__(self, parameters: Parameters) -> None:
        """Raises MissingExtraError if `dilithium-py` is not installed."""
        self.name = parameters.name
        self.public_key_size = parameters.public_key_size
        self.signature_size = parameters.signature_size
        try:
            from dilithium_py import ml_dsa

            self._implementation: Any = getattr(ml_dsa, parameters.name.replace("-", "_"))
        except (ImportError, AttributeError) as error:
            raise MissingExtraError(
                f"{self.name}@dilithium-py needs the reference implementation: pip install 'dilithium-py>=1.5,<2'"
            ) from error

    def from_seed(self, seed: bytes) -> SigningKey:
        check_seed(seed)
        return _DilithiumPyKey(self._implementation, *self._implementation.key_derive(seed))

    def verify(self, public_key: bytes, message: bytes, signature: bytes, context: bytes) -> bool:
        sized = len(public_key) == self.public_key_size and len(signature) == self.signature_size
        if not sized or len(context) > MAX_CONTEXT_SIZE:
            return False
        try:
            return bool(self._implementation.verify(public_key, message, signature, context))
        except ValueError:
            return False


class _DilithiumPyKey(Unpicklable):
    __slots__ = ("_implementation", "_private", "_public")

    def __init__(self, implementation: Any, public_key: bytes, private_key: bytes) -> None:
        self._implementation = implementation
        self._private = private_key
        self._public = public_key

    @property
    def public_key(self) -> bytes:
        return self._public

    def sign(self, message: bytes, context: bytes) -> bytes:
        check_context(context)
        signature: bytes = self._implementation.sign(self._private, message, context, deterministic=True)
        return signature


def _register(parameters: Parameters) -> None:
    fast: Callable[[], SignatureScheme] = partial(CryptographyMLDSA, parameters)
    reference: Callable[[], SignatureScheme] = partial(DilithiumPyMLDSA, parameters)
    signatures.register(parameters.name)(fast)
    signatures.register(f"{parameters.name}@{CryptographyMLDSA.backend}")(fast)
    signatures.register(f"{parameters.name}@{DilithiumPyMLDSA.backend}")(reference)


for _parameters in PARAMETER_SETS:
    _register(_parameters)
