"""Event logs, found through the bloom filter that every header carries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from eth_hash.auto import keccak

from bflmec.devchain.blocks import Block

MAX_BLOCK_RANGE = 10_000
MAX_LOGS = 10_000


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Any of `addresses`, and at each position any of the topics given there; nothing given there matches everything.

    Addresses are 20 bytes, topics 32.
    """

    addresses: frozenset[bytes] = frozenset()
    topics: tuple[frozenset[bytes], ...] = ()

    def may_match(self, bloom: int) -> bool:
        """False only if no log under the bloom filter `bloom` (2,048 bits) can match."""
        wanted = [group for group in (self.addresses, *self.topics) if group]
        return all(any(bloom & bits == bits for bits in map(bloom_bits, group)) for group in wanted)

    def matches(self, log: Any) -> bool:
        if self.addresses and log.address not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        return all(
            not group or topic.to_bytes(32, "big") in group
            for group, topic in zip(self.topics, log.topics, strict=False)
        )


@dataclass(frozen=True, slots=True)
class FoundLog:
    block: Block
    position: int  # of the transaction in the block
    index: int  # of the log in the block
    log: Any  # eth.rlp.logs.Log


def logs_in(block: Block, wanted: LogFilter) -> Iterator[FoundLog]:
    if wanted.may_match(block.header.bloom):
        for position, index, log in block.logs():
            if wanted.matches(log):
                yield FoundLog(block, position, index, log)


def bloom_bits(value: bytes) -> int:
    """The three bits that `value` sets in a bloom filter (yellow paper, 4.4.3)."""
    digest = keccak(value)
    return (
        1 << (int.from_bytes(digest[0:2], "big") & 2047)
        | 1 << (int.from_bytes(digest[2:4], "big") & 2047)
        | 1 << (int.from_bytes(digest[4:6], "big") & 2047)
    )
