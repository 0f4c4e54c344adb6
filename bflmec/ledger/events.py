"""Blocks of the ledger, rebuilt from the one event that each append leaves.

The certificate is not in the event: it was checked by the contract, and stays in the calldata.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address
from web3 import Web3

from bflmec.errors import LedgerError, MessageError
from bflmec.ledger.interface import event_topic
from bflmec.ledger.refusals import ledger_errors
from bflmec.protocol.blocks import Header, SealedBlock, decode_rewards, decode_transactions

HOST_BLOCKS_PER_QUERY = 2_000  # what public nodes allow

_REORGANISATION = 64  # host blocks by which a block may have moved since it was seen
_HEADER_SIZE = 352
_FIXED_SIZE = _HEADER_SIZE + 3 * 32  # then a nonce and where transactions and rewards begin


@dataclass(frozen=True, slots=True)
class RecordedBlock:
    """A block as it was appended, and the host chain's block and transaction that hold it."""

    block: SealedBlock
    host_block: int
    host_hash: bytes
    host_transaction: bytes


class BlockEvents:
    """Reads the events of the ledger at `address`, deployed in host block `start`."""

    def __init__(self, w3: Web3, address: bytes, start: int) -> None:
        self._w3 = w3
        self._address = to_checksum_address(address)
        self._topic = event_topic("BFLLedger", "BlockAppended")
        self._places = [start]  # host block of each ledger block seen so far, by number

    def between(self, first: int, last: int) -> Iterator[RecordedBlock]:
        """Ledger blocks `first` to `last`, both included, in order; ends early where the ledger does.

        Raises LedgerError if an event is missing or contradicts itself.
        """
        wanted = max(first, 1)
        with ledger_errors():
            newest = self._w3.eth.block_number
        start = max(self._places[min(wanted, len(self._places)) - 1] - _REORGANISATION, self._places[0])
        while wanted <= last and start <= newest:
            end = min(start + HOST_BLOCKS_PER_QUERY - 1, newest)
            for recorded in self.within(start, end):
                number = recorded.block.header.number
                if number > last:
                    return
                if number > wanted:
                    raise LedgerError(f"the chain holds block {number} of the ledger, but no event of block {wanted}")
                if number == len(self._places):
                    self._places.append(recorded.host_block)
                if number == wanted:
                    wanted += 1
                    yield recorded
            start = end + 1

    def within(self, start: int, end: int) -> list[RecordedBlock]:
        """The ledger's blocks in host blocks `start` to `end`, both included, with one query. Raises LedgerError."""
        with ledger_errors():
            logs = self._w3.eth.get_logs(
                {
                    "fromBlock": start,
                    "toBlock": end,
                    "address": self._address,
                    "topics": ["0x" + self._topic.hex()],
                }
            )
        return [decode_log(log) for log in logs]


def decode_log(log: Any) -> RecordedBlock:
    """The block in a BlockAppended log. Raises LedgerError unless it is exactly what the contract writes."""
    data, topics = bytes(log["data"]), [bytes(topic) for topic in log["topics"]]
    try:
        header = Header.decode(data[:_HEADER_SIZE])
        nonce, transactions, rewards = _tail(data)
        block = SealedBlock(header, nonce, tuple(decode_transactions(transactions)), tuple(decode_rewards(rewards)))
    except MessageError as error:
        raise LedgerError(f"an event of the ledger is malformed: {error}") from error
    if topics[1:] != [header.number.to_bytes(32, "big"), header.hash, header.edge_node.rjust(32, b"\0")]:
        raise LedgerError(f"the event of block {header.number} contradicts itself; use another node of the chain")
    return RecordedBlock(block, int(log["blockNumber"]), bytes(log["blockHash"]), bytes(log["transactionHash"]))


def _tail(data: bytes) -> tuple[int, bytes, bytes]:
    """Nonce, transactions and rewards: `uint64, bytes, bytes` as Solidity encodes them and in no other way.

    By hand, since a general decoder takes a third of the time that reading a long ledger takes.
    """
    words = [int.from_bytes(data[start : start + 32], "big") for start in range(_HEADER_SIZE, _FIXED_SIZE, 32)]
    transactions, middle = _bytes_at(data, _FIXED_SIZE)
    rewards, end = _bytes_at(data, middle)
    nonce, *offsets = words
    if nonce >> 64 or offsets != [_FIXED_SIZE, middle] or end != len(data):
        raise MessageError("nonce, transactions and rewards are not where they should be")
    return nonce, transactions, rewards


def _bytes_at(data: bytes, start: int) -> tuple[bytes, int]:
    """Bytes with their length before them and zeros after them, and where those end."""
    first = start + 32
    last = first + int.from_bytes(data[start:first], "big")
    end = last + -last % 32
    if end > len(data) or any(data[last:end]):
        raise MessageError("a field is longer than its event")
    return data[first:last], end
