"""What a transaction pays per gas: EIP-1559 where blocks have a base fee, a legacy gas price elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from web3 import Web3
from web3.exceptions import Web3Exception

from bflmec.errors import LedgerError

GWEI = 10**9
_FALLBACK_TIP = GWEI
_TIP_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeePolicy:
    """How an account pays. `cap` is in wei per gas, `replace_after` in seconds.

    `kind` "legacy" uses gas prices even where blocks have a base fee. A transaction that no block has taken after
    `replace_after` is replaced by the same one with an eighth more, again and again, up to `cap`.
    """

    kind: Literal["auto", "legacy"] = "auto"
    cap: int = 500 * GWEI
    replace_after: float = 30.0


@dataclass(frozen=True, slots=True)
class Fees:
    """The most that is paid per gas, and of that the miner's part; `tip` None is a legacy gas price. In wei."""

    most: int
    tip: int | None = None

    def fields(self) -> dict[str, int]:
        """As the fields of a transaction."""
        if self.tip is None:
            return {"gasPrice": self.most}
        return {"maxFeePerGas": self.most, "maxPriorityFeePerGas": self.tip}

    def raised(self) -> Fees:
        """An eighth more: nodes take a replacement that pays a tenth more."""
        return Fees(_raised(self.most), None if self.tip is None else _raised(self.tip))

    def at_least(self, other: Fees) -> Fees:
        """Not below `other` in either part; `other` may be of the other kind."""
        if self.tip is None:
            return Fees(max(self.most, other.most))
        return Fees(max(self.most, other.most), max(self.tip, other.tip or 0))


class Suggestions:
    """What the node of `w3` suggests to pay now."""

    def __init__(self, w3: Web3, policy: FeePolicy) -> None:
        self._w3 = w3
        self._policy = policy
        self._tip: tuple[float, int] | None = None

    def above(self, fees: Fees) -> Fees:
        """Enough more to be taken in place of what pays `fees`. Raises LedgerError if that exceeds the cap."""
        more = fees.raised().at_least(self.now())
        self._check(more.most)
        return more

    def now(self) -> Fees:
        """Raises LedgerError if the network wants more than the cap."""
        base_fee = None
        if self._policy.kind == "auto":
            base_fee = self._w3.eth.get_block("latest").get("baseFeePerGas")
        if base_fee is None:
            price = self._w3.eth.gas_price
            self._check(price)
            return Fees(price)
        tip = self._suggested_tip()
        self._check(base_fee + tip)
        return Fees(min(2 * base_fee + tip, self._policy.cap), tip)

    def _check(self, price: int) -> None:
        cap = self._policy.cap
        if price > cap:
            raise LedgerError(
                f"the network wants {price / GWEI:.3g} gwei per gas, which exceeds the cap of {cap / GWEI:.3g}; wait, "
                "or raise max_fee_gwei"
            )

    def _suggested_tip(self) -> int:
        now = time.monotonic()
        if self._tip is None or now - self._tip[0] > _TIP_SECONDS:
            try:
                self._tip = now, self._w3.eth.max_priority_fee
            except Web3Exception:  # an old or small node may not know the method
                self._tip = now, _FALLBACK_TIP
        return self._tip[1]


def _raised(price: int) -> int:
    return price + price // 8 + 1
