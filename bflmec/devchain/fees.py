"""eth_feeHistory: base fees, how full blocks were, and the tips paid in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bflmec.devchain.blocks import Block
from bflmec.devchain.chain import DevChain
from bflmec.devchain.consensus import child_header

MAX_BLOCKS = 1024


@dataclass(frozen=True, slots=True)
class FeeHistory:
    """`base_fees` has one more entry than `gas_used_ratios`: the one of the block after the last."""

    oldest: int
    base_fees: tuple[int, ...]
    gas_used_ratios: tuple[float, ...]
    tips: tuple[tuple[int, ...], ...]


def fee_history(chain: DevChain, count: int, newest: int, percentiles: Sequence[float]) -> FeeHistory:
    """Of the `count` blocks up to number `newest`, at most MAX_BLOCKS."""
    oldest = max(0, newest - min(count, MAX_BLOCKS) + 1)
    blocks = [block for number in range(oldest, newest + 1) if (block := chain.block(number)) is not None]
    after = child_header(blocks[-1].header, blocks[-1].timestamp)
    return FeeHistory(
        oldest=oldest,
        base_fees=tuple(header.base_fee_per_gas for header in (*(block.header for block in blocks), after)),
        gas_used_ratios=tuple(block.header.gas_used / block.header.gas_limit for block in blocks),
        tips=tuple(tips_at(block, percentiles) for block in blocks) if percentiles else (),
    )


def tips_at(block: Block, percentiles: Sequence[float]) -> tuple[int, ...]:
    """Wei per gas of the transaction at each percentile of the block's gas, transactions sorted by their tip."""
    base_fee = block.header.base_fee_per_gas
    paid: list[tuple[int, int]] = []
    gas_before = 0
    for transaction, receipt in zip(block.transactions, block.receipts, strict=True):
        tip = min(transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas - base_fee)
        paid.append((tip, receipt.gas_used - gas_before))
        gas_before = receipt.gas_used
    paid.sort()
    return tuple(_at(paid, block.header.gas_used * percentile / 100) for percentile in percentiles)


def _at(paid: list[tuple[int, int]], threshold: float) -> int:
    total = 0
    for tip, gas in paid:
        total += gas
        if total >= threshold:
            return tip
    return paid[-1][0] if paid else 0
