"""The history that a block body names, and the manifest behind its digest."""

from __future__ import annotations

import pytest
from protocol_world import ProtocolWorld

from bflmec.protocol.blocks import ZERO_DIGEST, SealedBlock
from bflmec.protocol.manifest import decode_manifest, encode_manifest, history_digest
from bflmec.protocol.messages import MAX_BODY, Body, GradientHeader, decode, encode
from bflmec.storage.cid import RAW, Cid


@pytest.fixture
def world() -> ProtocolWorld:
    return ProtocolWorld()


def body_of(world: ProtocolWorld, block: SealedBlock) -> Body:
    return decode(Body, world.blobs.get(Cid(RAW, block.header.body_digest), MAX_BODY))


def test_a_body_names_the_history_after_its_global_update(world: ProtocolWorld) -> None:
    plain = world.run_block(world.envelope(0, 1))
    update = world.run_block(*(world.envelope(client, 2) for client in range(4)))
    assert body_of(world, plain).history == ZERO_DIGEST
    assert body_of(world, update).history == history_digest(world.nodes[0].assembler.aggregator.history)


def test_a_manifest_names_the_entries_in_order(world: ProtocolWorld) -> None:
    world.run_block(*(world.envelope(client) for client in range(4)))
    history = world.nodes[0].assembler.aggregator.history
    assert decode_manifest(encode_manifest(history)) == [entry.digest for entry in history]


@pytest.mark.parametrize("length", [1, 31, 33, 32 * 2049])
def test_a_manifest_of_impossible_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="manifest"):
        decode_manifest(bytes(length))


def test_an_encoded_body_of_one_entry_carries_its_header(world: ProtocolWorld) -> None:
    block = world.run_block(world.envelope())
    body = body_of(world, block)
    assert GradientHeader.decode(body.entries[0].header).digest == block.transactions[0].gradient
    assert decode(Body, encode(body)) == body
