"""ECDSACertificates: which accounts a certificate proves, and which bytes it refuses."""

from __future__ import annotations

import pytest
from consortium import DOMAIN, Consortium, certify, digest, edge_node_key, entry, reverts
from eth_hash.auto import keccak
from eth_keys.constants import SECPK1_N
from eth_tester.exceptions import TransactionFailed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HASH = digest("header")
KEYS = sorted((edge_node_key(i) for i in range(5)), key=lambda key: key.public_key.to_canonical_address())
ADDRESSES = [key.public_key.to_canonical_address() for key in KEYS]


def signers(consortium: Consortium, certificate: bytes, header_hash: bytes = HASH) -> list[bytes]:
    found = consortium.certificates.functions.signers(header_hash, certificate).call()
    return [bytes.fromhex(account[2:]) for account in found]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_signers_names_who_signed(consortium: Consortium, count: int) -> None:
    assert signers(consortium, certify(HASH, KEYS[:count])) == ADDRESSES[:count]


def test_digest_is_the_domain_and_the_header_hash(consortium: Consortium) -> None:
    assert consortium.certificates.functions.DOMAIN().call() == DOMAIN
    assert consortium.certificates.functions.digest(HASH).call() == keccak(DOMAIN + HASH)


def test_signers_does_not_take_a_signature_over_the_bare_header_hash(consortium: Consortium) -> None:
    signature = KEYS[0].sign_msg_hash(HASH)
    bare = signature.r.to_bytes(32, "big") + signature.s.to_bytes(32, "big") + bytes([27 + signature.v])
    assert signers(consortium, bare) != [ADDRESSES[0]]


def test_signers_refuses_entries_out_of_order(consortium: Consortium) -> None:
    with reverts("CertificatesNotAscending", 1, ADDRESSES[0]):
        signers(consortium, entry(HASH, KEYS[1]) + entry(HASH, KEYS[0]))


def test_signers_refuses_a_duplicate(consortium: Consortium) -> None:
    with reverts("CertificatesNotAscending", 2, ADDRESSES[1]):
        signers(consortium, certify(HASH, KEYS[:2]) + entry(HASH, KEYS[1]))


@pytest.mark.parametrize("length", [0, 1, 64, 66, 129])
def test_signers_refuses_a_part_of_an_entry(consortium: Consortium, length: int) -> None:
    with reverts("CertificatesMalformed", length):
        signers(consortium, bytes(length))


def test_signers_refuses_the_higher_of_the_two_s(consortium: Consortium) -> None:
    low = entry(HASH, KEYS[0])
    high = (SECPK1_N - int.from_bytes(low[32:64], "big")).to_bytes(32, "big")
    with reverts("CertificatesInvalidSignature", 0):
        signers(consortium, low[:32] + high + bytes([27 + 28 - low[64]]))


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_signers_refuses_another_v(consortium: Consortium, v: int) -> None:
    with reverts("CertificatesInvalidSignature", 1):
        signers(consortium, certify(HASH, KEYS[:2])[:-1] + bytes([v]))


def test_signers_refuses_an_empty_signature(consortium: Consortium) -> None:
    with reverts("CertificatesInvalidSignature", 0):
        signers(consortium, bytes(65))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bit=st.integers(0, 65 * 8 - 1))
def test_signers_never_names_the_account_when_a_bit_is_flipped(consortium: Consortium, bit: int) -> None:
    damaged = bytearray(entry(HASH, KEYS[0]))
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        found = signers(consortium, bytes(damaged))
    except TransactionFailed:
        return
    assert found != [ADDRESSES[0]]
