"""Key files: the Web3 Secret Storage envelope, version 3, around a ledger account's key or an ML-DSA seed.

A file of a ledger account is what any Ethereum wallet writes and reads. One of a signature key names its scheme and the
SHA-256 of its public key in the extra field `bflmec`, and has no `address`: that would be a second public key of the
same secret, on a curve that a quantum computer breaks.

Only the owner may read a key file, and files that others can read are refused.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bflmec.crypto import encapsulation as ml_kem
from bflmec.crypto.envelope import MAX_WORK, Envelope, SignatureKey, decode_envelope, encode_envelope
from bflmec.crypto.keys import SECP256K1_ORDER, account_address, check_account_key, key_digest
from bflmec.crypto.schemes import Unpicklable, signature_scheme
from bflmec.errors import BFLMECError, KeystoreError
from bflmec.files import create_atomically

ACCOUNT_SCHEME: Final = "ECDSA-secp256k1"
SECRET_SIZE: Final = 32
STANDARD_WORK: Final = 1 << 18
"""scrypt's N for files that people keep: about a second and 256 MiB."""
LIGHT_WORK: Final = 1 << 12
"""scrypt's N for keys that are worth little, and for tests."""

_MAX_FILE_SIZE: Final = 1 << 14
_MAX_PASSWORD_SIZE: Final = 1 << 12


@dataclass(frozen=True, slots=True, repr=False)
class StoredKey(Unpicklable):
    """A secret of 32 bytes and what it is for: ACCOUNT_SCHEME, "ML-KEM-768", or a signature scheme."""

    scheme: str
    secret: bytes

    def public_id(self) -> str:
        """What may be shown of the key, in hex: the account's address, or the SHA-256 of the public key. Raises a
        BFLMECError if scheme or secret are impossible."""
        if self.scheme == ACCOUNT_SCHEME:
            check_account_key(self.secret)
            return account_address(self.secret).hex()
        if self.scheme == ml_kem.SCHEME:
            return key_digest(ml_kem.encapsulation_public_key(ml_kem.encapsulation_seed(self.secret))).hex()
        return key_digest(signature_scheme(self.scheme).from_seed(self.secret).public_key).hex()


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What a key file says about its key without being opened: unproven until it is."""

    scheme: str
    public_id: str


def write_key(path: Path, key: StoredKey, password: bytes, work: int = STANDARD_WORK) -> None:
    """Create a key file, mode 0600, atomically. `work` is scrypt's N, a power of two.

    Raises KeystoreError if the file exists (keys are never overwritten), can't be written, or if the password is
    empty; another BFLMECError if the key is impossible.
    """
    if not password:
        raise KeystoreError("a key file needs a password that is not empty")
    if work & (work - 1) or not 2 <= work <= MAX_WORK:
        raise KeystoreError(f"scrypt's work factor is a power of two from 2 to {MAX_WORK}, not {work}")
    public_id = key.public_id()
    envelope = _seal(key, password, work)
    if key.scheme == ACCOUNT_SCHEME:
        envelope = msgspec.structs.replace(envelope, address=public_id)
    else:
        envelope = msgspec.structs.replace(envelope, bflmec=SignatureKey(key.scheme, public_id))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_atomically(path, encode_envelope(envelope))
    except OSError as error:
        if os.path.lexists(path):
            raise KeystoreError(f"{path} exists; keys are never overwritten, choose another name") from None
        raise KeystoreError(f"can't write the key file {path}: {error.strerror}") from error


def read_key(path: Path, password: bytes) -> StoredKey:
    """Open a key file. Raises KeystoreError if it is missing, damaged, readable by others, or the password is wrong."""
    envelope = decode_envelope(_read_private(path, _MAX_FILE_SIZE), str(path))
    info = _info(envelope)
    key = StoredKey(info.scheme, _open(envelope, password, path))
    try:
        public_id = key.public_id()
    except BFLMECError as error:
        raise KeystoreError(f"{path} does not hold a usable key: {error}") from error
    if info.public_id and public_id != info.public_id:
        raise KeystoreError(f"{path} holds another key than it says; restore it from a backup")
    return key


def describe_key(path: Path) -> KeyInfo:
    """What a key file is about, without its password. Raises KeystoreError if it is missing or damaged."""
    return _info(decode_envelope(_read_private(path, _MAX_FILE_SIZE), str(path)))


def read_password(path: Path) -> bytes:
    """A password kept in a file: its content without a final line break. Raises KeystoreError if the file is missing,
    empty, readable by others or longer than 4096 bytes."""
    password = _read_private(path, _MAX_PASSWORD_SIZE).removesuffix(b"\n").removesuffix(b"\r")
    if not password:
        raise KeystoreError(f"the password file {path} is empty")
    return password


def _info(envelope: Envelope) -> KeyInfo:
    if envelope.bflmec is not None:
        return KeyInfo(envelope.bflmec.scheme, envelope.bflmec.public_key_sha256)
    return KeyInfo(ACCOUNT_SCHEME, envelope.address.removeprefix("0x").lower())


def _seal(key: StoredKey, password: bytes, work: int) -> Envelope:
    from eth_keyfile.keyfile import create_keyfile_json

    if not 0 < int.from_bytes(key.secret, "big") < SECP256K1_ORDER:
        raise KeystoreError("the envelope only takes secrets between 1 and the order of secp256k1; draw another seed")
    try:
        document = create_keyfile_json(key.secret, password, kdf="scrypt", iterations=work)
    except ValueError as error:
        raise KeystoreError(f"can't lock the key: {error}") from error
    return msgspec.convert(document | {"address": ""}, Envelope)


def _open(envelope: Envelope, password: bytes, path: Path) -> bytes:
    from eth_keyfile.keyfile import decode_keyfile_json

    try:
        secret: bytes = decode_keyfile_json(msgspec.to_builtins(envelope), password)
    except ValueError as error:
        raise KeystoreError(f"{path} does not open: wrong password, or the file is damaged") from error
    return secret


def _read_private(path: Path, limit: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeystoreError(f"{path} is not a regular file")
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise KeystoreError(f"{path} can be read or changed by others; run: chmod 600 {path}")
            data = file.read(limit + 1)
    except OSError as error:
        raise KeystoreError(f"can't read {path}: {error.strerror}") from error
    if len(data) > limit:
        raise KeystoreError(f"{path} is longer than {limit} bytes, which no such file is")
    return data
