"""The state of the ledger in bytes: back to the same state, and never back to another one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol_world import ProtocolWorld

from bflmec.errors import MessageError
from bflmec.protocol.ledger_state import LedgerState
from bflmec.protocol.state_codec import decode_state, encode_state


def a_state() -> LedgerState:
    world = ProtocolWorld(edge_nodes=1, miner_reward=10**20)
    for sequence in (1, 2, 70):
        world.run_block(*(world.envelope(client, sequence) for client in range(4)))
    world.run_block(world.envelope(0, 71))
    return world.nodes[0].state


STATE = a_state()
DATA = encode_state(STATE)


def decoded(data: bytes) -> LedgerState:
    return decode_state(data, STATE.parameters, STATE.hashes, STATE.anchors)


def test_a_decoded_state_is_the_same_one() -> None:
    assert decoded(DATA) == STATE
    assert encode_state(decoded(DATA)) == DATA


def test_a_new_state_is_encoded_too() -> None:
    genesis = LedgerState(STATE.parameters)
    assert decode_state(encode_state(genesis), STATE.parameters, genesis.hashes, genesis.anchors) == genesis


def test_a_copy_goes_its_own_way() -> None:
    world = ProtocolWorld(edge_nodes=1)
    world.run_block(world.envelope(0), world.envelope(1))
    state = world.nodes[0].state
    twin = state.copy()
    before = encode_state(twin), list(twin.hashes), dict(twin.anchors)
    world.run_block(world.envelope(0, 2), world.envelope(2), world.envelope(3))
    assert (encode_state(twin), twin.hashes, twin.anchors) == before
    assert twin != state


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_refused(position: int, flip: int) -> None:
    damaged = bytearray(DATA)
    damaged[position] ^= flip
    with pytest.raises(MessageError):
        decoded(bytes(damaged))


@pytest.mark.parametrize("hashes", [STATE.hashes[:-1], [*STATE.hashes, bytes(32)]], ids=["one short", "one more"])
def test_the_hashes_of_another_state_are_refused(hashes: list[bytes]) -> None:
    with pytest.raises(MessageError, match="belong together"):
        decode_state(DATA, STATE.parameters, hashes, STATE.anchors)


def test_the_anchors_of_another_state_are_refused() -> None:
    anchors = {number: anchor for number, anchor in STATE.anchors.items() if number != STATE.anchor}
    with pytest.raises(MessageError, match="belong together"):
        decode_state(DATA, STATE.parameters, STATE.hashes, anchors)
