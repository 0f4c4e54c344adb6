"""ECDSA certificates over a block hash, byte for byte as ECDSACertificates.sol reads them.

An entry is r (32 bytes), s (32, the lower of the two), v (1, 27 or 28): the signature of an edge node's ledger account
over keccak256(domain || block hash), deterministic (RFC 6979). A certificate is its entries in ascending order of
their signers.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey, Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from bflmec.errors import SignatureError

DOMAIN = b"BFL-MEC/v1/certificate"
ENTRY_SIZE = 65

_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


def digest(block_hash: bytes) -> bytes:
    """What an edge node signs to certify a block: keccak256(DOMAIN || block hash). 32 bytes."""
    return bytes(keccak(DOMAIN + block_hash))


def signer(block_hash: bytes, entry: bytes) -> bytes:
    """The account (20 bytes) whose signature an entry is. Raises SignatureError on anything the contract refuses."""
    if len(entry) != ENTRY_SIZE:
        raise SignatureError(f"a certificate entry has {ENTRY_SIZE} bytes, not {len(entry)}")
    r, s, v = int.from_bytes(entry[:32], "big"), int.from_bytes(entry[32:64], "big"), entry[64]
    if s > _HALF_ORDER or v not in (27, 28):
        raise SignatureError("a certificate entry is not in its canonical form: lower s, v 27 or 28")
    try:
        key = Signature(vrs=(v - 27, r, s)).recover_public_key_from_msg_hash(digest(block_hash))
    except (BadSignature, ValidationError, ValueError) as error:
        raise SignatureError("a certificate entry holds no signature") from error
    return bytes(key.to_canonical_address())


def signers(block_hash: bytes, certificate: bytes) -> tuple[bytes, ...]:
    """The accounts that certified a block, strictly ascending. Raises SignatureError where the contract reverts."""
    if not certificate or len(certificate) % ENTRY_SIZE:
        raise SignatureError(f"a certificate is whole entries of {ENTRY_SIZE} bytes, not {len(certificate)} bytes")
    entries = [certificate[start : start + ENTRY_SIZE] for start in range(0, len(certificate), ENTRY_SIZE)]
    accounts = tuple(signer(block_hash, entry) for entry in entries)
    if any(left >= right for left, right in pairwise(accounts)):
        raise SignatureError("the entries of a certificate do not ascend strictly by their signers")
    return accounts


def assemble(entries: Mapping[bytes, bytes]) -> bytes:
    """The certificate of entries by account."""
    return b"".join(entries[account] for account in sorted(entries))


class ECDSACertifier:
    """Certifies with one edge node's ledger key (32 bytes). Raises SignatureError if it is no key."""

    def __init__(self, private_key: bytes) -> None:
        try:
            self._key = PrivateKey(private_key)
            self.account = bytes(self._key.public_key.to_canonical_address())
        except (ValidationError, ValueError) as error:
            raise SignatureError("the ledger key of an edge node is a secp256k1 key of 32 bytes") from error

    def sign(self, block: bytes) -> bytes:
        """This edge node's entry for a block hash."""
        signature = self._key.sign_msg_hash(digest(block))
        return bytes(signature.r.to_bytes(32, "big") + signature.s.to_bytes(32, "big") + bytes([27 + signature.v]))

    def holds(self, block: bytes, account: bytes, entry: bytes) -> bool:
        """Whether `entry` is the account's for that block hash."""
        try:
            return signer(block, entry) == account
        except SignatureError:
            return False

    def assemble(self, entries: Mapping[bytes, bytes]) -> bytes:
        """The certificate of entries by account."""
        return assemble(entries)
