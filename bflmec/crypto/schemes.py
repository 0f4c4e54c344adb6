"""Post-quantum signatures as one small interface, and the registry of implementations.

A *scheme* ("ML-DSA-44") says what the bytes mean and travels with them. A *backend* is who computes it, a local matter:
the registry holds `<scheme>` for the default backend and `<scheme>@<backend>` for each one by name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, NoReturn, Protocol

from bflmec.errors import SignatureError
from bflmec.registry import Registry

SEED_SIZE: Final = 32
MAX_CONTEXT_SIZE: Final = 255


class SigningKey(Protocol):
    """A private key that signs. It can't be pickled and does not show itself when printed."""

    @property
    def public_key(self) -> bytes: ...

    def sign(self, message: bytes, context: bytes) -> bytes:
        """Sign `message` for the purpose `context` (at most 255 bytes, else SignatureError). Sign digests: hashing
        inside of ML-DSA is slow."""
        ...


class SignatureScheme(Protocol):
    """One scheme as one backend computes it."""

    name: str
    """The scheme's name on the wire."""
    backend: str
    deterministic: bool
    """Whether a key signs a message with the same bytes every time."""
    public_key_size: int
    signature_size: int

    def from_seed(self, seed: bytes) -> SigningKey:
        """The key of a 32-byte seed, the same in every backend. Raises SignatureError on another length."""
        ...

    def verify(self, public_key: bytes, message: bytes, signature: bytes, context: bytes) -> bool:
        """Whether the signature holds. Malformed bytes do not hold; no input raises."""
        ...


signatures: Registry[Callable[[], SignatureScheme]] = Registry("signatures")


def signature_scheme(name: str, backend: str | None = None) -> SignatureScheme:
    """The scheme of that name. Raises ConfigError if there is none, MissingExtraError if its backend is not installed
    or too old; another backend never takes over."""
    return signatures.get(name if backend is None else f"{name}@{backend}")()


def generate(scheme: SignatureScheme) -> SigningKey:
    """A new key from the operating system's randomness."""
    return scheme.from_seed(os.urandom(SEED_SIZE))


def check_seed(seed: bytes) -> None:
    if len(seed) != SEED_SIZE:
        raise SignatureError(f"a signing key's seed has {SEED_SIZE} bytes, not {len(seed)}")


def check_context(context: bytes) -> None:
    if len(context) > MAX_CONTEXT_SIZE:
        raise SignatureError(f"a signature's context has at most {MAX_CONTEXT_SIZE} bytes, not {len(context)}")


class Unpicklable:
    """Base of what holds a secret: no pickling or copying, no attribute values in its representation."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} can't be pickled or copied; store its seed in a keystore file")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
