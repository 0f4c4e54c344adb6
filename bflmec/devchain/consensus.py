"""Headers of the embedded chain: Prague's fields (EIP-7840 and before) under a SHA-256 proof of work.

Everything in a header except its execution results, time and nonce follows from the parent, so a header is checked by
making it again. PREVRANDAO reads the mix hash, which is derived from the parent: predictable, and the same in each run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import rlp
from eth.constants import EMPTY_UNCLE_HASH
from eth.vm.forks.london.headers import calculate_expected_base_fee_per_gas
from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth_hash.auto import keccak

from bflmec.crypto.seal import NONCE_LIMIT, seal_holds, search
from bflmec.devchain.genesis import Genesis
from bflmec.errors import ChainError

GAS_LIMIT = 30_000_000
BLOCK_REWARD = 2 * 10**18  # EIP-1234
INITIAL_BASE_FEE = 10**9  # EIP-1559
GENESIS_EXTRA = b"BFL-MEC"

Header = Any  # eth.vm.forks.prague.blocks.PragueBlockHeader; py-evm is checked without its types

_NONCE_FIELD = PragueBlockHeader._meta.field_names.index("nonce")
_NONCES_BETWEEN_LOOKS = 1 << 16  # a tenth of a second
_EXECUTION_RESULTS = ("state_root", "transaction_root", "receipt_root", "bloom", "gas_used")

# py-evm describes every opcode, transaction and block at debug level, and logs what we turn into typed errors.
logging.getLogger("eth").setLevel(logging.CRITICAL)


def genesis_header(genesis: Genesis, state_root: bytes) -> Header:
    """Block 0. It needs no seal: it is recomputed from the parameters whenever a chain is opened."""
    return PragueBlockHeader(
        difficulty=genesis.difficulty,
        block_number=0,
        gas_limit=GAS_LIMIT,
        timestamp=genesis.timestamp,
        coinbase=genesis.miner,
        state_root=state_root,
        extra_data=GENESIS_EXTRA,
        nonce=bytes(8),
        base_fee_per_gas=INITIAL_BASE_FEE,
    )


def child_header(parent: Header, timestamp: int) -> Header:
    """The header that follows `parent` before anything is executed: the parent's state, no gas used, nonce 0."""
    return PragueBlockHeader(
        parent_hash=parent.hash,
        uncles_hash=EMPTY_UNCLE_HASH,
        coinbase=parent.coinbase,
        state_root=parent.state_root,
        difficulty=parent.difficulty,
        block_number=parent.block_number + 1,
        gas_limit=GAS_LIMIT,
        timestamp=timestamp,
        mix_hash=sha256(b"BFL-MEC/v1/randao" + parent.hash).digest(),
        nonce=bytes(8),
        base_fee_per_gas=calculate_expected_base_fee_per_gas(parent),
    )


def check_child(header: Header, parent: Header) -> None:
    """Raises ChainError unless `header` is sealed and follows `parent`; execution results are not looked at."""
    number = header.block_number
    if header.timestamp < parent.timestamp:
        raise ChainError(f"block {number} is older than its parent")
    expected = child_header(parent, header.timestamp)
    for name in header._meta.field_names:
        if name in _EXECUTION_RESULTS or name == "nonce":
            continue
        if getattr(header, name) != getattr(expected, name):
            raise ChainError(f"{name} of block {number} is not what follows from its parent")
    if header.gas_used > header.gas_limit:
        raise ChainError(f"block {number} uses more gas than its limit")
    if len(header.nonce) != 8 or not seal_holds(
        seal_digest(header), int.from_bytes(header.nonce, "big"), parent.difficulty
    ):
        raise ChainError(f"the seal of block {number} misses its target")


def seal_digest(header: Header) -> bytes:
    """keccak256(rlp(header without its nonce)): what the seal is searched over. 32 bytes."""
    fields = header.serialize(header)
    return bytes(keccak(rlp.encode(fields[:_NONCE_FIELD] + fields[_NONCE_FIELD + 1 :])))


def seal(header: Header, cancelled: Callable[[], bool] = lambda: False) -> Header:
    """`header` with the lowest nonce that seals it. Raises ChainError when there is none, or soon after `cancelled`."""
    digest = seal_digest(header)
    for start in range(0, NONCE_LIMIT, _NONCES_BETWEEN_LOOKS):
        nonce = search(digest, header.difficulty, start, _NONCES_BETWEEN_LOOKS)
        if nonce is not None:
            return header.copy(nonce=nonce.to_bytes(8, "big"))
        if cancelled():
            raise ChainError(f"the search for a nonce was stopped; block {header.block_number} was not mined")
    raise ChainError(f"no nonce seals block {header.block_number} at difficulty {header.difficulty}")
