"""Detached signatures over files, such as the request of an operator whose edge node is to be admitted: whoever holds
the digest of a public key can tell that its owner signed this very file.

A signature is over the SHA-256 of the file, with a context of its own, so that no document is ever a local gradient.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from bflmec.crypto.keys import key_digest
from bflmec.crypto.keystore import ACCOUNT_SCHEME, StoredKey
from bflmec.crypto.schemes import signature_scheme
from bflmec.errors import KeystoreError, SignatureError

DOCUMENT_CONTEXT: Final = b"BFL-MEC/v1/document"

_MAX_SIGNATURE_FILE: Final = 1 << 18
_Hex = Annotated[str, Meta(pattern=r"\A([0-9a-f]{2}){1,65536}\Z")]


class DocumentSignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a signature file, which is JSON. Key and signature are in hex."""

    scheme: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9-]{1,64}\Z")]
    public_key: _Hex
    signature: _Hex

    @property
    def signer(self) -> str:
        """SHA-256 of the public key in hex, as the ledger registers it."""
        return key_digest(bytes.fromhex(self.public_key)).hex()

    def encode(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def read(cls, path: Path) -> DocumentSignature:
        """Raises SignatureError if the file is missing or is no signature file."""
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_SIGNATURE_FILE + 1)
            if len(data) > _MAX_SIGNATURE_FILE:
                raise SignatureError(f"{path} is longer than any signature file")
            return msgspec.json.decode(data, type=cls)
        except OSError as error:
            raise SignatureError(f"can't read {path}: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SignatureError(f"{path} is not a signature file: {error}") from error


def sign_document(document: Path, key: StoredKey) -> DocumentSignature:
    """Raises KeystoreError if the key is a ledger account's, SignatureError if the document can't be read."""
    if key.scheme == ACCOUNT_SCHEME:
        raise KeystoreError("a ledger account's key signs transactions only; sign documents with an ML-DSA key file")
    signing_key = signature_scheme(key.scheme).from_seed(key.secret)
    signature = signing_key.sign(_digest(document), DOCUMENT_CONTEXT)
    return DocumentSignature(key.scheme, signing_key.public_key.hex(), signature.hex())


def check_document(document: Path, signature: DocumentSignature) -> None:
    """Raises SignatureError unless the signature holds for the document; ConfigError if its scheme is unknown."""
    scheme = signature_scheme(signature.scheme)
    public_key, signed = bytes.fromhex(signature.public_key), bytes.fromhex(signature.signature)
    if not scheme.verify(public_key, _digest(document), signed, DOCUMENT_CONTEXT):
        raise SignatureError(f"the signature does not hold: {document} is another file than the one that was signed")


def _digest(document: Path) -> bytes:
    try:
        with document.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise SignatureError(f"can't read {document}: {error.strerror}") from error
