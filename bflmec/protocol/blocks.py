"""Blocks of the ledger: header, transaction set and reward list, in the bytes that the contracts hash.

Mirrors `contracts/interfaces/IBFLLedger.sol`. Accounts are 20 bytes, digests 32 bytes, integers unsigned big-endian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from struct import Struct

from eth_hash.auto import keccak

from bflmec.errors import MessageError

ZERO_DIGEST = bytes(32)

_transaction = Struct(">20sH32s32s")
TRANSACTION_SIZE = _transaction.size
REWARD_SIZE = 32


def _word(value: int | bytes, name: str, bits: int) -> bytes:
    if isinstance(value, bytes):
        if len(value) * 8 != bits:
            raise MessageError(f"{name} must be {bits // 8} bytes, not {len(value)}")
        return value.rjust(32, b"\0")
    if not 0 <= value < 1 << bits:
        raise MessageError(f"{name} must fit {bits} bits, not {value}")
    return value.to_bytes(32, "big")


@dataclass(frozen=True, slots=True)
class Header:
    """What a seal and a certificate stand for. `anchor` is the newest anchor once this block is appended: its own
    number if it carries a global update (`global_digest` not zero), else its parent's anchor."""

    parent: bytes
    number: int
    anchor: int
    edge_node: bytes
    transactions_hash: bytes
    transaction_count: int
    body_digest: bytes
    global_digest: bytes
    global_codec: int
    rewards_root: bytes
    rewards_total: int

    def encode(self) -> bytes:
        """abi.encode of the Solidity struct: eleven words, 352 bytes."""
        return b"".join(_word(getattr(self, name), name, bits) for name, bits in _HEADER_BITS.items())

    @classmethod
    def decode(cls, data: bytes) -> Header:
        """Inverse of `encode`. Raises MessageError on anything but the canonical bytes."""
        if len(data) != 32 * len(_HEADER_BITS):
            raise MessageError(f"a block header has {32 * len(_HEADER_BITS)} bytes, not {len(data)}")
        values: list[int | bytes] = []
        for index, (name, bits) in enumerate(_HEADER_BITS.items()):
            word = data[32 * index : 32 * index + 32]
            if any(word[: 32 - bits // 8]):
                raise MessageError(f"{name} of a block header is padded with something else than zeros")
            content = word[32 - bits // 8 :]
            values.append(content if name in _HEADER_BYTES else int.from_bytes(content, "big"))
        return cls(*values)  # type: ignore[arg-type]  # the table gives each field its own type

    @property
    def hash(self) -> bytes:
        """keccak256(abi.encode(header)): the block's identity, sealed and certified."""
        return keccak(self.encode())

    @property
    def is_global_update(self) -> bool:
        return self.global_digest != ZERO_DIGEST


_HEADER_BITS = dict(
    zip([f.name for f in fields(Header)], [256, 64, 64, 160, 256, 32, 256, 256, 8, 256, 128], strict=True)
)
_HEADER_BYTES = frozenset(f.name for f in fields(Header) if f.type == "bytes")


@dataclass(frozen=True, slots=True)
class Transaction:
    """One local gradient's entry in a transaction set (Algorithm 3, line 11): sender, receiver and digests.

    `receiver` is the edge node's id in the registry of participants, `gradient` the SHA-256 of the signed local
    gradient header, `signature` the SHA-256 of the signature over it.
    """

    client: bytes
    receiver: int
    gradient: bytes
    signature: bytes

    def encode(self) -> bytes:
        """86 bytes: client (20), receiver (2), gradient (32), signature (32)."""
        return _transaction.pack(self.client, self.receiver, self.gradient, self.signature)


@dataclass(frozen=True, slots=True)
class Reward:
    """`amount` in the reward token's smallest unit, credited to `account`."""

    account: bytes
    amount: int

    def encode(self) -> bytes:
        """32 bytes: account (20), amount (12)."""
        return self.account + self.amount.to_bytes(12, "big")


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A block whose nonce was found (Eq. II.3): everything of it that the ledger is given, but the certificate."""

    header: Header
    nonce: int
    transactions: tuple[Transaction, ...]
    rewards: tuple[Reward, ...]


def encode_transactions(transactions: Sequence[Transaction]) -> bytes:
    return b"".join(transaction.encode() for transaction in transactions)


def decode_transactions(data: bytes) -> list[Transaction]:
    if len(data) % TRANSACTION_SIZE:
        raise MessageError(f"a transaction set is a multiple of {TRANSACTION_SIZE} bytes, not {len(data)}")
    return [Transaction(*parts) for parts in _transaction.iter_unpack(data)]


def encode_rewards(rewards: Sequence[Reward]) -> bytes:
    return b"".join(reward.encode() for reward in rewards)


def decode_rewards(data: bytes) -> list[Reward]:
    if len(data) % REWARD_SIZE:
        raise MessageError(f"a reward list is a multiple of {REWARD_SIZE} bytes, not {len(data)}")
    return [
        Reward(data[i : i + 20], int.from_bytes(data[i + 20 : i + REWARD_SIZE], "big"))
        for i in range(0, len(data), REWARD_SIZE)
    ]


def transactions_hash(transactions: Sequence[Transaction]) -> bytes:
    return keccak(encode_transactions(transactions))


def genesis_parent(chain_id: int, ledger: bytes) -> bytes:
    """The parent of block 1: keccak256(abi.encode(chain id, ledger address)), so that no two ledgers share a block."""
    return keccak(chain_id.to_bytes(32, "big") + ledger.rjust(32, b"\0"))
