"""The signature schemes of Table II behind one shape: make a key, sign a message, verify."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

from bflmec.crypto.schemes import generate, signature_scheme

CONTEXT = b"BFL-MEC/v1/local-gradient"
EXTRA = "pip install 'bflmec[experiments]'"


class Operations(NamedTuple):
    """`keygen()` gives a key, `sign(key, message)` a signature, `verify(key, message, signature)` whether it holds."""

    keygen: Callable[[], Any]
    sign: Callable[[Any, bytes], Any]
    verify: Callable[[Any, bytes, Any], bool]


@dataclass(frozen=True)
class Scheme:
    """A row of the table. `package` must be importable for it; `operations` imports what it needs."""

    name: str
    library: str
    family: str
    package: str
    operations: Callable[[], Operations]

    @property
    def available(self) -> bool:
        return find_spec(self.package) is not None


def _ml_dsa(name: str, backend: str) -> Operations:
    scheme = signature_scheme(name, backend)
    return Operations(
        lambda: generate(scheme),
        lambda key, message: key.sign(message, CONTEXT),
        lambda key, message, signature: scheme.verify(key.public_key, message, signature, CONTEXT),
    )


def _fast_ml_dsa(name: str) -> Operations:
    import fast_mldsa

    scheme = getattr(fast_mldsa, name.replace("ML-DSA-", "MlDsa"))
    return Operations(
        scheme.key_gen,
        lambda key, message: key[1].sign(message, CONTEXT),
        lambda key, message, signature: bool(key[0].verify(signature, message, CONTEXT)),
    )


def _fn_dsa(degree: int) -> Operations:
    import py_fn_dsa

    size = degree.bit_length() - 1
    return Operations(
        lambda: py_fn_dsa.keygen(size),
        lambda key, message: py_fn_dsa.sign(key[1], message, CONTEXT),
        lambda key, message, signature: py_fn_dsa.verify(key[0], signature, message, CONTEXT),
    )


def _rsa(bits: int) -> Operations:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    def verify(key: rsa.RSAPrivateKey, message: bytes, signature: bytes) -> bool:
        try:
            key.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True

    return Operations(
        lambda: rsa.generate_private_key(65537, bits),
        lambda key, message: key.sign(message, padding.PKCS1v15(), hashes.SHA256()),
        verify,
    )


def _textbook() -> Operations:
    from bflmec.experiments import textbook_dilithium as book

    return Operations(
        book.generate, book.sign, lambda key, message, signature: book.verify(key.public, message, signature)
    )


def _all() -> list[Scheme]:
    schemes = [
        Scheme(f"RSA-{bits} (PKCS1 v1.5)", "cryptography", "RSA", "cryptography", partial(_rsa, bits))
        for bits in (2048, 3072)
    ]
    schemes += [
        Scheme(f"FN-DSA-{degree}", "py-fn-dsa", "Falcon", "py_fn_dsa", partial(_fn_dsa, degree))
        for degree in (512, 1024)
    ]
    for name in ("ML-DSA-44", "ML-DSA-65", "ML-DSA-87"):
        for backend, package in (("cryptography", "cryptography"), ("dilithium-py", "dilithium_py")):
            schemes.append(Scheme(name, backend, "ML-DSA", package, partial(_ml_dsa, name, backend)))
        schemes.append(Scheme(name, "fast-mldsa", "ML-DSA", "fast_mldsa", partial(_fast_ml_dsa, name)))
    schemes.append(Scheme("Algorithm 1, textbook", "numpy, for study only", "textbook", "numpy", _textbook))
    return schemes


SCHEMES = _all()
