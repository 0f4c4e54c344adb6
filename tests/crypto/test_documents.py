"""Detached signatures over files: they hold for one file and one purpose, whatever is in the signature file."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bflmec.crypto.documents import DOCUMENT_CONTEXT, DocumentSignature, check_document, sign_document
from bflmec.crypto.keystore import ACCOUNT_SCHEME, StoredKey
from bflmec.crypto.schemes import signature_scheme
from bflmec.errors import ConfigError, KeystoreError, SignatureError
from bflmec.protocol.messages import GRADIENT_CONTEXT, RECEIPT_CONTEXT

KEY = StoredKey("ML-DSA-44", bytes(range(32)))
SCHEME = signature_scheme("ML-DSA-44")


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "document"
    path.write_bytes(b"\x00 any bytes \xff" * 1000)
    return path


def test_a_signature_holds_and_survives_its_file(tmp_path: Path, document: Path) -> None:
    signature = sign_document(document, KEY)
    (tmp_path / "sig").write_bytes(signature.encode())
    read = DocumentSignature.read(tmp_path / "sig")
    assert read == signature
    check_document(document, read)
    assert read.signer == KEY.public_id()


def test_what_is_signed_is_the_digest_of_the_file_for_this_purpose(document: Path) -> None:
    signature = sign_document(document, KEY)
    key, signed = bytes.fromhex(signature.public_key), bytes.fromhex(signature.signature)
    assert SCHEME.verify(key, sha256(document.read_bytes()).digest(), signed, DOCUMENT_CONTEXT)


@pytest.mark.parametrize("context", [b"", GRADIENT_CONTEXT, RECEIPT_CONTEXT])
def test_a_signature_for_another_purpose_does_not_hold(document: Path, context: bytes) -> None:
    key = SCHEME.from_seed(KEY.secret)
    signed = key.sign(sha256(document.read_bytes()).digest(), context)
    with pytest.raises(SignatureError, match="does not hold"):
        check_document(document, DocumentSignature("ML-DSA-44", key.public_key.hex(), signed.hex()))


@pytest.mark.parametrize("field", ["public_key", "signature"])
def test_a_flipped_bit_does_not_hold(document: Path, field: str) -> None:
    signature = sign_document(document, KEY)
    flipped = bytearray.fromhex(getattr(signature, field))
    flipped[100] ^= 1
    changed = {"public_key": signature.public_key, "signature": signature.signature} | {field: flipped.hex()}
    with pytest.raises(SignatureError, match="does not hold"):
        check_document(document, DocumentSignature("ML-DSA-44", **changed))


def test_an_unknown_scheme_is_refused(document: Path) -> None:
    signature = sign_document(document, KEY)
    with pytest.raises(ConfigError, match="no signatures named 'Rainbow'"):
        check_document(document, DocumentSignature("Rainbow", signature.public_key, signature.signature))


def test_an_account_key_signs_nothing(document: Path) -> None:
    with pytest.raises(KeystoreError, match="ML-DSA"):
        sign_document(document, StoredKey(ACCOUNT_SCHEME, KEY.secret))


def test_missing_files_are_told_by_name(tmp_path: Path, document: Path) -> None:
    with pytest.raises(SignatureError, match="nothing"):
        sign_document(tmp_path / "nothing", KEY)
    with pytest.raises(SignatureError, match="nothing"):
        DocumentSignature.read(tmp_path / "nothing")


def test_a_huge_signature_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sig").write_bytes(b" " * 2**20)
    with pytest.raises(SignatureError, match="longer"):
        DocumentSignature.read(tmp_path / "sig")


_FIELDS = st.fixed_dictionaries({}, optional={"scheme": st.text(), "public_key": st.text(), "signature": st.integers()})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=200), _FIELDS.map(str).map(str.encode), st.just(b"[" * 10_000)))
def test_whatever_is_in_a_signature_file_ends_in_a_typed_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sig").write_bytes(content)
    with pytest.raises(SignatureError):
        DocumentSignature.read(tmp_path / "sig")
