"""Identities of participants: a ledger account and an ML-DSA key.

In real use both are drawn from the operating system's randomness. In a simulation they derive from the run's seed:

    HKDF-SHA256(key = run seed in 32 bytes, salt = "BFL-MEC/v1/keys", info = "<role>/<number>/<purpose>")
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from bflmec.crypto.schemes import SEED_SIZE, SignatureScheme, SigningKey, Unpicklable
from bflmec.errors import SignatureError

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ACCOUNT_KEY_SIZE: Final = 32
_SALT: Final = b"BFL-MEC/v1/keys"
# Sixteen bytes more than the order has: reducing them leaves a bias below 2^-128.
_WIDE_SIZE: Final = ACCOUNT_KEY_SIZE + 16


class Role(StrEnum):
    CLIENT = "client"
    EDGE_NODE = "edge-node"
    OWNER = "owner"


@dataclass(frozen=True, slots=True, repr=False)
class Identity(Unpicklable):
    """The secrets of one participant: the secp256k1 key of its ledger account and the seed of its ML-DSA key, 32 bytes
    each. Raises SignatureError on impossible ones."""

    account_key: bytes
    seed: bytes

    def __post_init__(self) -> None:
        check_account_key(self.account_key)
        if len(self.seed) != SEED_SIZE:
            raise SignatureError(f"a signing key's seed has {SEED_SIZE} bytes, not {len(self.seed)}")

    @property
    def address(self) -> bytes:
        """The ledger account's address, 20 bytes."""
        return account_address(self.account_key)

    def account(self) -> LocalAccount:
        """The ledger account as web3 takes it."""
        from eth_account import Account

        account: LocalAccount = Account.from_key(self.account_key)
        return account

    def signing_key(self, scheme: SignatureScheme) -> SigningKey:
        return scheme.from_seed(self.seed)


def new_identity() -> Identity:
    """An identity from the operating system's randomness."""
    return Identity(_reduce(os.urandom(_WIDE_SIZE)), os.urandom(SEED_SIZE))


def derived_identity(run_seed: int, role: Role, number: int) -> Identity:
    """The identity of participant `number` in the simulation of `run_seed` (0 ≤ run_seed < 2^256). Whoever knows the
    run's seed knows these keys: never use them on a network of value."""
    return Identity(
        _reduce(_derive(run_seed, f"{role}/{number}/account", _WIDE_SIZE)),
        _derive(run_seed, f"{role}/{number}/signature", SEED_SIZE),
    )


def derived_seed(run_seed: int, role: Role, number: int, purpose: str, size: int) -> bytes:
    """`size` bytes of secret for another purpose of the same participant, with the same warning."""
    return _derive(run_seed, f"{role}/{number}/{purpose}", size)


def key_digest(public_key: bytes) -> bytes:
    """SHA-256 of a public key, as the ledger registers it."""
    return sha256(public_key).digest()


def account_address(account_key: bytes) -> bytes:
    """The 20-byte address of a secp256k1 private key of 32 bytes."""
    from eth_keys.datatypes import PrivateKey

    address: bytes = PrivateKey(account_key).public_key.to_canonical_address()
    return address


def check_account_key(account_key: bytes) -> None:
    """Raises SignatureError unless this is a private key of secp256k1, 32 bytes big-endian."""
    if len(account_key) != ACCOUNT_KEY_SIZE or not 0 < int.from_bytes(account_key, "big") < SECP256K1_ORDER:
        raise SignatureError("a ledger account's key is 32 bytes and between 1 and the order of secp256k1")


def _derive(run_seed: int, info: str, size: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), size, _SALT, info.encode()).derive(run_seed.to_bytes(32, "big"))


def _reduce(wide: bytes) -> bytes:
    return (int.from_bytes(wide, "big") % (SECP256K1_ORDER - 1) + 1).to_bytes(ACCOUNT_KEY_SIZE, "big")
