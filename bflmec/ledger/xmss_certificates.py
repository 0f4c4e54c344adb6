"""Certificates of hash-based signatures, byte for byte as XMSSCertificates.sol reads them.

An entry is account (20 bytes), epoch (4), index (4), salt (2), the one-time signature (2,144) and 32 bytes for each
level of the tree. A certificate is its entries in ascending order of their signers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from eth_hash.auto import keccak

from bflmec.crypto import xmss
from bflmec.crypto.one_time_keys import OneTimeKeys, OneTimeSignature
from bflmec.crypto.wots import SIGNATURE_SIZE
from bflmec.errors import KeystoreError, SignatureError
from bflmec.ledger.interface import interface
from bflmec.ledger.sender import Sender

HEAD_SIZE = 30
_REPLACEMENT = b"BFL-MEC/v1/xmss/replacement"


class Tree(NamedTuple):
    """What the contract knows of an account's newest tree; root zero: it has none."""

    root: bytes
    epoch: int
    height: int
    next_index: int


class Trees(Protocol):
    """Where the trees of all edge nodes are looked up."""

    def tree(self, account: bytes) -> Tree: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One edge node's signature in a certificate."""

    account: bytes
    epoch: int
    one_time: OneTimeSignature

    def encode(self) -> bytes:
        numbers = self.epoch.to_bytes(4, "big"), self.one_time.index.to_bytes(4, "big")
        return self.account + b"".join(numbers) + self.one_time.salt.to_bytes(2, "big") + self.one_time.signature

    @classmethod
    def decode(cls, data: bytes) -> Entry:
        """Raises SignatureError on a size that no entry has."""
        path = len(data) - HEAD_SIZE - SIGNATURE_SIZE
        if path % 32 or not 32 * xmss.MIN_HEIGHT <= path <= 32 * xmss.MAX_HEIGHT:
            raise SignatureError(f"no certificate entry has {len(data)} bytes")
        epoch, index, salt = (int.from_bytes(data[start:end], "big") for start, end in ((20, 24), (24, 28), (28, 30)))
        return cls(data[:20], epoch, OneTimeSignature(index, salt, data[HEAD_SIZE:]))

    def root(self, chain_id: int, contract: bytes, asker: bytes, message: bytes) -> bytes:
        """The root that the signature leads to, for a message (32 bytes) to the contract `asker`."""
        context = xmss.context_of(chain_id, contract, self.account, self.epoch)
        digest = xmss.message_digest(context, self.one_time.index, self.one_time.salt, asker, message)
        return xmss.recover(context, self.one_time.index, digest, self.one_time.signature)


def assemble(entries: Mapping[bytes, bytes]) -> bytes:
    """The certificate of entries by account."""
    return b"".join(entries[account] for account in sorted(entries))


def replacement_hash(root: bytes, height: int) -> bytes:
    """What an edge node's tree signs, for the certificates contract, to name the next one. 32 bytes."""
    text = len(_REPLACEMENT).to_bytes(32, "big") + _REPLACEMENT.ljust(32, b"\0")
    return bytes(keccak((0x60).to_bytes(32, "big") + root + height.to_bytes(32, "big") + text))


@dataclass(frozen=True, slots=True)
class Replacement:
    """A new tree and the old one's signature over it, ready for `XMSSCertificatesClient.replace_tree`."""

    root: bytes
    height: int
    entry: bytes


class XMSSCertificatesClient:
    """Typed client of XMSSCertificates.sol. Raises LedgerRevertedError when it refuses, LedgerError when the chain
    does."""

    def __init__(self, sender: Sender, address: bytes) -> None:
        self.address = address
        self._sender = sender
        self._interface = interface("XMSSCertificates")

    def tree(self, account: bytes) -> Tree:
        """The newest tree of an account."""
        return Tree(*self._read("tree", account)[0])

    def root_at(self, account: bytes, epoch: int) -> bytes:
        """The root of an account's tree of that epoch; zero bytes if there was none."""
        return bytes(self._read("rootAt", account, epoch)[0])

    def signer(self, asker: bytes, message: bytes, entry: bytes) -> bytes:
        """Whose signature an entry is, also when its key was used since."""
        return bytes(self._read("signer", asker, message, entry)[0])

    def enroll(self, account: bytes, root: bytes, height: int) -> None:
        """Give an account its first tree, or another one for one that it lost (the registry's owner)."""
        self._write("enroll", account, root, height)

    def replace_tree(self, replacement: Replacement) -> None:
        """Relay an edge node's replacement of its own tree. Anybody may."""
        self._write("replaceTree", replacement.root, replacement.height, replacement.entry)

    def enroll_call(self, account: bytes, root: bytes, height: int) -> bytes:
        """The calldata of `enroll`, for a government to decide on."""
        return self._interface.encode("enroll", account, root, height)

    def _read(self, function: str, *arguments: object) -> tuple[Any, ...]:
        data = self._interface.encode(function, *arguments)
        return self._interface.decode(function, self._sender.call(self.address, data))

    def _write(self, function: str, *arguments: object) -> None:
        data = self._interface.encode(function, *arguments)
        self._sender.send(self.address, data, self._sender.estimate(self.address, data))


@dataclass(frozen=True, slots=True)
class CertificateKeys:
    """Where one edge node's one-time keys live: chain, certificates contract (20 bytes), account (20 bytes), seed (32
    bytes) and the folder of trees and journals, which nobody else may read."""

    chain_id: int
    contract: bytes
    account: bytes
    seed: bytes
    folder: Path

    def open(self, epoch: int, height: int, report: Callable[[int], None] | None = None) -> OneTimeKeys:
        """The keys of the account's tree of that epoch. See `OneTimeKeys`."""
        context = xmss.context_of(self.chain_id, self.contract, self.account, epoch)
        return OneTimeKeys(self.seed, context, height, self.folder, report)

    def __repr__(self) -> str:
        return f"<CertificateKeys of 0x{self.account.hex()}>"


class XMSSCertifier:
    """Certifies with one edge node's one-time keys, for the contract `asker`: a ledger or a government.

    A `bflmec.protocol.ports.Certifier`. Before a key signs, its use is on disk; the next free one is the later of what
    the journal and what the contract says. `sign` raises KeystoreError if the contract has another tree than this seed
    gives, KeysExhaustedError when the tree is used up: replace it before (`remaining`, `replacement`).
    """

    def __init__(self, keys: CertificateKeys, trees: Trees, asker: bytes) -> None:
        self.account = keys.account
        self._place = keys
        self._trees = trees
        self._asker = asker
        self._epoch = 0
        self._keys: OneTimeKeys | None = None

    def sign(self, block: bytes) -> bytes:
        """This edge node's entry for a hash (32 bytes); the same one for the same hash while the contract takes it."""
        tree, keys = self._current()
        return Entry(self.account, tree.epoch, keys.sign(self._asker, block, tree.next_index)).encode()

    def holds(self, block: bytes, account: bytes, entry: bytes) -> bool:
        """Whether `entry` is the account's for that hash, and the contract would take it now."""
        try:
            parsed = Entry.decode(entry)
        except SignatureError:
            return False
        tree = self._trees.tree(account)
        if parsed.account != account or parsed.epoch != tree.epoch or parsed.one_time.index < tree.next_index:
            return False
        return parsed.root(self._place.chain_id, self._place.contract, self._asker, block) == tree.root

    def assemble(self, entries: Mapping[bytes, bytes]) -> bytes:
        """The certificate of entries by account."""
        return assemble(entries)

    @property
    def remaining(self) -> int:
        """How many hashes the tree can still sign."""
        return self._current()[1].remaining

    def replacement(self, height: int, report: Callable[[int], None] | None = None) -> Replacement:
        """The next tree, made and stored, and this one's signature over it: also when no other key is left."""
        tree, keys = self._current()
        with self._place.open(tree.epoch + 1, height, report) as successor:
            root = successor.root
        signed = keys.sign_successor(self._place.contract, replacement_hash(root, height), tree.next_index)
        return Replacement(root, height, Entry(self.account, tree.epoch, signed).encode())

    def close(self) -> None:
        """Let go of the journal, for another process."""
        if self._keys is not None:
            self._keys.close()
            self._keys = None

    def _current(self) -> tuple[Tree, OneTimeKeys]:
        tree = self._trees.tree(self.account)
        if self._keys is None or self._epoch != tree.epoch:
            self.close()
            if not tree.epoch:
                raise KeystoreError(f"0x{self.account.hex()} has no tree of one-time keys yet: have it enrolled")
            self._keys, self._epoch = self._place.open(tree.epoch, tree.height), tree.epoch
        if self._keys.root != tree.root:
            self.close()
            raise KeystoreError(f"the tree that is enrolled for 0x{self.account.hex()} is not of this seed")
        return tree, self._keys
