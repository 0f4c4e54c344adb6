"""Every signature implementation, against published vectors and against each other."""

from __future__ import annotations

import copy
import json
import lzma
import pickle
import sys
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from dilithium_py import ml_dsa
from hypothesis import given, settings
from hypothesis import strategies as st

from bflmec.crypto.schemes import SignatureScheme, SigningKey, generate, signature_scheme
from bflmec.errors import ConfigError, MissingExtraError, SignatureError

VECTORS = json.loads(lzma.decompress((Path(__file__).parent / "vectors/ml_dsa.json.xz").read_bytes()))
SIGNING_VECTORS = json.loads(lzma.decompress((Path(__file__).parent / "vectors/ml_dsa_sign.json.xz").read_bytes()))
CONTEXT = b"BFL-MEC/v1/local-gradient"
MESSAGE = sha256(b"a local gradient header").digest()
SEED = bytes(range(32))


@dataclass(frozen=True)
class Variant:
    scheme: str
    backend: str
    public_key_size: int
    signature_size: int

    def __str__(self) -> str:
        return f"{self.scheme}@{self.backend}"

    def make(self) -> SignatureScheme:
        return signature_scheme(self.scheme, self.backend)


VARIANTS = [
    Variant(scheme, backend, *sizes)
    for scheme, *sizes in [("ML-DSA-44", 1312, 2420), ("ML-DSA-65", 1952, 3309), ("ML-DSA-87", 2592, 4627)]
    for backend in ("cryptography", "dilithium-py")
]
each_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)


def vectors(kind: str, variant: Variant) -> list[dict[str, Any]]:
    return [vector for vector in VECTORS[kind] if vector["scheme"] == variant.scheme]


@cache
def key_of(variant: Variant) -> SigningKey:
    return variant.make().from_seed(SEED)


@cache
def signature_of(variant: Variant) -> bytes:
    return key_of(variant).sign(MESSAGE, CONTEXT)


@each_variant
def test_sizes_are_those_of_fips_204(variant: Variant) -> None:
    scheme = variant.make()
    assert (scheme.public_key_size, scheme.signature_size) == (variant.public_key_size, variant.signature_size)
    assert len(key_of(variant).public_key) == variant.public_key_size
    assert len(signature_of(variant)) == variant.signature_size


@each_variant
def test_name_is_the_scheme_and_not_the_backend(variant: Variant) -> None:
    assert (variant.make().name, variant.make().backend) == (variant.scheme, variant.backend)


@each_variant
def test_seeds_give_the_published_public_keys(variant: Variant) -> None:
    scheme = variant.make()
    for vector in vectors("key_generation", variant):
        key = scheme.from_seed(bytes.fromhex(vector["seed"]))
        assert sha256(key.public_key).hexdigest() == vector["public_key_sha256"], vector["source"]


@each_variant
def test_published_signatures_are_judged_as_published(variant: Variant) -> None:
    scheme = variant.make()
    chosen = vectors("verification", variant)
    assert {vector["valid"] for vector in chosen} == {True, False}
    for vector in chosen:
        parts = [bytes.fromhex(vector[part]) for part in ("public_key", "message", "signature", "context")]
        assert scheme.verify(*parts) is vector["valid"], vector["source"]


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v.backend == "dilithium-py"], ids=str)
def test_the_deterministic_backend_gives_the_published_signatures(variant: Variant) -> None:
    scheme = variant.make()
    assert scheme.deterministic
    for vector in vectors("signing", variant):
        key = scheme.from_seed(bytes.fromhex(vector["seed"]))
        signature = key.sign(bytes.fromhex(vector["message"]), bytes.fromhex(vector["context"]))
        assert sha256(signature).hexdigest() == vector["signature_sha256"], vector["source"]


@pytest.mark.parametrize("vector", SIGNING_VECTORS, ids=lambda vector: vector["source"])
def test_expanded_keys_give_the_published_signatures_and_every_backend_accepts_them(vector: dict[str, str]) -> None:
    """ACVP's keys are expanded ones, which only dilithium-py takes; `cryptography` keeps seeds and signs at random."""
    implementation = getattr(ml_dsa, vector["scheme"].replace("-", "_"))
    private, message, context = (bytes.fromhex(vector[name]) for name in ("private_key", "message", "context"))
    public = implementation.pk_from_sk(private)
    signature = implementation.sign(private, message, context, deterministic=True)
    assert sha256(signature).hexdigest() == vector["signature_sha256"]
    for variant in VARIANTS:
        if variant.scheme == vector["scheme"]:
            assert variant.make().verify(public, message, signature, context)
            assert not variant.make().verify(public, message + b"\0", signature, context)


@pytest.mark.parametrize("scheme", ["ML-DSA-44", "ML-DSA-65", "ML-DSA-87"])
def test_backends_agree_on_keys_and_accept_each_other(scheme: str) -> None:
    fast, reference = (variant for variant in VARIANTS if variant.scheme == scheme)
    assert key_of(fast).public_key == key_of(reference).public_key
    for signer, verifier in [(fast, reference), (reference, fast)]:
        assert verifier.make().verify(key_of(signer).public_key, MESSAGE, signature_of(signer), CONTEXT)


@each_variant
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_one_flipped_bit_anywhere_is_rejected(variant: Variant, data: st.DataObject) -> None:
    parts = {"key": key_of(variant).public_key, "message": MESSAGE, "signature": signature_of(variant), "ctx": CONTEXT}
    which = data.draw(st.sampled_from(sorted(parts)))
    bit = data.draw(st.integers(0, len(parts[which]) * 8 - 1))
    flipped = bytearray(parts[which])
    flipped[bit // 8] ^= 1 << bit % 8
    parts[which] = bytes(flipped)
    assert not variant.make().verify(*parts.values())


@each_variant
@settings(max_examples=25, deadline=None)
@given(
    public_key=st.binary(max_size=40), signature=st.binary(max_size=40), fill=st.booleans(), byte=st.integers(0, 255)
)
def test_malformed_bytes_do_not_verify_and_do_not_raise(
    variant: Variant, public_key: bytes, signature: bytes, fill: bool, byte: int
) -> None:
    if fill:
        public_key = public_key.ljust(variant.public_key_size, bytes([byte]))
        signature = signature.ljust(variant.signature_size, bytes([byte]))
    scheme = variant.make()
    assert not scheme.verify(public_key, MESSAGE, signature_of(variant), CONTEXT)
    assert not scheme.verify(key_of(variant).public_key, MESSAGE, signature, CONTEXT)


@each_variant
def test_a_context_over_255_bytes_is_refused(variant: Variant) -> None:
    with pytest.raises(SignatureError, match="255"):
        key_of(variant).sign(MESSAGE, bytes(256))
    assert not variant.make().verify(key_of(variant).public_key, MESSAGE, signature_of(variant), bytes(256))


@each_variant
@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_of_another_length_is_refused(variant: Variant, size: int) -> None:
    with pytest.raises(SignatureError, match="32 bytes"):
        variant.make().from_seed(bytes(size))


@each_variant
def test_a_signing_key_does_not_leak(variant: Variant) -> None:
    key = key_of(variant)
    shown = repr(key) + str(key)
    assert SEED.hex() not in shown
    assert repr(SEED)[2:-1] not in shown
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="keystore"):
            copying(key)


@pytest.mark.parametrize("scheme", ["ML-DSA-44", "ML-DSA-65", "ML-DSA-87"])
def test_the_default_backend_is_cryptography(scheme: str) -> None:
    assert signature_scheme(scheme).backend == "cryptography"


def test_generated_keys_differ_and_sign() -> None:
    scheme = signature_scheme("ML-DSA-44")
    first, second = generate(scheme), generate(scheme)
    assert first.public_key != second.public_key
    assert scheme.verify(first.public_key, MESSAGE, first.sign(MESSAGE, CONTEXT), CONTEXT)


def test_an_unknown_scheme_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="ML-DSA-44"):
        signature_scheme("ML-DSA-43")


@pytest.mark.parametrize(
    ("backend", "module", "advice"),
    [
        ("cryptography", "cryptography.hazmat.primitives.asymmetric.mldsa", "cryptography>=49"),
        ("dilithium-py", "dilithium_py", "dilithium-py>=1.5"),
    ],
)
def test_a_missing_backend_is_an_error_and_never_replaced(
    monkeypatch: pytest.MonkeyPatch, backend: str, module: str, advice: str
) -> None:
    package, _, name = module.rpartition(".")
    if package:
        monkeypatch.delattr(sys.modules[package], name, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=advice):
        signature_scheme("ML-DSA-44", backend)
