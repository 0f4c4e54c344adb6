"""Methods that read blocks, transactions and receipts."""

from __future__ import annotations

from bflmec.devchain.blocks import Block
from bflmec.devchain.chain import DevChain
from bflmec.devchain.history import Position
from bflmec.devchain.rpc.format import (
    Json,
    block_json,
    data,
    mined_transaction_json,
    pending_transaction_json,
    receipt_json,
)
from bflmec.devchain.rpc.methods import Methods
from bflmec.devchain.rpc.params import existing_block, parse_data, parse_index, parse_object, state_block


class BlockMethods:
    """What does not exist is null."""

    def __init__(self, chain: DevChain) -> None:
        self._chain = chain

    def methods(self) -> Methods:
        by_number, by_hash = self._by_number, self._by_hash
        return {
            "eth_getBlockByNumber": lambda tag, whole=False: _block(by_number(tag), whole),
            "eth_getBlockByHash": lambda block_hash, whole=False: _block(by_hash(block_hash), whole),
            "eth_getBlockTransactionCountByNumber": lambda tag: _transaction_count(by_number(tag)),
            "eth_getBlockTransactionCountByHash": lambda block_hash: _transaction_count(by_hash(block_hash)),
            "eth_getTransactionByBlockNumberAndIndex": lambda tag, index: _transaction(by_number(tag), index),
            "eth_getTransactionByBlockHashAndIndex": lambda block_hash, index: _transaction(by_hash(block_hash), index),
            "eth_getUncleCountByBlockNumber": lambda tag: _uncle_count(by_number(tag)),
            "eth_getUncleCountByBlockHash": lambda block_hash: _uncle_count(by_hash(block_hash)),
            "eth_getUncleByBlockNumberAndIndex": lambda tag, index: _no_uncle(by_number(tag), index),
            "eth_getUncleByBlockHashAndIndex": lambda block_hash, index: _no_uncle(by_hash(block_hash), index),
            "eth_getBlockReceipts": self._block_receipts,
            "eth_getTransactionByHash": self._transaction_by_hash,
            "eth_getRawTransactionByHash": self._raw_transaction,
            "eth_getTransactionReceipt": self._receipt,
        }

    def _by_number(self, tag: Json) -> Block | None:
        number = existing_block(self._chain, tag)
        return None if number is None else self._chain.block(number)

    def _by_hash(self, block_hash: Json) -> Block | None:
        return self._chain.block_by_hash(parse_data(block_hash, "block hash", 32))

    def _block_receipts(self, tag: Json) -> Json:
        if isinstance(tag, str) and len(tag) == 66:
            block = self._by_hash(tag)
        elif isinstance(tag, str):
            block = self._by_number(tag)
        else:
            block = self._chain.block(state_block(self._chain, parse_object(tag, "block")))
        if block is None:
            return None
        return [receipt_json(Position(block, index)) for index in range(len(block.raw_transactions))]

    def _transaction_by_hash(self, transaction_hash: Json) -> Json:
        wanted = parse_data(transaction_hash, "transaction hash", 32)
        with self._chain.lock:  # so that a transaction can't go from the mempool into a block between the two looks
            position, pending = self._chain.position(wanted), self._chain.pending(wanted)
        if position is not None:
            return mined_transaction_json(position)
        return None if pending is None else pending_transaction_json(pending, wanted)

    def _raw_transaction(self, transaction_hash: Json) -> Json:
        wanted = parse_data(transaction_hash, "transaction hash", 32)
        with self._chain.lock:
            position, pending = self._chain.position(wanted), self._chain.pending(wanted)
        if position is not None:
            return data(position.block.raw_transactions[position.index])
        return None if pending is None else data(pending.encode())

    def _receipt(self, transaction_hash: Json) -> Json:
        position = self._chain.position(parse_data(transaction_hash, "transaction hash", 32))
        return None if position is None else receipt_json(position)


def _block(block: Block | None, whole: Json) -> Json:
    if block is None:
        return None
    if whole is not True:
        return block_json(block)
    positions = (Position(block, index) for index in range(len(block.raw_transactions)))
    return block_json(block, [mined_transaction_json(position) for position in positions])


def _transaction(block: Block | None, index: Json) -> Json:
    position = parse_index(index)
    if block is None or position >= len(block.raw_transactions):
        return None
    return mined_transaction_json(Position(block, position))


def _transaction_count(block: Block | None) -> Json:
    return None if block is None else hex(len(block.raw_transactions))


def _uncle_count(block: Block | None) -> Json:
    return None if block is None else "0x0"


def _no_uncle(_block: Block | None, index: Json) -> Json:
    parse_index(index)
    return None
