"""XMSSCertificates: which accounts a certificate proves, that no key is taken twice, and who may change a tree."""

from __future__ import annotations

import pytest
from consortium import Chain, Consortium, account, digest, reverts
from eth_tester.exceptions import TransactionFailed
from hash_signers import HashConsortium, HashSigner, certify, signer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web3.contract import Contract

from bflmec.crypto import xmss
from bflmec.ledger.xmss_certificates import replacement_hash

HASH = digest("header")
ASKER_INDEX = 0  # the user whose calls stand for a ledger's


@pytest.fixture
def certificates(chain: Chain, founded: Consortium) -> Contract:
    return chain.deploy("XMSSCertificates", founded.participants.address)


@pytest.fixture
def signers(chain: Chain, certificates: Contract) -> list[HashSigner]:
    found = [signer(certificates, account(index), height) for index, height in ((1, 4), (2, 4), (3, 7))]
    for one in found:
        enroll(chain, certificates, one)
    return sorted(found, key=lambda one: one.account)


def enroll(chain: Chain, certificates: Contract, one: HashSigner) -> object:
    return chain.send(certificates.functions.enroll(one.account, one.root, one.height))


def asker(chain: Chain) -> bytes:
    return bytes.fromhex(chain.user(ASKER_INDEX)[2:])


def ask(chain: Chain, certificates: Contract, certificate: bytes, message: bytes = HASH) -> list[bytes]:
    """What the asking contract is told, with the keys used up."""
    call = certificates.functions.signers(message, certificate)
    found = call.call({"from": chain.user(ASKER_INDEX)})
    chain.send(call, chain.user(ASKER_INDEX))
    return [bytes.fromhex(one[2:]) for one in found]


def next_index(certificates: Contract, one: HashSigner) -> int:
    return int(certificates.functions.tree(one.account).call()[3])


# --- certificates


@pytest.mark.parametrize("count", [1, 2, 3])
def test_signers_names_who_signed_whatever_the_height_of_their_trees(
    chain: Chain, certificates: Contract, signers: list[HashSigner], count: int
) -> None:
    found = ask(chain, certificates, certify(signers[:count], asker(chain), HASH))
    assert found == [one.account for one in signers[:count]]
    assert [next_index(certificates, one) for one in signers] == [1] * count + [0] * (3 - count)


def test_a_key_is_never_taken_twice(chain: Chain, certificates: Contract, signers: list[HashSigner]) -> None:
    entry = signers[0].entry(asker(chain), HASH)
    ask(chain, certificates, entry)
    with reverts("XMSSCertificatesUsedKey", signers[0].account, 1, 0):
        ask(chain, certificates, entry)


def test_a_key_below_one_that_was_used_is_not_taken(
    chain: Chain, certificates: Contract, signers: list[HashSigner]
) -> None:
    early, late = (signers[0].entry(asker(chain), HASH) for _ in range(2))
    ask(chain, certificates, late)
    with reverts("XMSSCertificatesUsedKey", signers[0].account, 2, 0):
        ask(chain, certificates, early)


@pytest.mark.parametrize("index", [0, 1, 14, 15])
def test_keys_may_be_left_out(chain: Chain, certificates: Contract, signers: list[HashSigner], index: int) -> None:
    assert ask(chain, certificates, signers[0].entry(asker(chain), HASH, index)) == [signers[0].account]
    assert next_index(certificates, signers[0]) == index + 1


def test_a_signature_for_one_contract_says_nothing_to_another(
    chain: Chain, certificates: Contract, signers: list[HashSigner]
) -> None:
    """So nobody can use up the keys of a certificate before the ledger that it is for."""
    entry = signers[0].entry(asker(chain), HASH)
    with reverts("CertificatesInvalidSignature", 0):
        chain.send(certificates.functions.signers(HASH, entry), chain.user(1))
    assert next_index(certificates, signers[0]) == 0


def test_signers_refuses_another_hash(chain: Chain, certificates: Contract, signers: list[HashSigner]) -> None:
    with reverts("CertificatesInvalidSignature", 0):
        ask(chain, certificates, signers[0].entry(asker(chain), HASH), digest("other"))


def test_signers_refuses_entries_out_of_order(chain: Chain, certificates: Contract, signers: list[HashSigner]) -> None:
    entries = [one.entry(asker(chain), HASH) for one in signers]
    with reverts("CertificatesNotAscending", 1, signers[0].account):
        ask(chain, certificates, entries[1] + entries[0])


def test_signers_refuses_two_entries_of_one_account(
    chain: Chain, certificates: Contract, signers: list[HashSigner]
) -> None:
    entries = [signers[0].entry(asker(chain), HASH) for _ in range(2)]
    with reverts("CertificatesNotAscending", 1, signers[0].account):
        ask(chain, certificates, entries[0] + entries[1])


def test_signers_refuses_an_empty_certificate(chain: Chain, certificates: Contract) -> None:
    with reverts("CertificatesMalformed", 0):
        ask(chain, certificates, b"")


@pytest.mark.parametrize("cut", [1, 31, 32, 128, 2144, 2301])
def test_signers_refuses_a_part_of_an_entry(
    chain: Chain, certificates: Contract, signers: list[HashSigner], cut: int
) -> None:
    entry = signers[0].entry(asker(chain), HASH)
    with reverts("CertificatesMalformed", len(entry) - cut):
        ask(chain, certificates, entry[:-cut])


def test_signers_refuses_an_account_without_a_tree(chain: Chain, certificates: Contract) -> None:
    stranger = signer(certificates, account(9))
    with reverts("XMSSCertificatesEpochMismatch", account(9), 0, 1):
        ask(chain, certificates, stranger.entry(asker(chain), HASH))
    stranger.epoch = 0
    with reverts("CertificatesInvalidSignature", 0):
        ask(chain, certificates, stranger.entry(asker(chain), HASH))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bit=st.integers(0, 8 * (30 + 2144 + 128) - 1))
def test_signers_refuses_a_flipped_bit_anywhere(
    chain: Chain, certificates: Contract, signers: list[HashSigner], bit: int
) -> None:
    damaged = bytearray(signers[0].entry(asker(chain), HASH, index=3))
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(TransactionFailed):
        certificates.functions.signers(HASH, bytes(damaged)).call({"from": chain.user(ASKER_INDEX)})


# --- evidence


def test_signer_knows_a_signature_also_when_its_key_was_used(
    chain: Chain, certificates: Contract, signers: list[HashSigner]
) -> None:
    one = signers[0]
    entry = one.entry(asker(chain), HASH)
    ask(chain, certificates, entry)
    enroll(chain, certificates, signer(certificates, one.account, 5, epoch=2))
    found = certificates.functions.signer(asker(chain), HASH, entry).call()
    assert bytes.fromhex(found[2:]) == one.account


@pytest.mark.parametrize("other", ["asker", "hash", "epoch", "signature"])
def test_signer_refuses_what_was_not_signed(
    chain: Chain, certificates: Contract, signers: list[HashSigner], other: str
) -> None:
    entry = bytearray(signers[0].entry(asker(chain), HASH))
    entry[23] += other == "epoch"
    entry[40] ^= other == "signature"
    who = account(5) if other == "asker" else asker(chain)
    with reverts("CertificatesInvalidSignature", 0):
        certificates.functions.signer(who, digest("o") if other == "hash" else HASH, bytes(entry)).call()


@pytest.mark.parametrize("size", [0, 30 + 2143, 30 + 2144 + 33, 30 + 2144 + 32 * 21])
def test_signer_refuses_a_size_that_no_entry_has(certificates: Contract, size: int) -> None:
    with reverts("CertificatesMalformed", size):
        certificates.functions.signer(account(1), HASH, bytes(size)).call()


# --- trees


def test_enroll_makes_a_tree_the_accounts(chain: Chain, certificates: Contract) -> None:
    one = signer(certificates, account(1), 6)
    ((name, event),) = chain.events(certificates, enroll(chain, certificates, one))
    assert (name, event["epoch"], event["root"], event["height"]) == ("XMSSCertificatesTreeEnrolled", 1, one.root, 6)
    assert certificates.functions.tree(one.account).call() == (one.root, 1, 6, 0)
    assert certificates.functions.rootAt(one.account, 1).call() == one.root


def test_enroll_is_for_the_owner_of_the_registry_only(chain: Chain, certificates: Contract) -> None:
    with reverts("XMSSCertificatesUnauthorized", bytes.fromhex(chain.user(0)[2:])):
        chain.send(certificates.functions.enroll(account(1), HASH, 12), chain.user(0))


@pytest.mark.parametrize(("root", "height"), [(bytes(32), 12), (HASH, 3), (HASH, 21)])
def test_enroll_refuses_an_impossible_tree(chain: Chain, certificates: Contract, root: bytes, height: int) -> None:
    with reverts("XMSSCertificatesImpossibleTree", root, height):
        chain.send(certificates.functions.enroll(account(1), root, height))


def test_replace_tree_needs_the_old_trees_signature_and_nobodys_account(
    chain: Chain, certificates: Contract, signers: list[HashSigner]
) -> None:
    old = signers[0]
    new = signer(certificates, old.account, 9, epoch=2)
    entry = old.entry(old.contract, replacement_hash(new.root, 9))
    chain.send(certificates.functions.replaceTree(new.root, 9, entry), chain.user(3))
    assert certificates.functions.tree(old.account).call() == (new.root, 2, 9, 0)
    with reverts("XMSSCertificatesEpochMismatch", old.account, 2, 1):
        ask(chain, certificates, old.entry(asker(chain), HASH))
    assert ask(chain, certificates, new.entry(asker(chain), HASH)) == [old.account]


def test_replace_tree_refuses_another_tree_than_was_signed(
    chain: Chain, certificates: Contract, signers: list[HashSigner]
) -> None:
    entry = signers[0].entry(signers[0].contract, replacement_hash(HASH, 9))
    for root, height in ((HASH, 10), (digest("other"), 9)):
        with reverts("CertificatesInvalidSignature", 0):
            chain.send(certificates.functions.replaceTree(root, height, entry))


def test_replace_tree_refuses_a_signature_that_a_ledger_was_given(
    chain: Chain, certificates: Contract, signers: list[HashSigner]
) -> None:
    entry = signers[0].entry(asker(chain), replacement_hash(HASH, 9))
    with reverts("CertificatesInvalidSignature", 0):
        chain.send(certificates.functions.replaceTree(HASH, 9, entry))


def test_replace_tree_refuses_more_than_one_entry(
    chain: Chain, certificates: Contract, signers: list[HashSigner]
) -> None:
    both = certify(signers[:2], signers[0].contract, replacement_hash(HASH, 9))
    with reverts("CertificatesMalformed", len(both)):
        chain.send(certificates.functions.replaceTree(HASH, 9, both))


def test_replace_tree_with_an_impossible_one_uses_no_key(
    chain: Chain, certificates: Contract, signers: list[HashSigner]
) -> None:
    entry = signers[0].entry(signers[0].contract, replacement_hash(HASH, 21))
    with reverts("XMSSCertificatesImpossibleTree", HASH, 21):
        chain.send(certificates.functions.replaceTree(HASH, 21, entry))
    assert next_index(certificates, signers[0]) == 0


def test_replacement_hash_and_context_are_what_python_computes(chain: Chain, certificates: Contract) -> None:
    assert certificates.functions.replacementHash(HASH, 9).call() == replacement_hash(HASH, 9)
    place = (chain.web3.eth.chain_id, bytes.fromhex(certificates.address[2:]), account(1), 7)
    assert certificates.functions.context(account(1), 7).call() == xmss.context_of(*place)


def test_constructor_refuses_a_registry_that_is_no_contract(chain: Chain) -> None:
    with reverts("XMSSCertificatesNotAContract", account(1)):
        chain.deploy("XMSSCertificates", account(1))


# --- the ledger


def test_a_ledger_takes_blocks_certified_by_one_time_keys(chain: Chain) -> None:
    hashes = HashConsortium.found(chain, 3)
    for number in range(3):
        hashes.base.append(hashes.certified(hashes.base.block(), hashes.signers[:2]))
        assert hashes.base.ledger.functions.head().call()[1] == number + 1
    assert [next_index(hashes.base.certificates, one) for one in hashes.signers] == [3, 3, 0]


def test_a_refused_block_uses_no_key(chain: Chain) -> None:
    hashes = HashConsortium.found(chain, 3)
    block = hashes.certified(hashes.base.block(), hashes.signers[:1])
    with reverts("LedgerQuorumMissed", 1, 3):
        hashes.base.append(block)
    assert next_index(hashes.base.certificates, hashes.signers[0]) == 0


def test_anybody_may_relay_a_block(chain: Chain) -> None:
    hashes = HashConsortium.found(chain, 2)
    hashes.base.append(hashes.certified(hashes.base.block()), chain.user(4))
    assert hashes.base.ledger.functions.head().call()[1] == 1
