"""Edge nodes that certify with one-time keys, on a real ledger; Python and XMSSCertificates.sol accept the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_tools import FIRST, OWNER, SECOND, STRANGER, World, address, digest

from bflmec.errors import KeysExhaustedError, KeystoreError, LedgerRevertedError, SignatureError
from bflmec.ledger.xmss_certificates import CertificateKeys, Entry, XMSSCertificatesClient, XMSSCertifier

HEIGHT = 4


@pytest.fixture
def world() -> World:
    return World.start(certificate_scheme="xmss")


def client(world: World, account: object = None) -> XMSSCertificatesClient:
    sender = world.as_(account or OWNER).sender  # type: ignore[arg-type]
    return XMSSCertificatesClient(sender, world.deployment.certificates)


def place(world: World, folder: Path, account: object, seed: bytes | None = None) -> CertificateKeys:
    own = address(account)  # type: ignore[arg-type]
    secret = seed or digest("seed", own)
    return CertificateKeys(world.deployment.chain_id, world.deployment.certificates, own, secret, folder)


def certifier(world: World, folder: Path, account: object = FIRST) -> XMSSCertifier:
    """One whose tree is enrolled."""
    keys = place(world, folder, account)
    with keys.open(1, HEIGHT) as opened:
        client(world).enroll(keys.account, opened.root, HEIGHT)
    return XMSSCertifier(keys, client(world), world.deployment.ledger)


@pytest.fixture
def pair(world: World, tmp_path: Path) -> list[XMSSCertifier]:
    return [certifier(world, tmp_path / name, account) for name, account in (("first", FIRST), ("second", SECOND))]


def certify(certifiers: list[XMSSCertifier], block: bytes) -> bytes:
    return certifiers[0].assemble({one.account: one.sign(block) for one in certifiers})


def test_blocks_are_appended_with_one_time_signatures(world: World, pair: list[XMSSCertifier]) -> None:
    for number in (1, 2):
        block = world.block()
        world.client.append(block, certify(pair, block.header.hash))
        assert world.client.head_number() == number
    assert client(world).tree(pair[0].account).next_index == 2


def test_a_certifier_holds_what_the_ledger_takes(world: World, pair: list[XMSSCertifier]) -> None:
    block = world.block()
    entry = pair[1].sign(block.header.hash)
    assert pair[0].holds(block.header.hash, pair[1].account, entry)
    assert not pair[0].holds(block.header.hash, pair[0].account, entry)
    assert not pair[0].holds(bytes(32), pair[1].account, entry)
    world.client.append(block, certify(pair, block.header.hash))
    assert not pair[0].holds(block.header.hash, pair[1].account, entry)


def test_a_superseded_signature_is_replaced_by_one_with_a_fresh_key(world: World, pair: list[XMSSCertifier]) -> None:
    rival, block = world.block(body_digest=digest("rival")), world.block()
    waiting = certify(pair, rival.header.hash)
    world.client.append(block, certify(pair, block.header.hash))
    assert certify(pair, rival.header.hash) != waiting


def test_signing_again_gives_the_same_entry_after_a_restart(world: World, tmp_path: Path) -> None:
    one = certifier(world, tmp_path)
    entry = one.sign(digest("block"))
    one.close()
    again = XMSSCertifier(place(world, tmp_path, FIRST), client(world), world.deployment.ledger)
    assert again.sign(digest("block")) == entry
    assert again.sign(digest("next")) != entry


def test_keys_that_the_ledger_saw_used_are_left_out(world: World, pair: list[XMSSCertifier], tmp_path: Path) -> None:
    """As when the journal comes from a backup: the ledger knows better."""
    block = world.block()
    world.client.append(block, certify(pair, block.header.hash))
    pair[0].close()
    for file in (tmp_path / "first").glob("*.keys"):
        file.unlink()
    entry = Entry.decode(pair[0].sign(digest("next")))
    assert entry.one_time.index == 1


def test_what_signs_for_the_ledger_and_what_signs_for_others_share_no_key(world: World, tmp_path: Path) -> None:
    first = certifier(world, tmp_path)
    second = XMSSCertifier(place(world, tmp_path, FIRST), client(world), world.deployment.participants)
    entries = [one.sign(digest("block")) for one in (first, second, first)]
    assert [Entry.decode(entry).one_time.index for entry in entries] == [0, 1, 0]


def test_an_edge_node_without_a_tree_is_told_so(world: World, tmp_path: Path) -> None:
    one = XMSSCertifier(place(world, tmp_path, FIRST), client(world), world.deployment.ledger)
    with pytest.raises(KeystoreError, match="have it enrolled"):
        one.sign(digest("block"))


def test_the_tree_of_another_seed_signs_nothing(world: World, tmp_path: Path) -> None:
    certifier(world, tmp_path)
    other = place(world, tmp_path / "other", FIRST, bytes(range(32)))
    with pytest.raises(KeystoreError, match="not of this seed"):
        XMSSCertifier(other, client(world), world.deployment.ledger).sign(digest("block"))


def test_a_tree_is_replaced_in_time_and_the_next_one_takes_over(world: World, pair: list[XMSSCertifier]) -> None:
    one = pair[0]
    while one.remaining:
        one.sign(digest("block", one.remaining))
    with pytest.raises(KeysExhaustedError):
        one.sign(digest("one more"))
    replacement = one.replacement(HEIGHT + 1)
    client(world, STRANGER).replace_tree(replacement)
    assert client(world).tree(one.account)[:3] == (replacement.root, 2, HEIGHT + 1)
    assert one.remaining == 31
    block = world.block()
    world.client.append(block, certify(pair, block.header.hash))


def test_a_replacement_is_the_same_when_it_is_asked_for_again(world: World, tmp_path: Path) -> None:
    one = certifier(world, tmp_path)
    assert one.replacement(HEIGHT) == one.replacement(HEIGHT)


def test_enrolling_is_for_the_owner(world: World) -> None:
    with pytest.raises(LedgerRevertedError) as caught:
        client(world, STRANGER).enroll(address(STRANGER), bytes(range(32)), HEIGHT)
    assert caught.value.name == "XMSSCertificatesUnauthorized"


def test_evidence_outlives_the_key(world: World, pair: list[XMSSCertifier]) -> None:
    block = world.block()
    entry = pair[0].sign(block.header.hash)
    world.client.append(block, certify(pair, block.header.hash))
    reader = client(world)
    assert reader.signer(world.deployment.ledger, block.header.hash, entry) == pair[0].account
    assert reader.root_at(pair[0].account, 1) == reader.tree(pair[0].account).root
    assert reader.root_at(pair[0].account, 2) == bytes(32)


@pytest.mark.parametrize("size", [0, 30, 30 + 2144, 30 + 2144 + 32 * 3, 30 + 2144 + 32 * 21, 30 + 2144 + 32 * 4 + 1])
def test_entries_of_impossible_size_are_refused(size: int) -> None:
    with pytest.raises(SignatureError, match="no certificate entry"):
        Entry.decode(bytes(size))


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, XMSSCertifier, bytes]:
    world = World.start(certificate_scheme="xmss")
    one = certifier(world, tmp_path_factory.mktemp("keys"))
    return world, one, one.sign(digest("block"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bit=st.integers(0, 8 * (30 + 2144 + 128) - 1))
def test_a_flipped_bit_holds_nowhere(signed: tuple[World, XMSSCertifier, bytes], bit: int) -> None:
    world, one, entry = signed
    damaged = bytearray(entry)
    damaged[bit // 8] ^= 1 << bit % 8
    assert one.holds(digest("block"), one.account, entry)
    assert not one.holds(digest("block"), one.account, bytes(damaged))
    with pytest.raises(LedgerRevertedError):
        client(world).signer(world.deployment.ledger, digest("block"), bytes(damaged))


def test_keys_do_not_show_their_seed(world: World, tmp_path: Path) -> None:
    keys = place(world, tmp_path, FIRST)
    assert keys.seed.hex() not in repr(keys)
    assert str(keys.seed) not in repr(keys)
