"""A client without a connection, for however long: what is pending stays bounded, exact and over a restart."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from dictionary_world import LEDGER
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol_world import CHAIN_ID, SCHEME, SPEC, participant
from test_protocol_client import DictionaryLedger, opened, receipt_for, trained, weights

from bflmec.crypto.keys import Role
from bflmec.errors import ConfigError, GradientRejectedError, MessageError
from bflmec.learning.tensors import TensorSpec
from bflmec.protocol.client import Client, ClientIdentity, ClientRules
from bflmec.protocol.client_snapshot import ClientSnapshot
from bflmec.protocol.messages import Mode, Receipt
from bflmec.protocol.pending import ATTEMPTS
from bflmec.protocol.ports import Anchor

ACCOUNT, KEY = participant(Role.CLIENT, 0)
IDENTITY = ClientIdentity(ACCOUNT, SCHEME, KEY, CHAIN_ID, LEDGER)


def client_with(ledger: DictionaryLedger, limit: int, mode: Mode = Mode.DELTA) -> Client:
    return Client(IDENTITY, ClientRules(data_threshold=1, pending_limit=limit, mode=mode), SPEC, ledger.blobs)


def vectors_of(client: Client) -> int:
    return len(client.snapshot().pending)


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("train"), st.floats(-100, 100, width=32)),
            st.tuples(st.sampled_from(["send", "receipt", "late receipt", "anchor", "restart"]), st.just(0.0)),
        ),
        max_size=60,
    )
)
def test_bounded_memory_gives_the_same_uploads_as_unbounded(steps: list[tuple[str, float]]) -> None:
    ledger = DictionaryLedger()
    bounded, unbounded = client_with(ledger, ATTEMPTS + 2), client_with(ledger, 1000)
    attempts: list[Receipt] = []
    for step, value in steps:
        match step:
            case "train":
                trained(bounded, ledger, value)
                trained(unbounded, ledger, value)
            case "send" if bounded.pending:
                envelope = bounded.compose()
                (header, content), (wanted, exact) = opened(envelope), opened(unbounded.compose())
                assert (header, content.tobytes()) == (wanted, exact.tobytes())
                attempts.append(receipt_for(envelope))
            case "receipt" | "late receipt" if attempts:
                receipt = attempts[-1 if step == "receipt" else 0]
                assert bounded.acknowledge(receipt) == unbounded.acknowledge(receipt)
                attempts.clear()
            case "anchor":
                ledger.update(ledger.head + 1)
            case "restart":
                revived = client_with(ledger, ATTEMPTS + 2)
                revived.resume(ClientSnapshot.decode(bounded.snapshot().encode()))
                bounded = revived
        assert bounded.pending == unbounded.pending
        assert vectors_of(bounded) <= ATTEMPTS + 2


def test_more_updates_than_a_header_can_count_are_still_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bflmec.protocol.client.MAX_UPDATES", 40)
    ledger = DictionaryLedger()
    client = client_with(ledger, 10, Mode.WEIGHTS)
    for number in range(101):
        trained(client, ledger, number)
    header, content = opened(client.compose())
    assert header.updates == 40
    assert content.tolist() == weights(50).tolist()
    assert client.acknowledge(receipt_for(client.compose())) == 101


def test_after_many_attempts_the_last_is_repeated_and_the_rest_follows() -> None:
    ledger = DictionaryLedger()
    client = client_with(ledger, 20, Mode.WEIGHTS)
    for number in range(ATTEMPTS + 5):
        trained(client, ledger, number)
        envelope = client.compose()
    assert opened(envelope)[0].updates == ATTEMPTS
    assert client.acknowledge(receipt_for(envelope)) == ATTEMPTS
    header, _ = opened(client.compose())
    assert (header.sequence, header.updates) == (2, 5)


def test_the_receipt_for_an_early_attempt_takes_exactly_what_it_covered() -> None:
    ledger = DictionaryLedger()
    client = client_with(ledger, ATTEMPTS + 2, Mode.WEIGHTS)
    trained(client, ledger, 1.0)
    early = receipt_for(client.compose())
    for number in range(40):
        trained(client, ledger, number)
    assert client.acknowledge(early) == 1
    header, content = opened(client.compose())
    assert header.updates == client.pending == 40
    assert content.tolist() == weights(19.5).tolist()


def test_too_small_a_limit_is_refused() -> None:
    with pytest.raises(ConfigError, match="pending_limit"):
        ClientRules(pending_limit=ATTEMPTS + 1)


# ---------------------------------------------------------------- an anchor that is gone


def reorganised(ledger: DictionaryLedger, number: int) -> Anchor:
    """Another global update takes that block's place; all later ones are gone."""
    for later in [other for other in ledger.anchors if other >= number]:
        del ledger.anchors[later]
    ledger.head = number
    content = ledger.update(100 + number).content
    del ledger.anchors[100 + number]
    ledger.head = number
    ledger.anchors[number] = Anchor(number, sha256(b"other" + bytes([number])).digest(), content)
    return ledger.anchors[number]


@pytest.mark.parametrize("search", ["latest", "walk"])
def test_a_client_leaves_an_anchor_that_a_reorganisation_took_away(search: str) -> None:
    ledger = DictionaryLedger()
    rules = ClientRules(data_threshold=1, anchor_search=search)  # type: ignore[arg-type]  # its text is the same enum
    client = Client(IDENTITY, rules, SPEC, ledger.blobs)
    ledger.update(3)
    trained(client, ledger, 4.0)
    gone, _ = opened(client.compose())
    anchor = reorganised(ledger, 2)
    assert not client.jump(ledger), "the ledger is behind block 3: it may only lag"
    ledger.head = 3
    assert client.jump(ledger)
    assert client.anchor == anchor
    header, content = opened(client.compose())
    assert (header.sequence, header.anchor_hash) == (gone.sequence, anchor.hash)
    assert content.tolist() == weights(1.0).tolist()


def test_a_ledger_that_lags_moves_no_anchor_back() -> None:
    ledger = DictionaryLedger()
    client = client_with(ledger, 10)
    ledger.update(3)
    client.jump(ledger)
    del ledger.anchors[3]
    ledger.head = 2
    assert not client.jump(ledger)
    assert client.anchor is not None
    assert client.anchor.number == 3


# ---------------------------------------------------------------- restarts


def test_a_restarted_client_repeats_its_last_attempt_to_the_byte() -> None:
    ledger = DictionaryLedger()
    client = client_with(ledger, 10)
    trained(client, ledger, 1.0)
    envelope = client.compose()
    revived = client_with(ledger, 10)
    revived.resume(ClientSnapshot.decode(client.snapshot().encode()))
    assert revived.compose() == envelope


def test_a_restarted_client_keeps_its_own_weights() -> None:
    ledger = DictionaryLedger()
    client = client_with(ledger, 10)
    trained(client, ledger, 7.0)
    revived = client_with(ledger, 10)
    revived.resume(client.snapshot())
    assert revived.weights is not None
    assert revived.weights.tolist() == weights(7.0).tolist()


@given(st.data())
def test_a_damaged_snapshot_is_refused_or_another_client(data: st.DataObject) -> None:
    ledger = DictionaryLedger()
    client = client_with(ledger, 10)
    trained(client, ledger, 1.0)
    client.compose()
    good = client.snapshot().encode()
    start = data.draw(st.integers(0, len(good) - 1))
    damaged = good[:start] + data.draw(st.binary(min_size=1, max_size=3)) + good[start + 1 :]
    revived = client_with(ledger, 10)
    before = revived.snapshot()
    try:
        revived.resume(ClientSnapshot.decode(damaged))
    except (MessageError, OSError):
        assert revived.snapshot() == before


def test_the_snapshot_of_another_model_is_refused() -> None:
    ledger = DictionaryLedger()
    client = client_with(ledger, 10)
    trained(client, ledger, 1.0)
    other = Client(IDENTITY, ClientRules(), TensorSpec.of({"bias": (9,)}), ledger.blobs)
    with pytest.raises(MessageError, match="another model"):
        other.resume(client.snapshot())


def test_a_client_that_lost_its_state_goes_on_with_a_free_sequence() -> None:
    ledger = DictionaryLedger()
    client = client_with(ledger, 10)
    client.continue_from(17)
    trained(client, ledger, 1.0)
    assert opened(client.compose())[0].sequence == 17


@pytest.mark.parametrize("sequence", [0, 2**63 + 1])
def test_no_lie_burns_the_sequence_numbers_of_a_client(sequence: int) -> None:
    with pytest.raises(GradientRejectedError, match="next sequence number"):
        client_with(DictionaryLedger(), 10).continue_from(sequence)


def test_sums_of_pending_updates_are_kept_in_double_precision() -> None:
    ledger = DictionaryLedger()
    client = client_with(ledger, 10, Mode.WEIGHTS)
    for value in (2.0**24, *[1.0] * 20):
        trained(client, ledger, value)
    assert opened(client.compose())[1][0] == np.float32((2.0**24 + 20) / 21)
