"""Certificates in Python accept and refuse exactly what ECDSACertificates.sol does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_tools import FIRST, OWNER, SECOND, World, digest

from bflmec.errors import LedgerRevertedError, SignatureError
from bflmec.ledger.certificates import DOMAIN, ENTRY_SIZE, ECDSACertifier, assemble, signer, signers
from bflmec.ledger.certificates import digest as certified_digest
from bflmec.ledger.interface import interface

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
GOLDEN = (
    "12e61bf77967cfb1a991dd82a325574f5c008660d2eb3a968f3c093ae713b7f5"
    "1a51e8c341ec021856718e06d5fcdd4e8354dce14c72d31edc232ab444fa3409"
    "1b"
)
BLOCK = digest("block")
CERTIFIERS = [ECDSACertifier(bytes(account.key)) for account in (OWNER, FIRST, SECOND)]
ENTRIES = {certifier.account: certifier.sign(BLOCK) for certifier in CERTIFIERS}


@pytest.fixture(scope="module")
def world() -> World:
    return World.start()


def contract_signers(world: World, certificate: bytes) -> tuple[bytes, ...]:
    contract = interface("ECDSACertificates")
    data = contract.encode("signers", BLOCK, certificate)
    (accounts,) = contract.decode("signers", world.client.sender.call(world.deployment.certificates, data))
    return tuple(bytes.fromhex(account[2:]) for account in accounts)


def test_the_digest_is_the_contracts(world: World) -> None:
    contract = interface("ECDSACertificates")
    data = contract.encode("digest", BLOCK)
    assert contract.decode("digest", world.client.sender.call(world.deployment.certificates, data)) == (
        certified_digest(BLOCK),
    )
    data = contract.encode("DOMAIN")
    assert contract.decode("DOMAIN", world.client.sender.call(world.deployment.certificates, data)) == (DOMAIN,)


def test_entries_are_deterministic() -> None:
    entry = ECDSACertifier(bytes([7]) * 32).sign(bytes(32))
    assert entry == ECDSACertifier(bytes([7]) * 32).sign(bytes(32))
    assert entry.hex() == GOLDEN


def test_an_entry_names_its_signer() -> None:
    for account, entry in ENTRIES.items():
        assert signer(BLOCK, entry) == account
        assert CERTIFIERS[0].holds(BLOCK, account, entry)
        assert not CERTIFIERS[0].holds(digest("other"), account, entry)
        assert not CERTIFIERS[0].holds(BLOCK, b"\x01" * 20, entry)
        assert not CERTIFIERS[0].holds(BLOCK, account, entry[:-1])


def test_a_certificate_is_sorted_by_account(world: World) -> None:
    certificate = assemble(dict(reversed(ENTRIES.items())))
    assert signers(BLOCK, certificate) == tuple(sorted(ENTRIES)) == contract_signers(world, certificate)


def flipped(entry: bytes) -> bytes:
    """The other of the two valid signatures, which the contract refuses (EIP-2)."""
    s = ORDER - int.from_bytes(entry[32:64], "big")
    return entry[:32] + s.to_bytes(32, "big") + bytes([55 - entry[64]])


one, two, three = (ENTRIES[account] for account in sorted(ENTRIES))


@pytest.mark.parametrize(
    "certificate",
    [
        b"",
        one[:-1],
        one + b"\0",
        two + one,
        one + one,
        flipped(one),
        one[:64] + b"\x1d",
        one[:64] + b"\x00",
        bytes(64) + b"\x1b",
        b"\xff" * 64 + b"\x1b",
        one + two[:64] + b"\x00" + three,
    ],
    ids=["empty", "short", "long", "unsorted", "twice", "high s", "v 29", "v 0", "zeros", "r too large", "one bad"],
)
def test_what_the_contract_refuses_is_refused(world: World, certificate: bytes) -> None:
    with pytest.raises(SignatureError):
        signers(BLOCK, certificate)
    with pytest.raises(LedgerRevertedError) as caught:
        contract_signers(world, certificate)
    assert caught.value.name.startswith("Certificates")


@settings(deadline=None, max_examples=60)
@given(position=st.integers(0, 3 * ENTRY_SIZE - 1), mask=st.integers(1, 255))
def test_a_changed_certificate_means_the_same_to_both(world: World, position: int, mask: int) -> None:
    damaged = bytearray(one + two + three)
    damaged[position] ^= mask
    try:
        ours: object = signers(BLOCK, bytes(damaged))
    except SignatureError:
        ours = None
    try:
        theirs: object = contract_signers(world, bytes(damaged))
    except LedgerRevertedError:
        theirs = None
    assert ours == theirs != tuple(sorted(ENTRIES))


@pytest.mark.parametrize("key", [b"", b"\0" * 32, b"\xff" * 32, b"\1" * 31])
def test_a_key_that_is_none_is_refused(key: bytes) -> None:
    with pytest.raises(SignatureError):
        ECDSACertifier(key)
