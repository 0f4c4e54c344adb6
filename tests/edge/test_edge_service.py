"""One edge node over HTTP: what clients, operators and strangers get."""

from __future__ import annotations

import httpx
import msgspec
import pytest
from service_world import EDGE_SETTINGS, SCHEME, World, digest_of, edge_keys, wait_until

from bflmec.edge import gossip
from bflmec.errors import (
    ClientQuotaError,
    EdgeBusyError,
    EncryptionError,
    GradientRejectedError,
    MessageTooLargeError,
    NotHeldError,
    SignatureRejectedError,
)
from bflmec.protocol.messages import Body, Envelope, SignedHeader, decode, encode
from bflmec.storage.cid import RAW, Cid
from bflmec.storage.unixfs import cid_of
from bflmec.transport.binding import Binding, Purpose
from bflmec.transport.edge_api import AsyncEdgeApi
from bflmec.transport.sealing import seal

HTTP = httpx.Client(verify=False)

# ---------------------------------------------------------------- clients


def test_a_receipt_is_the_edge_nodes_signature_over_the_gradient(edge_world: World, number: int) -> None:
    envelope = edge_world.uploader(number).envelope()
    receipt = edge_world.upload(0, envelope)
    edge_world.recipient(0).check(receipt, digest_of(envelope), SCHEME)


def test_an_upload_that_is_repeated_gets_the_same_receipt(edge_world: World, number: int) -> None:
    envelope = edge_world.uploader(number).envelope()
    assert edge_world.upload(0, envelope) == edge_world.upload(0, envelope)


async def _upload_async(world: World, envelope: bytes) -> bytes:
    keys = edge_keys(0)
    async with AsyncEdgeApi(world.servers[0].url) as api:
        info = await api.node()
        receipt = await api.upload(envelope, info.recipient(keys.signature_digest, keys.encapsulation_digest))
        assert (await api.gradient_state(receipt.gradient)).state in ("waiting", "recorded", "aggregated")
        assert (await api.status())["edge_node"] == 1
        return receipt.gradient


def test_uploading_works_with_asyncio_too(edge_world: World, number: int) -> None:
    import asyncio

    envelope = edge_world.uploader(number).envelope()
    assert asyncio.run(_upload_async(edge_world, envelope)) == digest_of(envelope)


def test_local_gradients_are_recorded_aggregated_and_paid(edge_world: World) -> None:
    uploaders = [edge_world.uploader(other) for other in range(30, 34)]
    first = [uploader.envelope() for uploader in uploaders]
    for envelope in [*first, *[uploader.envelope() for uploader in uploaders]]:
        edge_world.upload(0, envelope)  # twice the threshold: whatever waited before, the first ones are taken in
    with edge_world.api(0) as api:
        for digest in map(digest_of, first):
            wait_until(lambda digest=digest: api.gradient_state(digest).state == "aggregated")
            assert api.gradient_state(digest).contribution == "high"
    assert edge_world.ledger.rewards()[1] > 0


def test_global_gradients_and_bodies_are_public_and_local_gradients_are_not(edge_world: World, number: int) -> None:
    envelope = edge_world.uploader(number).envelope()
    edge_world.upload(0, envelope)
    with edge_world.api(0) as api:
        wait_until(lambda: api.gradient_state(digest_of(envelope)).state != "waiting")
        api.blob(edge_world.ledger.latest_anchor().content)
        block = edge_world.ledger.block(edge_world.ledger.head_number()).block
        assert decode(Body, api.blob(Cid(RAW, block.header.body_digest))).number == block.header.number
        with pytest.raises(NotHeldError):
            api.blob(cid_of(decode(Envelope, envelope).blob))


def test_what_is_not_known_is_not_held(edge_world: World) -> None:
    with edge_world.api(0) as api, pytest.raises(NotHeldError):
        api.gradient_state(bytes(32))


def test_the_next_sequence_follows_what_the_edge_node_holds(edge_world: World, number: int) -> None:
    uploader = edge_world.uploader(number)
    with edge_world.api(0) as api:
        assert api.next_sequence(uploader.identity.address) == 1
        edge_world.upload(0, uploader.envelope())
        assert api.next_sequence(uploader.identity.address) == 2


# ---------------------------------------------------------------- what is refused


def test_a_stranger_is_refused_and_welcome_once_registered(edge_world: World, number: int) -> None:
    uploader = edge_world.uploader(number, register=False)
    envelope = uploader.envelope()
    with pytest.raises(SignatureRejectedError):
        edge_world.upload(0, envelope)
    uploader.register()

    def taken() -> bool:
        try:
            return bool(edge_world.upload(0, envelope))
        except SignatureRejectedError:
            return False

    wait_until(taken)


def test_a_false_signature_is_refused(edge_world: World, number: int) -> None:
    upload = decode(Envelope, edge_world.uploader(number).envelope())
    signed = upload.signed
    signature = bytes([signed.signature[0] ^ 1]) + signed.signature[1:]
    forged = SignedHeader(signed.header, signed.scheme, signature, signed.public_key)
    with pytest.raises(SignatureRejectedError):
        edge_world.upload(0, encode(Envelope(forged, upload.blob)))


def test_another_blob_than_was_signed_is_refused(edge_world: World, number: int) -> None:
    uploader = edge_world.uploader(number)
    first, second = (decode(Envelope, uploader.envelope()) for _ in range(2))
    with pytest.raises(GradientRejectedError):
        edge_world.upload(0, encode(Envelope(first.signed, second.blob)))


@pytest.mark.parametrize(
    "change",
    [{"chain_id": 1}, {"ledger": bytes(20)}, {"anchor_hash": bytes(32)}],
    ids=lambda change: next(iter(change)),
)
def test_what_was_signed_for_elsewhere_is_refused(edge_world: World, change: dict[str, object]) -> None:
    uploader = edge_world.uploader(39)
    with pytest.raises(GradientRejectedError):
        edge_world.upload(0, uploader.envelope(**change))


def test_an_anchor_that_the_edge_node_has_not_read_yet_may_come_later(
    edge_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gossip, "AHEAD_SECONDS", 0.1)
    with pytest.raises(EdgeBusyError) as refusal:
        edge_world.upload(0, edge_world.uploader(39).envelope(anchor=9999))
    assert refusal.value.retry_after


def test_what_was_sealed_for_another_edge_node_is_refused(edge_world: World, number: int) -> None:
    recipient = msgspec.structs.replace(edge_world.recipient(0), edge_node=2)
    with edge_world.api(0) as api, pytest.raises(EncryptionError):
        api.upload(edge_world.uploader(number).envelope(), recipient)


def test_an_upload_that_is_too_large_is_refused(edge_world: World) -> None:
    with edge_world.api(0) as api, pytest.raises(MessageTooLargeError):
        api.submit(bytes(api.node().upload_limit + 1))


def test_a_body_that_grows_too_large_without_saying_so_is_refused(edge_world: World) -> None:
    answer = HTTP.post(f"{edge_world.servers[0].url}/v1/gradients", content=iter([bytes(2**16)] * 64))
    assert answer.status_code == 413
    assert answer.json()["type"] == "MessageTooLargeError"


def test_a_client_that_sends_too_much_is_told_to_come_back(edge_world: World, number: int) -> None:
    uploader = edge_world.uploader(number)
    refusals = [refusal for _ in range(48) if (refusal := _refusal(edge_world, uploader.envelope()))]
    assert refusals
    assert all(refusal.retry_after and refusal.retry_after > 0 for refusal in refusals)


def _refusal(world: World, envelope: bytes) -> ClientQuotaError | None:
    try:
        world.upload(0, envelope)
    except ClientQuotaError as error:
        return error
    return None


def test_a_sealed_message_that_holds_no_envelope_is_refused(edge_world: World) -> None:
    parameters = edge_world.deployment
    binding = Binding(parameters.chain_id, parameters.ledger, 1, Purpose.UPLOAD)
    sealed = seal(b"\xc1 nothing", edge_keys(0).encapsulation.public_key, binding)
    answer = HTTP.post(f"{edge_world.servers[0].url}/v1/gradients", content=sealed)
    assert (answer.status_code, answer.json()["type"]) == (400, "MessageError")
    assert answer.headers["content-type"] == "application/problem+json"


# ---------------------------------------------------------------- operators


@pytest.mark.parametrize("path", ["/health", "/ready", "/v1/status", "/v1/node", "/openapi.json", "/docs"])
def test_operators_pages_answer(edge_world: World, path: str) -> None:
    assert HTTP.get(edge_world.servers[0].url + path).status_code == 200


def test_metrics_count_receipts_and_blocks(edge_world: World, number: int) -> None:
    edge_world.upload(0, edge_world.uploader(number).envelope())
    text = HTTP.get(f"{edge_world.servers[0].url}/metrics").text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["bflmec_receipts_total"]) >= 1
    assert float(values["bflmec_ready"]) == 1


def test_events_tell_of_a_receipt(edge_world: World, number: int) -> None:
    envelope = edge_world.uploader(number).envelope()
    with httpx.stream("GET", f"{edge_world.servers[0].url}/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": listening"
        edge_world.upload(0, envelope)
        assert any(digest_of(envelope).hex() in line for line in lines)


def test_settings_have_a_use_for_every_key() -> None:
    assert msgspec.convert(msgspec.to_builtins(EDGE_SETTINGS), type(EDGE_SETTINGS)) == EDGE_SETTINGS
