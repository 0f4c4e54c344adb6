"""The folder of a wallet: who the client is, which ledger it works for, and what it must not lose.

account.json       key file of the ledger account, which pays for transactions and is paid rewards
signature.json     key file of the ML-DSA key, which signs local gradients
next-signature.json    the key that is about to replace it, while a rotation is under way
retired/           key files of keys that were replaced
wallet.toml        the network's name, and where deployment record and configuration are
deployment.json    the ledger's deployment record
config.toml        the configuration that everybody on the ledger shares
wallet.sqlite      sequence number, pending updates, receipts (see bflmec/client/store.py)
blobs/             global gradients
lock               held by the process that uses the wallet
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from bflmec.crypto.keys import key_digest, new_identity
from bflmec.crypto.keystore import (
    ACCOUNT_SCHEME,
    LIGHT_WORK,
    STANDARD_WORK,
    StoredKey,
    describe_key,
    read_key,
    read_password,
    write_key,
)
from bflmec.crypto.schemes import SigningKey, signature_scheme
from bflmec.errors import KeystoreError, WalletError
from bflmec.files import create_atomically, sync_folder, write_atomically

_MAX_SETTINGS = 1 << 16


@dataclass(frozen=True, kw_only=True)
class WalletSettings:
    """`wallet.toml`. Relative paths count from the wallet's folder."""

    network: str = "local"
    networks: str = ""
    """File that declares networks; empty: the usual places."""
    deployment: str = "deployment.json"
    config: str = "config.toml"
    ipfs: str = ""
    """Address of an IPFS daemon that is asked for global gradients before edge nodes are; empty: none."""
    prefer: str = ""
    """Ids of edge nodes, with commas, that are asked first, in this order; the others by distance."""


@dataclass(frozen=True, eq=False, repr=False)
class WalletKeys:
    """The account's private key (32 bytes), and the ML-DSA key with the name of its scheme."""

    account_key: bytes
    scheme: str
    signing_key: SigningKey

    @property
    def key_digest(self) -> bytes:
        """SHA-256 of the ML-DSA public key, as the ledger registers it."""
        return key_digest(self.signing_key.public_key)


class WalletDirectory:
    """A wallet's folder. Every method raises WalletError or KeystoreError if files are missing, damaged or unsafe."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock: int | None = None

    @property
    def account_file(self) -> Path:
        return self.path / "account.json"

    @property
    def signature_file(self) -> Path:
        return self.path / "signature.json"

    @property
    def next_signature_file(self) -> Path:
        return self.path / "next-signature.json"

    @property
    def password_file(self) -> Path:
        return self.path / "password"

    @property
    def database_file(self) -> Path:
        return self.path / "wallet.sqlite"

    @property
    def settings_file(self) -> Path:
        return self.path / "wallet.toml"

    @property
    def blobs(self) -> Path:
        return self.path / "blobs"

    # ---------------------------------------------------------------- making and finding one

    @classmethod
    def create(
        cls,
        path: str | Path,
        password: bytes | None = None,
        *,
        scheme: str = "ML-DSA-44",
        light: bool = False,
        settings: WalletSettings | None = None,
        deployment: Path | None = None,
        config: Path | None = None,
    ) -> WalletDirectory:
        """A new wallet with keys from the operating system's randomness, mode 0700, its key files 0600.

        Without a password one is drawn and left in the folder. `light` keys are quick to open, and a password that
        somebody thought of is quick to guess then. `deployment` and `config` are copied into the folder. Interrupted,
        it can be called again; a complete wallet is never overwritten.
        """
        directory = cls(path)
        if directory.account_file.exists() and directory.signature_file.exists():
            raise WalletError(f"{directory.path} is a wallet already; choose another folder")
        try:
            directory.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for source, name in ((deployment, "deployment.json"), (config, "config.toml")):
                if source is not None:
                    write_atomically(directory.path / name, source.read_bytes())
            directory.write_settings(settings or WalletSettings())
            if password is None:
                # Drawn at random, a password needs no costly derivation to withstand guessing.
                password, light = directory._draw_password(), True
        except OSError as error:
            raise WalletError(f"can't make the wallet {directory.path}: {error.strerror or error}") from error
        identity, work = new_identity(), LIGHT_WORK if light else STANDARD_WORK
        name = signature_scheme(scheme).name
        if not directory.signature_file.exists():
            write_key(directory.signature_file, StoredKey(name, identity.seed), password, work)
        if not directory.account_file.exists():
            write_key(directory.account_file, StoredKey(ACCOUNT_SCHEME, identity.account_key), password, work)
        return directory

    def _draw_password(self) -> bytes:
        if not self.password_file.exists():
            create_atomically(self.password_file, secrets.token_hex(32).encode() + b"\n")
        return read_password(self.password_file)

    @classmethod
    def open(cls, path: str | Path) -> WalletDirectory:
        """An existing wallet."""
        directory = cls(path)
        for file in (directory.account_file, directory.signature_file):
            if not file.is_file():
                raise WalletError(f"{path} is no wallet ({file.name} is missing); make one: bflmec client init {path}")
        return directory

    def write_settings(self, settings: WalletSettings) -> None:
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in asdict(settings).items()]
        write_atomically(self.settings_file, "".join(lines).encode())

    def settings(self) -> WalletSettings:
        """What `wallet.toml` says; the defaults where it says nothing."""
        try:
            data = self.settings_file.read_bytes() if self.settings_file.exists() else b""
            if len(data) > _MAX_SETTINGS:
                raise WalletError(f"{self.settings_file} is longer than any settings")
            document = tomllib.loads(data.decode())
        except OSError as error:
            raise WalletError(f"can't read {self.settings_file}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise WalletError(f"{self.settings_file} is not TOML: {error}") from error
        known = asdict(WalletSettings())
        for key, value in document.items():
            if key not in known or not isinstance(value, str):
                raise WalletError(f"{self.settings_file}: {key} is no setting; there are {', '.join(known)}, all texts")
        settings = WalletSettings(**document)
        if not all(part.strip().isdecimal() for part in settings.prefer.split(",") if settings.prefer):
            raise WalletError(f"{self.settings_file}: prefer is ids of edge nodes with commas, not {settings.prefer!r}")
        return settings

    def resolve(self, path: str) -> Path:
        """A path from the settings."""
        return self.path / path

    # ---------------------------------------------------------------- keys

    def password(self) -> bytes:
        """The password that was left in the folder."""
        if not self.password_file.exists():
            raise KeystoreError(f"the password of {self.path} is not in the folder; give it, or --password-file")
        return read_password(self.password_file)

    def keys(self, password: bytes) -> WalletKeys:
        """Opens both key files."""
        account = read_key(self.account_file, password)
        if account.scheme != ACCOUNT_SCHEME:
            raise KeystoreError(f"{self.account_file} holds a signature key, not that of a ledger account")
        return self._keys(account.secret, read_key(self.signature_file, password))

    def next_keys(self, password: bytes) -> WalletKeys | None:
        """The keys after the rotation that was begun, None if none was."""
        if not self.next_signature_file.exists():
            return None
        return self._keys(read_key(self.account_file, password).secret, read_key(self.next_signature_file, password))

    def _keys(self, account_key: bytes, signature: StoredKey) -> WalletKeys:
        if signature.scheme == ACCOUNT_SCHEME:
            raise KeystoreError(f"{self.signature_file} holds a ledger account's key; local gradients need ML-DSA")
        return WalletKeys(account_key, signature.scheme, signature_scheme(signature.scheme).from_seed(signature.secret))

    def begin_rotation(self, password: bytes, *, light: bool = False) -> None:
        """Writes the next signature key, of the same scheme, if there is none yet."""
        if self.next_signature_file.exists():
            return
        scheme = describe_key(self.signature_file).scheme
        work = LIGHT_WORK if light else STANDARD_WORK
        write_key(self.next_signature_file, StoredKey(scheme, new_identity().seed), password, work)

    def finish_rotation(self) -> None:
        """The next key becomes the key; the old one is kept under `retired/`."""
        retired = self.path / "retired"
        old = retired / f"{describe_key(self.signature_file).public_id[:16]}.json"
        try:
            retired.mkdir(mode=0o700, exist_ok=True)
            if not old.exists():
                os.link(self.signature_file, old)
                sync_folder(retired)
            os.rename(self.next_signature_file, self.signature_file)
            sync_folder(self.path)
        except OSError as error:
            raise WalletError(f"can't put the new key in place in {self.path}: {error.strerror}") from error

    def cancel_rotation(self) -> None:
        """Forgets a next key that was never registered."""
        self.next_signature_file.unlink(missing_ok=True)

    # ---------------------------------------------------------------- one process at a time

    def lock(self) -> None:
        """Only one process may sign for a client. Raises WalletError if another one does."""
        try:
            descriptor = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise WalletError(f"can't lock {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise WalletError(f"another process uses the wallet {self.path}; wait until it has ended") from error
        self._lock = descriptor

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
