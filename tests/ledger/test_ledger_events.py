"""The event of a block has one form: what Solidity encodes is understood, and anything else is refused."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from bflmec.errors import LedgerError
from bflmec.ledger.events import decode_log
from bflmec.ledger.interface import event_topic
from bflmec.protocol.blocks import (
    Header,
    Reward,
    SealedBlock,
    Transaction,
    encode_rewards,
    encode_transactions,
    transactions_hash,
)

digests, accounts = st.binary(min_size=32, max_size=32), st.binary(min_size=20, max_size=20)


@st.composite
def blocks(draw: st.DrawFn) -> SealedBlock:
    transaction = st.builds(Transaction, accounts, st.integers(0, 2**16 - 1), digests, digests)
    transactions = tuple(draw(st.lists(transaction, min_size=1, max_size=5)))
    rewards = tuple(draw(st.lists(st.builds(Reward, accounts, st.integers(1, 2**90)), max_size=4)))
    header = Header(
        parent=draw(digests),
        number=draw(st.integers(1, 2**32)),
        anchor=1,
        edge_node=draw(accounts),
        transactions_hash=transactions_hash(transactions),
        transaction_count=len(transactions),
        body_digest=draw(digests),
        global_digest=draw(digests),
        global_codec=85,
        rewards_root=draw(digests),
        rewards_total=draw(st.integers(0, 2**100)),
    )
    return SealedBlock(header, draw(st.integers(0, 2**64 - 1)), transactions, rewards)


def data_of(block: SealedBlock) -> bytes:
    """As eth_abi encodes what the contract emits."""
    header = block.header.encode()
    words = [header[start : start + 32] for start in range(0, len(header), 32)]
    types = ["bytes32"] * len(words) + ["uint64", "bytes", "bytes"]
    return encode(types, [*words, block.nonce, encode_transactions(block.transactions), encode_rewards(block.rewards)])


def log_of(block: SealedBlock, data: bytes) -> dict[str, Any]:
    header = block.header
    topics = [event_topic("BFLLedger", "BlockAppended"), header.number.to_bytes(32, "big"), header.hash]
    place = {"blockNumber": 7, "blockHash": b"\1" * 32, "transactionHash": b"\2" * 32}
    return {"data": data, "topics": [*topics, header.edge_node.rjust(32, b"\0")], **place}


@given(blocks())
def test_what_another_encoder_writes_is_understood(block: SealedBlock) -> None:
    assert decode_log(log_of(block, data_of(block))).block == block


@given(blocks(), st.data())
def test_no_two_forms_are_understood_as_one_block(block: SealedBlock, data: st.DataObject) -> None:
    content = bytearray(data_of(block))
    index = data.draw(st.integers(0, len(content) - 1))
    content[index] ^= data.draw(st.integers(1, 255))
    try:
        understood = decode_log(log_of(block, bytes(content))).block
    except LedgerError:
        return
    assert data_of(understood) == content


@given(blocks(), st.data())
def test_an_event_that_is_cut_or_has_more_is_refused(block: SealedBlock, data: st.DataObject) -> None:
    content = data_of(block)
    cut = content[: data.draw(st.integers(0, len(content) - 1))]
    for other in (cut, content + data.draw(st.binary(min_size=1, max_size=64))):
        with pytest.raises(LedgerError):
            decode_log(log_of(block, other))


@given(blocks(), st.binary(max_size=600))
def test_garbage_is_refused(block: SealedBlock, garbage: bytes) -> None:
    with pytest.raises(LedgerError):
        decode_log(log_of(block, garbage))
