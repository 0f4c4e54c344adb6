"""The Merkle tree of cumulative rewards, against a straightforward reference."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode as abi_encode
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from bflmec.errors import LedgerError
from bflmec.protocol import merkle

balances = st.dictionaries(st.binary(min_size=20, max_size=20), st.integers(1, 2**128 - 1), max_size=20)
some_balances = balances.filter(bool)


def reference_root(entries: dict[bytes, int]) -> bytes:
    """By recursion from the top: the left part is the greatest power of two that leaves something to the right."""
    leaves = sorted(
        keccak(keccak(abi_encode(["address", "uint256"], [who, amount]))) for who, amount in entries.items()
    )

    def subtree(nodes: list[bytes]) -> bytes:
        if len(nodes) == 1:
            return nodes[0]
        half = 1 << (len(nodes) - 1).bit_length() - 1
        return keccak(b"".join(sorted([subtree(nodes[:half]), subtree(nodes[half:])])))

    return subtree(leaves) if leaves else bytes(32)


@given(balances)
def test_the_root_is_the_reference_root(entries: dict[bytes, int]) -> None:
    assert merkle.root(entries) == reference_root(entries)


def test_a_golden_root() -> None:
    entries = {bytes([i]) * 20: i * 10**18 for i in range(1, 6)}
    assert merkle.root(entries).hex() == "a6269c01e6db90c9c0535a320f34b3798f70f7dc3a2f9e672fc35493bfe2d314"


@given(some_balances)
def test_every_account_can_prove_its_amount(entries: dict[bytes, int]) -> None:
    root = merkle.root(entries)
    for account, amount in entries.items():
        assert merkle.verify(root, account, amount, merkle.proof(entries, account))


@given(some_balances, st.integers(1, 2**64))
def test_nobody_can_prove_another_amount(entries: dict[bytes, int], more: int) -> None:
    root = merkle.root(entries)
    for account, amount in entries.items():
        assert not merkle.verify(root, account, amount + more, merkle.proof(entries, account))


@given(some_balances, st.binary(min_size=20, max_size=20))
def test_nobody_can_use_the_proof_of_another(entries: dict[bytes, int], stranger: bytes) -> None:
    for account, amount in entries.items():
        if stranger not in entries:
            assert not merkle.verify(merkle.root(entries), stranger, amount, merkle.proof(entries, account))


@given(some_balances)
def test_the_order_of_accounts_does_not_matter(entries: dict[bytes, int]) -> None:
    assert merkle.root(dict(reversed(entries.items()))) == merkle.root(entries)


def test_an_account_that_is_owed_nothing_has_no_proof() -> None:
    with pytest.raises(LedgerError, match="no reward"):
        merkle.proof({b"\x01" * 20: 5}, b"\x02" * 20)
