"""What an embedded chain starts from. Two chains with the same genesis parameters have the same block 0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bflmec.errors import ChainError

DEFAULT_CHAIN_ID = 1337
DEFAULT_DIFFICULTY = 1 << 10
MAX_DIFFICULTY = 1 << 40

_UINT256 = 1 << 256


@dataclass(frozen=True)
class Genesis:
    """Parameters fixed for the life of a chain.

    `difficulty` is the constant of the seal (Eq. II.3), `miner` the 20-byte account that earns fees and block rewards,
    `balances` the wei of each 20-byte account at the start, `timestamp` the seconds of block 0.
    Raises ChainError for values that no chain can have.
    """

    timestamp: int
    chain_id: int = DEFAULT_CHAIN_ID
    difficulty: int = DEFAULT_DIFFICULTY
    miner: bytes = bytes(20)
    balances: Mapping[bytes, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_range("timestamp", self.timestamp, 0, 1 << 63)
        _check_range("chain id", self.chain_id, 1, 1 << 53)
        _check_range("difficulty", self.difficulty, 1, MAX_DIFFICULTY + 1)
        for account in (self.miner, *self.balances):
            if not isinstance(account, bytes) or len(account) != 20:
                raise ChainError(f"an account of the genesis is 20 bytes, not {account!r}")
        for balance in self.balances.values():
            _check_range("balance", balance, 0, _UINT256)
        if sum(self.balances.values()) >= _UINT256:
            raise ChainError("the balances of the genesis sum to 2^256 or more")
        object.__setattr__(self, "balances", MappingProxyType(dict(sorted(self.balances.items()))))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Genesis) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def to_json(self) -> str:
        """One line of JSON; accounts in hex, balances as decimal text."""
        return json.dumps(
            {
                "chain_id": self.chain_id,
                "difficulty": self.difficulty,
                "miner": self.miner.hex(),
                "timestamp": self.timestamp,
                "balances": {account.hex(): str(balance) for account, balance in self.balances.items()},
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Genesis:
        """Inverse of `to_json`. Raises ChainError on anything else."""
        try:
            data = json.loads(text)
            balances = data.pop("balances")
            return cls(
                miner=bytes.fromhex(data.pop("miner")),
                balances={bytes.fromhex(account): int(balance) for account, balance in balances.items()},
                **data,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ChainError("the genesis parameters in the chain file are damaged; restore it from a copy") from error


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value < high:
        raise ChainError(f"{name} of the genesis must be an integer from {low} to {high - 1}, not {value!r}")
