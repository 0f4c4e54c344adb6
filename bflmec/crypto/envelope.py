"""The Web3 Secret Storage envelope as strict, bounded types: its numbers decide how much work opening it costs.

Source: https://ethereum.org/developers/docs/data-structures-and-encoding/web3-secret-storage, version 3.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from bflmec.errors import KeystoreError

MAX_WORK: Final = 1 << 19
"""scrypt's N beyond which no file is opened."""

_Hex16: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
_Hex32: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Salt: TypeAlias = Annotated[str, Meta(pattern=r"\A([0-9a-f]{2}){1,64}\Z")]
_Address: TypeAlias = Annotated[str, Meta(pattern=r"\A((0x)?[0-9a-fA-F]{40})?\Z")]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ScryptParams(_Strict, frozen=True):
    """Costs 128·n·r bytes of memory, so at most 512 MiB, and time in proportion to n·r·p."""

    n: Annotated[int, Meta(ge=2, le=MAX_WORK)]
    r: Annotated[int, Meta(ge=1, le=8)]
    p: Annotated[int, Meta(ge=1, le=8)]
    dklen: Literal[32]
    salt: _Salt


class Pbkdf2Params(_Strict, frozen=True):
    c: Annotated[int, Meta(ge=1, le=10_000_000)]
    prf: Literal["hmac-sha256"]
    dklen: Literal[32]
    salt: _Salt


class CipherParams(_Strict, frozen=True):
    iv: _Hex16


class _Crypto(_Strict, frozen=True, tag_field="kdf"):
    cipher: Literal["aes-128-ctr"]
    cipherparams: CipherParams
    ciphertext: _Hex32
    mac: _Hex32


class ScryptCrypto(_Crypto, frozen=True, tag="scrypt"):
    kdfparams: ScryptParams


class Pbkdf2Crypto(_Crypto, frozen=True, tag="pbkdf2"):
    kdfparams: Pbkdf2Params


class SignatureKey(_Strict, frozen=True):
    """What the envelope has no place for: the signature scheme, and which key it is."""

    scheme: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9-]{1,64}\Z")]
    public_key_sha256: _Hex32


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """Wallets add fields of their own; those are passed over."""

    crypto: ScryptCrypto | Pbkdf2Crypto
    version: Literal[3]
    id: Annotated[str, Meta(max_length=64)] = ""
    address: _Address = ""
    bflmec: SignatureKey | None = None


def encode_envelope(envelope: Envelope) -> bytes:
    return msgspec.json.format(msgspec.json.encode(envelope), indent=2) + b"\n"


def decode_envelope(data: bytes, name: str) -> Envelope:
    """Inverse of `encode_envelope`. Raises KeystoreError, naming the file `name`, on anything else."""
    try:
        return msgspec.json.decode(data, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise KeystoreError(f"{name} is not a Web3 Secret Storage file of version 3: {error}") from None
