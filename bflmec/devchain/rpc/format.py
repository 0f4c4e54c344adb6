"""Results as Ethereum nodes write them."""

from __future__ import annotations

from typing import Any

import rlp
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address

from bflmec.devchain.blocks import Block
from bflmec.devchain.history import Position
from bflmec.devchain.logs import FoundLog
from bflmec.devchain.transactions import Transaction

Json = Any  # what json.dumps takes


def data(value: bytes) -> str:
    return "0x" + value.hex()


def block_json(block: Block, whole_transactions: list[Json] | None = None) -> Json:
    """`whole_transactions` None: transactions as hashes."""
    header = block.header
    return {
        "number": hex(block.number),
        "hash": data(block.hash),
        "parentHash": data(header.parent_hash),
        "nonce": data(header.nonce),
        "mixHash": data(header.mix_hash),
        "sha3Uncles": data(header.uncles_hash),
        "logsBloom": bloom(header.bloom),
        "transactionsRoot": data(header.transaction_root),
        "stateRoot": data(header.state_root),
        "receiptsRoot": data(header.receipt_root),
        "miner": to_checksum_address(header.coinbase),
        "difficulty": hex(header.difficulty),
        "totalDifficulty": hex(header.difficulty * (block.number + 1)),
        "extraData": data(header.extra_data),
        "size": hex(len(rlp.encode([header, block.raw_transactions, []]))),
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "timestamp": hex(header.timestamp),
        "baseFeePerGas": hex(header.base_fee_per_gas),
        "withdrawalsRoot": data(header.withdrawals_root),
        "blobGasUsed": hex(header.blob_gas_used),
        "excessBlobGas": hex(header.excess_blob_gas),
        "parentBeaconBlockRoot": data(header.parent_beacon_block_root),
        "requestsHash": data(header.requests_hash),
        "withdrawals": [],
        "uncles": [],
        "transactions": whole_transactions
        if whole_transactions is not None
        else [data(transaction_hash) for transaction_hash in block.transaction_hashes],
    }


def bloom(value: int) -> str:
    return f"0x{value:0512x}"


def mined_transaction_json(position: Position) -> Json:
    block = position.block
    price = effective_gas_price(position.transaction, block)
    return _transaction_json(position.transaction, block.transaction_hashes[position.index], price) | {
        "blockHash": data(block.hash),
        "blockNumber": hex(block.number),
        "transactionIndex": hex(position.index),
    }


def pending_transaction_json(transaction: Transaction, transaction_hash: bytes) -> Json:
    return _transaction_json(transaction, transaction_hash, transaction.max_fee_per_gas) | {
        "blockHash": None,
        "blockNumber": None,
        "transactionIndex": None,
    }


def effective_gas_price(transaction: Transaction, block: Block) -> int:
    """Wei per gas that was paid (EIP-1559)."""
    return int(min(transaction.max_fee_per_gas, block.header.base_fee_per_gas + transaction.max_priority_fee_per_gas))


def transaction_type(transaction: Transaction) -> int:
    return transaction.type_id or 0


def _transaction_json(transaction: Transaction, transaction_hash: bytes, gas_price: int) -> Json:
    kind = transaction_type(transaction)
    fields: dict[str, Json] = {
        "hash": data(transaction_hash),
        "type": hex(kind),
        "chainId": hex(transaction.chain_id),
        "nonce": hex(transaction.nonce),
        "from": to_checksum_address(transaction.sender),
        "to": _address_or_none(transaction.to),
        "value": hex(transaction.value),
        "gas": hex(transaction.gas),
        "gasPrice": hex(gas_price),
        "input": data(transaction.data),
        "v": hex(transaction.y_parity if kind else transaction.v),
        "r": hex(transaction.r),
        "s": hex(transaction.s),
    }
    if kind:
        fields["yParity"] = hex(transaction.y_parity)
        fields["accessList"] = [
            {"address": to_checksum_address(account), "storageKeys": [f"0x{key:064x}" for key in keys]}
            for account, keys in transaction.access_list
        ]
    if kind >= 2:
        fields["maxFeePerGas"] = hex(transaction.max_fee_per_gas)
        fields["maxPriorityFeePerGas"] = hex(transaction.max_priority_fee_per_gas)
    if kind == 4:
        fields["authorizationList"] = [_authorization_json(entry) for entry in transaction.authorization_list]
    return fields


def _authorization_json(entry: Any) -> Json:
    return {
        "chainId": hex(entry.chain_id),
        "address": to_checksum_address(entry.address),
        "nonce": hex(entry.nonce),
        "yParity": hex(entry.y_parity),
        "r": hex(entry.r),
        "s": hex(entry.s),
    }


def receipt_json(position: Position) -> Json:
    block, index, transaction, receipt = position.block, position.index, position.transaction, position.receipt
    gas_before = block.receipts[index - 1].gas_used if index else 0
    return {
        "transactionHash": data(block.transaction_hashes[index]),
        "transactionIndex": hex(index),
        "blockHash": data(block.hash),
        "blockNumber": hex(block.number),
        "from": to_checksum_address(transaction.sender),
        "to": _address_or_none(transaction.to),
        "contractAddress": None if transaction.to else to_checksum_address(created_address(transaction)),
        "type": hex(transaction_type(transaction)),
        "status": hex(1 if receipt.state_root == b"\x01" else 0),
        "gasUsed": hex(receipt.gas_used - gas_before),
        "cumulativeGasUsed": hex(receipt.gas_used),
        "effectiveGasPrice": hex(effective_gas_price(transaction, block)),
        "logsBloom": bloom(receipt.bloom),
        "logs": [
            log_json(FoundLog(block, position_of_log, log_index, log))
            for position_of_log, log_index, log in block.logs()
            if position_of_log == index
        ],
    }


def created_address(transaction: Transaction) -> bytes:
    return bytes(keccak(rlp.encode([transaction.sender, transaction.nonce])))[12:]


def log_json(found: FoundLog) -> Json:
    return {
        "address": to_checksum_address(found.log.address),
        "topics": [f"0x{topic:064x}" for topic in found.log.topics],
        "data": data(found.log.data),
        "blockNumber": hex(found.block.number),
        "blockHash": data(found.block.hash),
        "transactionHash": data(found.block.transaction_hashes[found.position]),
        "transactionIndex": hex(found.position),
        "logIndex": hex(found.index),
        "removed": False,
    }


def _address_or_none(address: bytes) -> str | None:
    return to_checksum_address(address) if address else None
