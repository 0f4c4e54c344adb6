"""The Merkle tree of cumulative rewards, in the form that OpenZeppelin's MerkleProof checks.

Leaf: keccak256(keccak256(abi.encode(account, cumulative amount))). Leaves are sorted; every pair is hashed in
ascending order; an odd node moves up unchanged. The empty tree has the root of 32 zero bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from eth_hash.auto import keccak

from bflmec.errors import LedgerError

EMPTY_ROOT = bytes(32)


@lru_cache(maxsize=1 << 15)
def leaf(account: bytes, cumulative: int) -> bytes:
    """The leaf of one account (20 bytes) that is owed `cumulative` units in all, claimed or not."""
    return keccak(keccak(account.rjust(32, b"\0") + cumulative.to_bytes(32, "big")))


def _pair(left: bytes, right: bytes) -> bytes:
    return keccak(left + right if left < right else right + left)


def _level_above(level: list[bytes]) -> list[bytes]:
    above = [_pair(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return above + level[len(level) & ~1 :]


def _leaves(balances: Mapping[bytes, int]) -> list[bytes]:
    return sorted(leaf(account, amount) for account, amount in balances.items())


def root(balances: Mapping[bytes, int]) -> bytes:
    """Root over cumulative amounts by account."""
    level = _leaves(balances)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        level = _level_above(level)
    return level[0]


def proof(balances: Mapping[bytes, int], account: bytes) -> list[bytes]:
    """The siblings from the account's leaf up to the root. Raises LedgerError if the account is owed nothing."""
    if account not in balances:
        raise LedgerError(f"no reward was ever recorded for 0x{account.hex()}")
    level = _leaves(balances)
    index = level.index(leaf(account, balances[account]))
    siblings = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            siblings.append(level[sibling])
        level = _level_above(level)
        index //= 2
    return siblings


def verify(root_: bytes, account: bytes, cumulative: int, siblings: list[bytes]) -> bool:
    """Whether the proof leads from the account's leaf to the root."""
    node = leaf(account, cumulative)
    for sibling in siblings:
        node = _pair(node, sibling)
    return node == root_
