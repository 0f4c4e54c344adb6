"""Headers, transaction sets and reward lists in the bytes that the contracts hash."""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path

import pytest
from eth_abi.abi import encode as abi_encode
from eth_abi.packed import encode_packed
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from bflmec.errors import MessageError
from bflmec.protocol.blocks import (
    Header,
    Reward,
    Transaction,
    decode_rewards,
    decode_transactions,
    encode_rewards,
    encode_transactions,
    genesis_parent,
    transactions_hash,
)

VECTORS = json.loads((Path(__file__).parent / "vectors" / "blocks.json").read_text())

HEADER = Header(
    parent=bytes(range(32)),
    number=258,
    anchor=257,
    edge_node=bytes(range(32, 52)),
    transactions_hash=bytes(range(52, 84)),
    transaction_count=200,
    body_digest=bytes(range(84, 116)),
    global_digest=bytes(32),
    global_codec=0,
    rewards_root=bytes(range(116, 148)),
    rewards_total=3 * 10**20,
)
TRANSACTIONS = [Transaction(bytes([i]) * 20, 256 + i, bytes([i + 1]) * 32, bytes([i + 2]) * 32) for i in range(3)]
REWARDS = [Reward(bytes([i]) * 20, 10**18 + i) for i in range(3)]
SOLIDITY = ["bytes32", "uint64", "uint64", "address", "bytes32", "uint32"] + ["bytes32"] * 2 + ["uint8"]
SOLIDITY += ["bytes32", "uint128"]


def uints(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


def exactly(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


digests, accounts = exactly(32), exactly(20)
headers = st.builds(
    Header, digests, uints(64), uints(64), accounts, digests, uints(32), digests, digests, uints(8), digests, uints(128)
)
transactions = st.lists(st.builds(Transaction, accounts, uints(16), digests, digests), max_size=5)
rewards = st.lists(st.builds(Reward, accounts, uints(96)), max_size=5)


def test_golden_bytes_and_hashes() -> None:
    assert HEADER.encode().hex() == VECTORS["header"]
    assert HEADER.hash.hex() == VECTORS["header hash"]
    assert encode_transactions(TRANSACTIONS).hex() == VECTORS["transactions"]
    assert transactions_hash(TRANSACTIONS).hex() == VECTORS["transactions hash"]
    assert encode_rewards(REWARDS).hex() == VECTORS["rewards"]
    assert genesis_parent(1337, b"\x1e" * 20).hex() == VECTORS["genesis parent"]


@given(headers)
def test_a_header_is_encoded_as_solidity_encodes_the_struct(header: Header) -> None:
    assert header.encode() == abi_encode(SOLIDITY, astuple(header))
    assert header.hash == keccak(header.encode())
    assert Header.decode(header.encode()) == header


@given(transactions)
def test_a_transaction_set_is_packed_as_solidity_packs_it(entries: list[Transaction]) -> None:
    types = ["address", "uint16", "bytes32", "bytes32"]
    assert encode_transactions(entries) == b"".join(encode_packed(types, astuple(entry)) for entry in entries)
    assert decode_transactions(encode_transactions(entries)) == entries


@given(rewards)
def test_a_reward_list_is_packed_as_solidity_packs_it(entries: list[Reward]) -> None:
    assert encode_rewards(entries) == b"".join(
        encode_packed(["address", "uint96"], astuple(entry)) for entry in entries
    )
    assert decode_rewards(encode_rewards(entries)) == entries


@given(uints(64), accounts)
def test_the_genesis_parent_binds_chain_and_ledger(chain_id: int, ledger: bytes) -> None:
    assert genesis_parent(chain_id, ledger) == keccak(abi_encode(["uint256", "address"], [chain_id, ledger]))


@given(headers, st.data())
def test_a_header_with_other_bytes_is_another_header_or_none(header: Header, data: st.DataObject) -> None:
    encoded = bytearray(header.encode())
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        other = Header.decode(bytes(encoded))
    except MessageError:
        return
    assert other != header
    assert other.encode() == bytes(encoded)


@pytest.mark.parametrize("size", [0, 351, 353])
def test_a_header_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(MessageError, match="352 bytes"):
        Header.decode(bytes(size))


@pytest.mark.parametrize("decode", [decode_transactions, decode_rewards])
def test_a_list_with_a_part_of_an_entry_is_refused(decode: object) -> None:
    with pytest.raises(MessageError, match="multiple"):
        decode(bytes(33))  # type: ignore[operator]


@pytest.mark.parametrize(("name", "value"), [("number", 2**64), ("anchor", -1), ("edge_node", b""), ("parent", b"a")])
def test_a_header_that_does_not_fit_its_words_has_no_bytes(name: str, value: int | bytes) -> None:
    fields = {field: getattr(HEADER, field) for field in HEADER.__dataclass_fields__}
    with pytest.raises(MessageError, match=name):
        Header(**{**fields, name: value}).encode()


def test_a_header_is_a_global_update_if_it_has_a_global_digest() -> None:
    fields = {field: getattr(HEADER, field) for field in HEADER.__dataclass_fields__}
    assert not HEADER.is_global_update
    assert Header(**{**fields, "global_digest": bytes(31) + b"\x01"}).is_global_update
