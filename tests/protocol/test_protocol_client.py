"""A client (Algorithm 2): data threshold, anchor jump, pending updates, signatures and receipts."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
import pytest
from dictionary_world import LEDGER, verify
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from protocol_world import CHAIN_ID, SCHEME, SPEC, participant

from bflmec.crypto.keys import Role
from bflmec.errors import BlobError, ConfigError, GradientRejectedError, LedgerError, StorageError
from bflmec.learning.blob import decode_blob, encode_blob
from bflmec.protocol.client import (
    AfterTraining,
    AnchorSearch,
    Client,
    ClientIdentity,
    ClientRules,
    StartFrom,
    nearest_first,
)
from bflmec.protocol.messages import GRADIENT_CONTEXT, Envelope, GradientHeader, Mode, Receipt, decode
from bflmec.protocol.ports import Anchor
from bflmec.storage import MemoryStore
from bflmec.storage.cid import RAW, Cid

ACCOUNT, KEY = participant(Role.CLIENT, 0)
IDENTITY = ClientIdentity(ACCOUNT, SCHEME, KEY, CHAIN_ID, LEDGER)


def weights(value: float) -> NDArray[np.float32]:
    return np.full(SPEC.size, value, np.float32)


@dataclass
class DictionaryLedger:
    """Anchors by block number; global gradient `n` in all places is that of block n."""

    blobs: MemoryStore = field(default_factory=MemoryStore)
    anchors: dict[int, Anchor] = field(default_factory=dict)
    head: int = 0

    def __post_init__(self) -> None:
        self.update(0)

    def update(self, number: int) -> Anchor:
        content = self.blobs.put(encode_blob(SPEC, weights(number)))
        self.head = number
        self.anchors[number] = Anchor(number, sha256(bytes([number])).digest(), content)
        return self.anchors[number]

    def head_number(self) -> int:
        return self.head

    def latest_anchor(self) -> Anchor:
        return self.anchors[max(self.anchors)]

    def anchor_at(self, number: int) -> Anchor | None:
        return self.anchors.get(number)


@pytest.fixture
def ledger() -> DictionaryLedger:
    return DictionaryLedger()


def client_of(ledger: DictionaryLedger, rules: ClientRules | None = None) -> Client:
    return Client(IDENTITY, rules or ClientRules(data_threshold=3), SPEC, ledger.blobs)


def trained(client: Client, ledger: DictionaryLedger, value: float) -> None:
    """One local update from data to weights."""
    client.collect(range(client.missing_samples))
    client.jump(ledger)
    client.begin_update()
    client.finish_update(weights(value))


def opened(envelope: bytes) -> tuple[GradientHeader, NDArray[np.float32]]:
    upload = decode(Envelope, envelope)
    return GradientHeader.decode(upload.signed.header), decode_blob(SPEC, upload.blob)


def receipt_for(envelope: bytes) -> Receipt:
    return Receipt(1, opened(envelope)[0].digest, b"the driver checks it")


# ---------------------------------------------------------------- line 1: the data threshold


@pytest.mark.parametrize(("strict", "needed"), [(False, 3), (True, 4)])
def test_an_update_begins_with_enough_fresh_samples(ledger: DictionaryLedger, strict: bool, needed: int) -> None:
    client = client_of(ledger, ClientRules(data_threshold=3, strict_threshold=strict))
    client.collect(range(needed - 1))
    assert not client.is_ready
    assert client.missing_samples == 1
    client.collect([needed])
    assert client.is_ready


def test_samples_count_once_for_the_threshold(ledger: DictionaryLedger) -> None:
    client = client_of(ledger)
    trained(client, ledger, 1)
    assert client.missing_samples == 3


def samples_of_updates(ledger: DictionaryLedger, rules: ClientRules, arrivals: list[list[int]]) -> list[list[int]]:
    client = client_of(ledger, rules)
    client.jump(ledger)
    seen = []
    for arrived in arrivals:
        client.collect(arrived)
        seen.append(client.begin_update().samples.tolist())
        client.finish_update(weights(1))
    return seen


def test_consumed_samples_are_trained_on_once(ledger: DictionaryLedger) -> None:
    rules = ClientRules(data_threshold=2, after_training=AfterTraining.CONSUME)
    assert samples_of_updates(ledger, rules, [[0, 1], [2, 3]]) == [[0, 1], [2, 3]]


def test_a_sliding_window_keeps_the_newest_samples(ledger: DictionaryLedger) -> None:
    rules = ClientRules(data_threshold=2, after_training=AfterTraining.SLIDING, sliding_window=5)
    assert samples_of_updates(ledger, rules, [[0, 1], [2, 3], [4, 5]]) == [[0, 1], [0, 1, 2, 3], [1, 2, 3, 4, 5]]


def test_a_sliding_window_of_the_threshold_keeps_nothing(ledger: DictionaryLedger) -> None:
    rules = ClientRules(data_threshold=2, after_training=AfterTraining.SLIDING, sliding_window=2)
    assert samples_of_updates(ledger, rules, [[0, 1], [2, 3]]) == [[0, 1], [2, 3]]


def test_accumulated_samples_stay_once_each(ledger: DictionaryLedger) -> None:
    rules = ClientRules(data_threshold=2, after_training=AfterTraining.ACCUMULATE)
    assert samples_of_updates(ledger, rules, [[0, 1], [2, 3], [0, 1]]) == [[0, 1], [0, 1, 2, 3], [0, 1, 2, 3]]


@pytest.mark.parametrize("wrong", [{"data_threshold": 0}, {"data_threshold": 10, "sliding_window": 9}])
def test_impossible_client_rules_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        ClientRules(**wrong)  # type: ignore[arg-type]


# ---------------------------------------------------------------- lines 2-5: the anchor jump


def test_a_client_starts_from_the_newest_global_gradient(ledger: DictionaryLedger) -> None:
    ledger.update(3)
    client = client_of(ledger)
    assert client.jump(ledger)
    assert client.anchor == ledger.anchors[3]
    assert client.begin_update().start.tolist() == weights(3).tolist()


def test_without_a_newer_anchor_there_is_no_jump(ledger: DictionaryLedger) -> None:
    client = client_of(ledger)
    assert client.jump(ledger)
    assert not client.jump(ledger)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12))
def test_walking_and_asking_find_the_same_anchor(history: list[tuple[bool, bool]]) -> None:
    ledger = DictionaryLedger()
    walking = client_of(ledger, ClientRules(anchor_search=AnchorSearch.WALK))
    asking = client_of(ledger, ClientRules(anchor_search=AnchorSearch.LATEST))
    for is_update, looks in history:
        if is_update:
            ledger.update(ledger.head + 1)
        else:
            ledger.head += 1
        if looks:
            assert walking.jump(ledger) == asking.jump(ledger)
            assert walking.anchor == asking.anchor


@pytest.mark.parametrize("damage", ["missing", "other shape"])
def test_a_bad_global_gradient_leaves_the_client_where_it_was(ledger: DictionaryLedger, damage: str) -> None:
    client = client_of(ledger)
    client.jump(ledger)
    content = Cid(RAW, bytes(32)) if damage == "missing" else ledger.blobs.put(b"no blob of this model")
    ledger.anchors[1] = Anchor(1, b"\x01" * 32, content)
    with pytest.raises((StorageError, BlobError)):
        client.jump(ledger)
    assert client.anchor == ledger.anchors[0]
    assert client.begin_update().start.tolist() == weights(0).tolist()


def test_no_update_begins_before_the_first_anchor(ledger: DictionaryLedger) -> None:
    with pytest.raises(LedgerError, match="jump"):
        client_of(ledger).begin_update()


def test_no_update_ends_that_did_not_begin(ledger: DictionaryLedger) -> None:
    client = client_of(ledger)
    client.jump(ledger)
    with pytest.raises(LedgerError, match="begin_update"):
        client.finish_update(weights(1))


@pytest.mark.parametrize(("start_from", "expected"), [(StartFrom.ANCHOR, 0.0), (StartFrom.OWN, 1.5)])
def test_where_training_starts_without_a_newer_anchor(
    ledger: DictionaryLedger, start_from: StartFrom, expected: float
) -> None:
    client = client_of(ledger, ClientRules(start_from=start_from))
    trained(client, ledger, 1.5)
    client.jump(ledger)
    assert client.begin_update().start.tolist() == weights(expected).tolist()


def test_updates_are_numbered_from_1(ledger: DictionaryLedger) -> None:
    client = client_of(ledger)
    client.jump(ledger)
    numbers = []
    for _ in range(3):
        numbers.append(client.begin_update().number)
        client.finish_update(weights(1))
    assert numbers == [1, 2, 3]


def test_a_jump_during_training_does_not_move_the_update(ledger: DictionaryLedger) -> None:
    client = client_of(ledger)
    client.jump(ledger)
    client.begin_update()
    ledger.update(5)
    client.jump(ledger)
    client.finish_update(weights(1))
    header, content = opened(client.compose())
    assert header.anchor == 0
    assert content.tolist() == weights(1).tolist()
    assert client.weights is not None
    assert client.weights.tolist() == weights(5).tolist()


# ---------------------------------------------------------------- lines 10-16: average, sign, upload


def test_an_upload_says_who_what_where_and_since_when(ledger: DictionaryLedger) -> None:
    anchor = ledger.update(4)
    client = client_of(ledger)
    trained(client, ledger, 4.5)
    upload = decode(Envelope, client.compose())
    header = GradientHeader.decode(upload.signed.header)
    assert header == GradientHeader(
        chain_id=CHAIN_ID,
        ledger=LEDGER,
        client=ACCOUNT,
        sequence=1,
        anchor=4,
        anchor_hash=anchor.hash,
        mode=Mode.DELTA,
        blob_digest=sha256(upload.blob).digest(),
        blob_length=len(upload.blob),
        updates=1,
    )
    assert upload.signed.public_key == KEY.public_key
    assert verify(SCHEME, KEY.public_key, header.digest, upload.signed.signature, GRADIENT_CONTEXT)


@pytest.mark.parametrize(("mode", "expected"), [(Mode.DELTA, 0.5), (Mode.WEIGHTS, 4.5)])
def test_what_a_local_gradient_carries(ledger: DictionaryLedger, mode: Mode, expected: float) -> None:
    ledger.update(4)
    client = client_of(ledger, ClientRules(mode=mode))
    trained(client, ledger, 4.5)
    assert opened(client.compose())[1].tolist() == weights(expected).tolist()


def test_pending_updates_are_averaged_under_the_oldest_anchor(ledger: DictionaryLedger) -> None:
    client = client_of(ledger)
    trained(client, ledger, 1.0)
    ledger.update(2)
    trained(client, ledger, 4.0)
    header, content = opened(client.compose())
    assert client.pending == header.updates == 2
    assert (header.anchor, header.anchor_hash) == (0, ledger.anchors[0].hash)
    assert content.tolist() == weights((1.0 + 2.0) / 2).tolist()


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=9))
def test_the_average_is_that_of_double_precision(values: list[float]) -> None:
    ledger = DictionaryLedger()
    client = client_of(ledger, ClientRules(mode=Mode.WEIGHTS))
    for value in values:
        trained(client, ledger, value)
    expected = np.float32(sum(values) / len(values))
    assert opened(client.compose())[1].tolist() == [expected] * SPEC.size


def test_an_upload_that_was_cut_off_is_averaged_again_under_the_same_sequence(ledger: DictionaryLedger) -> None:
    client = client_of(ledger)
    trained(client, ledger, 1.0)
    first, _ = opened(client.compose())
    trained(client, ledger, 2.0)
    second, content = opened(client.compose())
    assert first.sequence == second.sequence == 1
    assert content.tolist() == weights(1.5).tolist()


def test_a_repeated_attempt_is_the_same_bytes(ledger: DictionaryLedger) -> None:
    client = client_of(ledger)
    trained(client, ledger, 1.0)
    assert client.compose() == client.compose()


def test_a_receipt_ends_what_it_covers_and_moves_the_sequence_on(ledger: DictionaryLedger) -> None:
    client = client_of(ledger)
    trained(client, ledger, 1.0)
    assert client.acknowledge(receipt_for(client.compose())) == 1
    assert (client.pending, client.sequence) == (0, 2)


def test_the_receipt_of_an_earlier_attempt_covers_what_that_attempt_held(ledger: DictionaryLedger) -> None:
    client = client_of(ledger)
    trained(client, ledger, 1.0)
    trained(client, ledger, 2.0)
    earlier = client.compose()
    trained(client, ledger, 3.0)
    client.compose()
    assert client.acknowledge(receipt_for(earlier)) == 2
    header, content = opened(client.compose())
    assert (header.sequence, header.updates) == (2, 1)
    assert content.tolist() == weights(3.0).tolist()


def test_training_during_an_upload_is_not_covered_by_its_receipt(ledger: DictionaryLedger) -> None:
    client = client_of(ledger)
    trained(client, ledger, 1.0)
    envelope = client.compose()
    trained(client, ledger, 2.0)
    client.acknowledge(receipt_for(envelope))
    assert client.pending == 1


def test_a_receipt_counts_once(ledger: DictionaryLedger) -> None:
    client = client_of(ledger)
    trained(client, ledger, 1.0)
    receipt = receipt_for(client.compose())
    client.acknowledge(receipt)
    trained(client, ledger, 2.0)
    with pytest.raises(GradientRejectedError, match="did not send"):
        client.acknowledge(receipt)
    assert (client.pending, client.sequence) == (1, 2)


def test_a_receipt_for_something_else_changes_nothing(ledger: DictionaryLedger) -> None:
    client = client_of(ledger)
    trained(client, ledger, 1.0)
    client.compose()
    with pytest.raises(GradientRejectedError):
        client.acknowledge(Receipt(1, bytes(32), b"signature"))
    assert (client.pending, client.sequence) == (1, 1)


def test_nothing_pending_makes_no_upload(ledger: DictionaryLedger) -> None:
    with pytest.raises(LedgerError, match="pending"):
        client_of(ledger).compose()


def test_diverged_weights_are_not_signed(ledger: DictionaryLedger) -> None:
    client = client_of(ledger)
    trained(client, ledger, float("nan"))
    with pytest.raises(BlobError):
        client.compose()


# ---------------------------------------------------------------- lines 13-14: the nearest edge node


def test_edge_nodes_are_tried_by_distance() -> None:
    assert nearest_first({1: 30.0, 2: 10.0, 3: 20.0}) == [2, 3, 1]


def test_an_edge_node_that_failed_is_left_out() -> None:
    assert nearest_first({1: 30.0, 2: 10.0, 3: 20.0}, frozenset({2})) == [3, 1]


def test_ties_go_to_the_lower_id() -> None:
    assert nearest_first({2: 5.0, 1: 5.0}) == [1, 2]
