"""The client's state on disk: reorganisations that take its anchor, a disk that is full, receipts that are not its."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from dictionary_world import LEDGER

from bflmec.client.database import Database
from bflmec.client.state import ClientState
from bflmec.client.store import KeptReceipt, WalletStore
from bflmec.crypto.keys import Role, derived_identity
from bflmec.crypto.schemes import signature_scheme
from bflmec.errors import ReceiptRejectedError, WalletError
from bflmec.learning.blob import encode_blob
from bflmec.learning.tensors import TensorSpec
from bflmec.protocol.client import Client, ClientIdentity, ClientRules
from bflmec.protocol.messages import Envelope, GradientHeader, Receipt, decode
from bflmec.protocol.ports import Anchor
from bflmec.storage import MemoryStore

SPEC = TensorSpec.of({"weight": (64, 64)})
KEY = derived_identity(7, Role.CLIENT, 0).signing_key(signature_scheme("ML-DSA-44"))
IDENTITY = ClientIdentity(b"\x0c" * 20, "ML-DSA-44", KEY, 1337, LEDGER)


@dataclass
class Anchors:
    """A ledger of one anchor, whose hash a reorganisation changes."""

    blobs: MemoryStore = field(default_factory=MemoryStore)
    fork: int = 0

    def latest_anchor(self) -> Anchor:
        content = self.blobs.put(encode_blob(SPEC, np.full(SPEC.size, self.fork, np.float32)))
        return Anchor(1, sha256(bytes([self.fork])).digest(), content)

    def head_number(self) -> int:
        return 1

    def anchor_at(self, number: int) -> Anchor | None:
        return self.latest_anchor() if number == 1 else None


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "wallet.sqlite", b"ledger")
    yield opened
    opened.close()


@pytest.fixture
def anchors() -> Anchors:
    return Anchors()


def state_of(database: Database, anchors: Anchors) -> ClientState:
    return ClientState(Client(IDENTITY, ClientRules(), SPEC, anchors.blobs), WalletStore(database))


def header_of(envelope: bytes) -> GradientHeader:
    return GradientHeader.decode(decode(Envelope, envelope).signed.header)


def weights(value: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.full(SPEC.size, value, np.float32)


def contribute_many(state: ClientState) -> None:
    for _ in range(30):
        state.contribute(weights(1))


def test_an_envelope_stays_the_same_while_training_goes_on(database: Database, anchors: Anchors) -> None:
    state = state_of(database, anchors)
    state.jump(anchors)
    state.contribute(weights(1))
    envelope = state.compose()
    state.contribute(weights(2))
    assert state.compose() == envelope
    assert state_of(database, anchors).compose() == envelope


def test_what_a_reorganisation_took_the_anchor_of_goes_under_the_next_number(
    database: Database, anchors: Anchors
) -> None:
    state = state_of(database, anchors)
    state.jump(anchors)
    state.contribute(weights(1))
    before = header_of(state.compose())
    anchors.fork = 3
    assert state.jump(anchors)
    after = header_of(state.compose())
    assert (before.sequence, after.sequence) == (1, 2)
    assert after.anchor_hash == anchors.latest_anchor().hash != before.anchor_hash
    assert state.pending == after.updates == 1


def test_a_receipt_for_something_else_changes_nothing(database: Database, anchors: Anchors) -> None:
    state = state_of(database, anchors)
    state.jump(anchors)
    state.contribute(weights(1))
    state.compose()
    with pytest.raises(ReceiptRejectedError):
        state.file(KeptReceipt(Receipt(1, bytes(32), b"signature"), b"key"))
    assert (state.pending, state.sequence) == (1, 1)


def test_a_full_disk_loses_nothing_and_sends_nothing(database: Database, anchors: Anchors) -> None:
    state = state_of(database, anchors)
    state.jump(anchors)
    state.contribute(weights(1))
    ((pages,),) = database.rows("PRAGMA page_count")
    database.rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(WalletError, match="free some space"):
        contribute_many(state)
    trained = state.pending
    with pytest.raises(WalletError):
        state.compose()
    database.rows("PRAGMA max_page_count = 100000")
    assert header_of(state.compose()).updates == state.pending == trained
    assert state_of(database, anchors).pending == trained


def test_a_receipt_that_can_not_be_kept_is_not_taken(database: Database, anchors: Anchors) -> None:
    state = state_of(database, anchors)
    state.jump(anchors)
    state.contribute(weights(1))
    receipt = KeptReceipt(Receipt(1, header_of(state.compose()).digest, bytes(60_000)), b"key")
    ((pages,),) = database.rows("PRAGMA page_count")
    database.rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(WalletError):
        state.file(receipt)
    assert (state.pending, state.sequence) == (1, 1)
    database.rows("PRAGMA max_page_count = 100000")
    assert state.file(receipt) == 1
    assert (state.pending, state.sequence) == (0, 2)


def test_a_state_whose_global_gradient_is_gone_reads_another(database: Database, anchors: Anchors) -> None:
    state = state_of(database, anchors)
    state.jump(anchors)
    state.contribute(weights(1))
    elsewhere = Anchors()
    again = state_of(database, elsewhere)
    assert again.anchor is None
    assert again.pending == 1
    assert again.jump(elsewhere)
