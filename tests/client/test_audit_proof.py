"""An audit proof: holds for what happened, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from client_world import ClientWorld, client_world
from hypothesis import given, settings
from hypothesis import strategies as st

from bflmec.client.audit import verify_audit_proof
from bflmec.client.audit_proof import AuditProof
from bflmec.client.wallet import Wallet
from bflmec.errors import MessageError
from bflmec.ledger.client import LedgerClient

Paid = tuple[ClientWorld, Wallet, AuditProof]
replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paid]:
    """A client with two recorded local gradients, one that waits, and a reward."""
    folder: Path = tmp_path_factory.mktemp("audit")
    with client_world(folder) as world:
        wallets = [world.wallet(f"wallet-{number}") for number in range(3)]
        for round_ in range(2):
            for salt, wallet in enumerate(wallets):
                wallet.submit(weights=world.weights(wallet, salt=salt + 10 * round_))
            world.mine()
        wallets[0].submit(weights=world.weights(wallets[0], salt=99))
        yield world, wallets[0], wallets[0].audit_proof()


def failed(proof: AuditProof, ledger: LedgerClient | None = None) -> set[str]:
    return {check.name for check in verify_audit_proof(proof, ledger).checks if check.failures}


def test_what_happened_holds_alone_and_beside_the_ledger(paid: Paid) -> None:
    world, wallet, proof = paid
    alone = verify_audit_proof(proof.encode())
    beside = verify_audit_proof(proof, world.owner)
    assert alone.holds
    assert beside.holds
    assert (alone.gradients, alone.recorded, alone.cumulative) == (3, 2, wallet._rewards.earned())
    assert len(beside.unchecked) < len(alone.unchecked)


def test_no_local_gradient_is_in_it(paid: Paid) -> None:
    _, wallet, proof = paid
    blobs = [gradient.envelope for gradient in wallet._store.filed() if gradient.envelope]
    document = proof.encode()
    assert blobs
    assert all(envelope[-500:].hex().encode() not in document for envelope in blobs)


def test_a_client_that_did_nothing_proves_that(paid: Paid) -> None:
    world, _, _ = paid
    proof = world.wallet("idle").audit_proof()
    report = verify_audit_proof(proof, world.owner)
    assert report.holds
    assert (report.gradients, report.cumulative) == (0, 0)


def test_another_ones_signature_does_not_hold(paid: Paid) -> None:
    _, _, proof = paid
    first, second, *rest = proof.gradients
    forged = replace(proof, gradients=(replace(first, signature=second.signature), second, *rest))
    assert failed(forged) == {"signatures"}


def test_a_receipt_for_something_else_does_not_hold(paid: Paid) -> None:
    _, _, proof = paid
    first, second, *rest = proof.gradients
    forged = replace(proof, gradients=(replace(first, receipts=second.receipts), second, *rest))
    assert failed(forged) == {"receipts"}


def test_a_block_that_records_something_else_is_no_record(paid: Paid) -> None:
    _, _, proof = paid
    first, *rest = proof.gradients
    assert failed(replace(proof, gradients=(replace(first, block=2), *rest))) == {"records"}


def test_one_local_gradient_does_not_count_twice(paid: Paid) -> None:
    _, _, proof = paid
    assert failed(replace(proof, gradients=(*proof.gradients, proof.gradients[0]))) == {"sequence numbers"}


def test_more_than_was_earned_is_not_proven(paid: Paid) -> None:
    _, _, proof = paid
    assert proof.reward is not None
    more = str(int(proof.reward.cumulative) + 1)
    assert failed(replace(proof, reward=replace(proof.reward, cumulative=more))) == {"reward"}


def test_another_ledgers_proof_is_noticed(paid: Paid) -> None:
    world, _, proof = paid
    other = replace(proof, chain_id=proof.chain_id + 1)
    assert "headers" in failed(other)
    assert "ledger" in failed(other, world.owner)


@settings(max_examples=150)
@given(data=st.data())
def test_whatever_is_changed_is_noticed_or_no_proof(paid: Paid, data: st.DataObject) -> None:
    """Only what a document leaves out can't be noticed: that a local gradient is recorded at all."""
    world, _, proof = paid
    document = bytearray(proof.encode())
    document[data.draw(st.integers(0, len(document) - 1))] ^= data.draw(st.integers(1, 127))
    try:
        changed = AuditProof.decode(bytes(document))
        holds = verify_audit_proof(changed, world.owner).holds
    except MessageError:
        return
    silent = [replace(gradient, block=None) for gradient in proof.gradients]
    assert not holds or changed == proof or [replace(entry, block=None) for entry in changed.gradients] == silent


@given(st.binary(max_size=300))
def test_anything_else_is_no_audit_proof(data: bytes) -> None:
    with pytest.raises(MessageError):
        verify_audit_proof(data)
