"""The directory of an edge node: its keys, its settings and all that it must not lose.

account.json         key file of the ledger account, which pays for blocks and certifies them
signature.json       key file of the ML-DSA key, which signs receipts and handshakes
encapsulation.json   key file of the ML-KEM-768 key, which opens uploads
password             what unlocks them; keep it elsewhere if somebody can type it
edge.toml            settings
edge.sqlite          cache pool and journal
blobs/               global gradients and block bodies
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bflmec.crypto.encapsulation import SCHEME, DecapsulationKey, encapsulation_seed
from bflmec.crypto.keys import Identity, key_digest, new_identity
from bflmec.crypto.keystore import ACCOUNT_SCHEME, LIGHT_WORK, StoredKey, read_key, read_password, write_key
from bflmec.crypto.schemes import SigningKey, Unpicklable, signature_scheme
from bflmec.edge.settings import Settings, read_settings, template
from bflmec.errors import KeystoreError
from bflmec.files import create_atomically

_FILES: Final = ("account.json", "signature.json", "encapsulation.json")


@dataclass(frozen=True, slots=True, repr=False)
class EdgeKeys(Unpicklable):
    """An edge node's secrets: of its ledger account (32 bytes), for signatures, for encapsulation."""

    account_key: bytes
    scheme: str
    signature: SigningKey
    encapsulation: DecapsulationKey

    @property
    def account(self) -> bytes:
        """The address of the ledger account, 20 bytes."""
        from bflmec.crypto.keys import account_address

        return account_address(self.account_key)

    @property
    def signature_digest(self) -> bytes:
        return key_digest(self.signature.public_key)

    @property
    def encapsulation_digest(self) -> bytes:
        return key_digest(self.encapsulation.public_key)


class EdgeDirectory:
    """Opens what `create` has made. Nothing is read before it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(
        cls, path: Path, *, scheme: str, password: bytes | None, host: str = "127.0.0.1", port: int = 8600
    ) -> EdgeDirectory:
        """New keys from the operating system's randomness. Without a password one is drawn and left in the directory.

        Raises KeystoreError if there are keys in the directory already, or it can't be written.
        """
        present = [name for name in (*_FILES, "password", "edge.toml") if (path / name).exists()]
        if present:
            raise KeystoreError(f"{path} holds {', '.join(present)} already; keys are never overwritten")
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Drawn at random, a password needs no costly derivation to withstand guessing.
            if password is None:
                password = secrets.token_hex(32).encode()
                create_atomically(path / "password", password + b"\n")
            identity, encapsulation = new_identity(), new_identity().seed
            secrets_ = (identity.account_key, identity.seed, encapsulation)
            for name, kind, secret in zip(_FILES, (ACCOUNT_SCHEME, scheme, SCHEME), secrets_, strict=True):
                write_key(path / name, StoredKey(kind, secret), password, LIGHT_WORK)
            create_atomically(path / "edge.toml", template(host, port).encode())
        except OSError as error:
            raise KeystoreError(f"can't write {path}: {error.strerror}") from error
        return cls(path)

    def keys(self, password_file: Path | None = None) -> EdgeKeys:
        """Raises KeystoreError if a file is missing, damaged or of another kind, or the password is wrong."""
        password = read_password(password_file or self.path / "password")
        account, signature, encapsulation = (read_key(self.path / name, password) for name in _FILES)
        if (
            account.scheme != ACCOUNT_SCHEME
            or encapsulation.scheme != SCHEME
            or signature.scheme
            in (
                ACCOUNT_SCHEME,
                SCHEME,
            )
        ):
            raise KeystoreError(f"the key files in {self.path} are mixed up: each has its own kind of key")
        return EdgeKeys(
            account.secret,
            signature.scheme,
            Identity(account.secret, signature.secret).signing_key(signature_scheme(signature.scheme)),
            DecapsulationKey(encapsulation_seed(encapsulation.secret)),
        )

    def settings(self) -> Settings:
        """Raises ConfigError."""
        return read_settings(self.path / "edge.toml")

    @property
    def store(self) -> Path:
        return self.path / "edge.sqlite"

    @property
    def outbox(self) -> Path:
        return self.path / "outbox"

    @property
    def blobs(self) -> Path:
        return self.path / "blobs"
