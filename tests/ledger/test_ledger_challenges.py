"""From a false local gradient in a block to the stakes of those who certified it, with real parts all the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from ledger_tools import CLIENT, FIRST, OWNER, SECOND, STRANGER, World, address, digest

from bflmec.crypto.keys import key_digest
from bflmec.crypto.schemes import signature_scheme
from bflmec.crypto.seal import search
from bflmec.errors import LedgerError, LedgerRevertedError, MessageError, SignatureError
from bflmec.ledger.certificate_entries import entries_of
from bflmec.ledger.challenges import Accusation, ChallengesClient, Evidence, Fault, Record, deploy_challenges
from bflmec.ledger.watcher import SCHEME, Watcher
from bflmec.ledger.xmss_certificates import CertificateKeys, XMSSCertificatesClient, XMSSCertifier
from bflmec.protocol.blocks import ZERO_DIGEST, SealedBlock, transactions_hash
from bflmec.protocol.messages import GRADIENT_CONTEXT, Body, GradientHeader, Mode, SignedHeader, encode, transaction
from bflmec.storage import BlobStore

STAKE = 10**18
MLDSA = signature_scheme(SCHEME)
KEY, LATER_KEY = (MLDSA.from_seed(digest("client", number)) for number in range(2))


def verify(scheme: str, public_key: bytes, message: bytes, signature: bytes, context: bytes) -> bool:
    return scheme == SCHEME and MLDSA.verify(public_key, message, signature, context)


def header(world: World, sequence: int = 0) -> GradientHeader:
    place = world.deployment.chain_id, world.deployment.ledger, address(CLIENT)
    return GradientHeader(*place, sequence, 0, digest("anchor"), Mode.DELTA, digest("blob"), 100, 1)


def signed(given: GradientHeader, spoil: bool = False) -> SignedHeader:
    signature = bytearray(KEY.sign(given.digest, GRADIENT_CONTEXT))
    signature[100] ^= spoil
    return SignedHeader(given.encode(), SCHEME, bytes(signature), KEY.public_key)


def record(world: World, *entries: SignedHeader, blobs: BlobStore | None = None) -> tuple[SealedBlock, Body]:
    """Appends a block of these local gradients of CLIENT."""
    template = world.block()
    transactions = tuple(
        replace(transaction(entry, header(world), 1), gradient=sha256(entry.header).digest()) for entry in entries
    )
    body = Body(template.header.number, entries, ZERO_DIGEST)
    own = replace(
        template.header,
        transactions_hash=transactions_hash(transactions),
        transaction_count=len(transactions),
        body_digest=sha256(encode(body)).digest(),
    )
    nonce = search(own.hash, world.deployment.parameters.difficulty, 0, 1 << 20)
    assert nonce is not None
    block = SealedBlock(own, nonce, transactions, ())
    world.append(block)
    if blobs is not None:
        blobs.put(encode(body))
    return block, body


def watcher(world: World) -> Watcher:
    deployment = world.deployment
    keys = world.client.participants.client_key_digests
    return Watcher(deployment.chain_id, deployment.ledger, keys, verify)


def start(**changes: object) -> World:
    world = World.start(aggregation_threshold=100, **changes)
    world.as_(OWNER).participants.allow_clients([address(CLIENT)])
    world.as_(CLIENT).participants.register_client(key_digest(KEY.public_key))
    return world


@pytest.fixture
def world() -> World:
    return start()


@pytest.fixture
def challenges(world: World) -> ChallengesClient:
    contract = deploy_challenges(world.as_(OWNER).sender, world.deployment, 8)
    for one in (FIRST, SECOND):
        ChallengesClient(world.as_(OWNER).sender, contract).deposit(address(one), STAKE)
    return ChallengesClient(world.as_(STRANGER).sender, contract)


def accusation(world: World, number: int) -> Accusation:
    recorded = world.client.block(number)
    certificate = world.client.certificate(recorded)
    sender = world.client.sender
    entries = entries_of(certificate, recorded.block.header.hash, world.deployment, sender)
    return Accusation(entries, address(STRANGER), digest("salt"))


def stakes(challenges: ChallengesClient) -> list[int]:
    return [challenges.stake_of(address(one)) for one in (FIRST, SECOND)]


def file(world: World, challenges: ChallengesClient, evidence: Evidence) -> None:
    number = evidence.record.block.header.number
    accused = accusation(world, number)
    challenges.announce(number, accused)
    challenges.challenge(evidence, accused)


# --- what a watcher finds


def test_a_watcher_finds_nothing_in_blocks_that_are_in_order(world: World) -> None:
    looking = watcher(world)
    for sequence in (0, 2, 1):
        assert looking.inspect(*record(world, signed(header(world, sequence)))) == []


def faults(found: Sequence[Evidence]) -> list[tuple[Fault, int]]:
    return [(evidence.fault, evidence.record.index) for evidence in found]


def test_a_watcher_finds_each_fault_once(world: World) -> None:
    looking = watcher(world)
    foreign = signed(replace(header(world), client=address(FIRST)))
    assert looking.inspect(*record(world, signed(header(world, 1)))) == []
    found = looking.inspect(
        *record(
            world, signed(header(world, 1)), signed(header(world, 2), spoil=True), foreign, signed(header(world, 3))
        )
    )
    assert faults(found) == [(Fault.SEQUENCE, 0), (Fault.SIGNATURE, 1), (Fault.HEADER, 2)]


@pytest.mark.parametrize(
    "foreign",
    [{"client": bytes(20)}, {"ledger": bytes(20)}, {"chain_id": 1}],
    ids=["client", "ledger", "chain"],
)
def test_a_watcher_knows_a_foreign_header(world: World, foreign: dict[str, object]) -> None:
    other = signed(replace(header(world), **foreign))  # type: ignore[arg-type]
    assert faults(watcher(world).inspect(*record(world, other))) == [(Fault.HEADER, 0)]


def test_a_watcher_knows_bytes_that_are_no_header(world: World) -> None:
    shapeless = SignedHeader(b"\x07" + header(world).encode()[1:], SCHEME, b"signature", KEY.public_key)
    assert faults(watcher(world).inspect(*record(world, shapeless))) == [(Fault.HEADER, 0)]


def test_a_signature_by_a_key_that_was_replaced_since_is_in_order(world: World) -> None:
    block, body = record(world, signed(header(world)))
    world.as_(CLIENT).participants.register_client(key_digest(LATER_KEY.public_key))
    looking = watcher(world)
    assert looking.inspect(block, body) == []
    looking.learn(LATER_KEY.public_key)
    assert looking.inspect(block, body) == []


def test_a_false_signature_is_shown_with_all_keys_that_the_client_had(world: World) -> None:
    world.as_(CLIENT).participants.register_client(key_digest(LATER_KEY.public_key))
    block, body = record(world, signed(header(world), spoil=True))
    looking = watcher(world)
    assert looking.inspect(block, body) == []  # nobody has shown the later key
    looking.learn(LATER_KEY.public_key)
    (evidence,) = looking.inspect(block, body)
    assert evidence.keys == (KEY.public_key, LATER_KEY.public_key)


def test_a_watcher_forgets_what_can_not_be_challenged_any_more(world: World) -> None:
    looking = watcher(world)
    looking.inspect(*record(world, signed(header(world, 1))))
    looking.forget(2)
    assert looking.inspect(*record(world, signed(header(world, 1)))) == []


def test_another_blocks_body_is_refused(world: World) -> None:
    first, second = (record(world, signed(header(world, sequence))) for sequence in (1, 2))
    for body in (
        second[1],
        Body(1, second[1].entries, ZERO_DIGEST),
        Body(1, (*first[1].entries, *second[1].entries), ZERO_DIGEST),
    ):
        with pytest.raises(MessageError, match="body of block 1"):
            watcher(world).inspect(first[0], body)


# --- and what becomes of it


def test_a_false_signature_costs_those_who_certified_it_their_stakes(
    world: World, challenges: ChallengesClient
) -> None:
    (evidence,) = watcher(world).inspect(*record(world, signed(header(world), spoil=True)))
    file(world, challenges, evidence)
    assert stakes(challenges) == [0, 0]
    assert challenges.fault_of(1, 0) is Fault.SIGNATURE


def test_foreign_headers_and_repeated_sequences_do_too(world: World, challenges: ChallengesClient) -> None:
    looking = watcher(world)
    looking.inspect(*record(world, signed(header(world, 1))))
    foreign = signed(replace(header(world), client=address(FIRST)))
    repeated, other = looking.inspect(*record(world, signed(header(world, 1)), foreign))
    file(world, challenges, repeated)
    assert (stakes(challenges), challenges.fault_of(2, 0)) == ([0, 0], Fault.SEQUENCE)
    with pytest.raises(LedgerRevertedError):
        file(world, challenges, other)  # nobody has a stake left to lose


def test_evidence_of_no_fault_is_not_filed(world: World, challenges: ChallengesClient) -> None:
    block, body = record(world, signed(header(world)))
    shown = Record(block, 0, body.entries[0].header)
    for fault in (Fault.NONE, Fault.SEQUENCE):
        with pytest.raises(LedgerError, match="no fault"):
            file(world, challenges, Evidence(fault, shown))
    with pytest.raises(LedgerRevertedError) as caught:
        file(world, challenges, Evidence(Fault.HEADER, shown))
    assert caught.value.name == "ChallengesNoFault"
    assert stakes(challenges) == [STAKE, STAKE]


def test_a_stake_is_returned_after_the_window(world: World, challenges: ChallengesClient) -> None:
    world.as_(OWNER).participants.retire_edge_node(2)
    challenges.begin_exit(address(SECOND))
    world.certifiers = world.certifiers[:1]
    for sequence in range(challenges.window()):
        record(world, signed(header(world, sequence)))
    before = world.w3.eth.get_balance(SECOND.address)
    challenges.finish_exit(address(SECOND))
    assert world.w3.eth.get_balance(SECOND.address) - before == STAKE
    assert stakes(challenges) == [STAKE, 0]


# --- entries


@pytest.mark.parametrize("damage", [b"", bytes(64), bytes(66)])
def test_a_certificate_is_whole_entries(world: World, damage: bytes) -> None:
    with pytest.raises(SignatureError, match="whole entries"):
        entries_of(damage, bytes(32), world.deployment, world.client.sender)


def test_entries_of_trees_of_different_height_are_told_apart(tmp_path: Path) -> None:
    world = start(certificate_scheme="xmss")
    place = world.deployment
    trees = XMSSCertificatesClient(world.as_(OWNER).sender, place.certificates)
    certifiers = []
    for one, height in ((FIRST, 4), (SECOND, 5)):
        own = CertificateKeys(place.chain_id, place.certificates, address(one), digest(one.address), tmp_path)
        with own.open(1, height) as opened:
            trees.enroll(own.account, opened.root, height)
        certifiers.append(XMSSCertifier(own, trees, place.ledger))
    block = digest("block")
    signatures = {one.account: one.sign(block) for one in certifiers}
    certificate = certifiers[0].assemble(signatures)
    trees.replace_tree(certifiers[0].replacement(6))
    found = entries_of(certificate, block, place, world.client.sender)
    assert found == tuple(signatures[account] for account in sorted(signatures))
    for damaged in (certificate[:-1], certificate[:100], certificate[:-1] + b"\1"):
        with pytest.raises(SignatureError):
            entries_of(damaged, block, place, world.client.sender)
