"""XMSS: a Merkle tree over WOTS+ one-time keys, as contracts/XMSS.sol checks it.

A tree of height h has 2^h one-time keys. A key pair is a seed of 32 bytes and the tree that follows from it; making the
tree costs about 0.7 ms a key, so it is kept in a file: every node of it is public, the seed is not in there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from bflmec.crypto import wots
from bflmec.crypto.wots import CONTEXT_SIZE, HASH_SIZE, NODE, SIGNATURE_SIZE, keccak, tweak
from bflmec.errors import KeystoreError, SignatureError
from bflmec.files import write_atomically

MIN_HEIGHT: Final = 4
MAX_HEIGHT: Final = 20
DEFAULT_HEIGHT: Final = 12
SEED_SIZE: Final = 32
SHORT: Final = 400

_DOMAIN = b"BFL-MEC/v1/xmss".ljust(32, b"\0")
_MAGIC = b"BFL-MEC/v1/xmss-tree"


def context_of(chain_id: int, contract: bytes, account: bytes, epoch: int) -> bytes:
    """What every tweak of a tree starts with, 24 bytes: no hash of one tree says anything about another one's."""
    words = (
        chain_id.to_bytes(32, "big"),
        contract.rjust(32, b"\0"),
        account.rjust(32, b"\0"),
        epoch.to_bytes(32, "big"),
    )
    return keccak(_DOMAIN + b"".join(words))[:CONTEXT_SIZE]


def message_digest(context: bytes, leaf: int, salt: int, asker: bytes, message: bytes) -> bytes:
    """What a one-time key signs for a message (32 bytes): it binds the key, and the contract (20 bytes) that asks."""
    place = context + leaf.to_bytes(4, "big") + bytes([wots.MESSAGE, 0]) + salt.to_bytes(2, "big")
    return keccak(place + asker.rjust(32, b"\0") + message)


def short_salt(context: bytes, leaf: int, asker: bytes, message: bytes) -> int:
    """The least salt whose digest leaves at most SHORT steps to verify, instead of 498 on average: each costs 72 gas.

    One in 250 does, so that none among 65,536 is not to be expected before the sun burns out.
    """
    return next(
        salt for salt in range(1 << 16) if wots.steps(message_digest(context, leaf, salt, asker, message)) <= SHORT
    )


@dataclass(frozen=True, repr=False)
class Tree:
    """All nodes of a tree, 32 bytes each, from the leaves up: 2^(height + 1) - 1 of them."""

    context: bytes
    height: int
    nodes: bytes

    @property
    def root(self) -> bytes:
        return self.nodes[-HASH_SIZE:]

    def path(self, leaf: int) -> bytes:
        """The siblings from a leaf up to the root, 32 bytes each."""
        siblings, level = [], 0
        for height in range(self.height):
            siblings.append(_node(self.nodes, level + (leaf >> height ^ 1)))
            level += 1 << self.height - height
        return b"".join(siblings)


def grow(seed: bytes, context: bytes, height: int, report: Callable[[int], None] | None = None) -> Tree:
    """The tree of a seed. `report` hears how many keys are ready. Raises SignatureError on an impossible height, seed
    or context."""
    if not MIN_HEIGHT <= height <= MAX_HEIGHT:
        raise SignatureError(f"a tree of one-time keys has a height of {MIN_HEIGHT} to {MAX_HEIGHT}, not {height}")
    if len(seed) != SEED_SIZE or len(context) != CONTEXT_SIZE:
        raise SignatureError(f"a tree follows from a seed of {SEED_SIZE} bytes and a context of {CONTEXT_SIZE}")
    level = []
    for leaf in range(1 << height):
        level.append(wots.public_key(seed, context, leaf))
        if report is not None:
            report(leaf + 1)
    nodes = [*level]
    for above in range(1, height + 1):
        level = [
            _parent(context, above, index, level[2 * index], level[2 * index + 1]) for index in range(len(level) // 2)
        ]
        nodes += level
    return Tree(context, height, b"".join(nodes))


def sign(seed: bytes, tree: Tree, leaf: int, digest: bytes) -> bytes:
    """One-time signature and path. Checked before it is given out: a fault in memory or in the tree's file would else
    reveal a second point of a chain. Raises SignatureError if it does not lead to the tree's root."""
    if not 0 <= leaf < 1 << tree.height:
        raise SignatureError(f"a tree of height {tree.height} has no key {leaf}")
    signature = wots.sign(seed, tree.context, leaf, digest) + tree.path(leaf)
    if recover(tree.context, leaf, digest, signature) != tree.root:
        raise SignatureError("the tree of one-time keys is damaged, or belongs to another seed; delete its file")
    return signature


def recover(context: bytes, leaf: int, digest: bytes, signature: bytes) -> bytes:
    """The root that a signature leads to. Raises SignatureError if no signature has that size."""
    node = wots.recover(context, leaf, digest, signature[:SIGNATURE_SIZE])
    path = signature[SIGNATURE_SIZE:]
    if len(path) % HASH_SIZE or len(path) > HASH_SIZE * MAX_HEIGHT:
        raise SignatureError("a path is whole hashes, one for each level")
    for height in range(1, len(path) // HASH_SIZE + 1):
        sibling = _node(path, height - 1)
        left, right = (sibling, node) if leaf >> height - 1 & 1 else (node, sibling)
        node = _parent(context, height, leaf >> height, left, right)
    return node


def save_tree(path: Path, tree: Tree) -> None:
    """Write a tree's file, mode 0600, whole or not at all. Raises KeystoreError if that fails."""
    content = _MAGIC + tree.context + bytes([tree.height]) + tree.nodes
    try:
        write_atomically(path, content + sha256(content).digest())
    except OSError as error:
        raise KeystoreError(f"the tree of one-time keys can't be written to {path}: {error.strerror}") from error


def load_tree(path: Path, context: bytes, height: int) -> Tree | None:
    """The tree of that context and height, None if there is no such file. Raises KeystoreError if the file is damaged,
    readable by others, or of another tree."""
    size = len(_MAGIC) + CONTEXT_SIZE + 1 + HASH_SIZE * ((2 << height) - 1) + HASH_SIZE
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise KeystoreError(f"{path} can be read or changed by others; run: chmod 600 {path}")
            data = file.read(size + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeystoreError(f"can't read {path}: {error.strerror}") from error
    start, nodes, digest = (
        data[: size - HASH_SIZE],
        data[len(_MAGIC) + CONTEXT_SIZE + 1 : -HASH_SIZE],
        data[-HASH_SIZE:],
    )
    head = _MAGIC + context + bytes([height])
    if len(data) != size or not data.startswith(head) or sha256(start).digest() != digest:
        raise KeystoreError(f"{path} is damaged or of another tree; delete it, it will be made anew")
    return Tree(context, height, nodes)


def _parent(context: bytes, height: int, index: int, left: bytes, right: bytes) -> bytes:
    return keccak(tweak(context, NODE, index, height) + left + right)


def _node(nodes: bytes, index: int) -> bytes:
    return nodes[HASH_SIZE * index : HASH_SIZE * (index + 1)]
