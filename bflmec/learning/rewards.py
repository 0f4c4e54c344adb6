"""Reward lists in integer units (Algorithm 4, line 7)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def apportion(total: int, shares: Sequence[Fraction]) -> tuple[int, ...]:
    """`total` divided by `shares`, which sum to 1, into integers that sum to exactly `total`.

    Largest remainder: each gets its share rounded down, what is left goes one by one to the largest fractions cut off,
    the earlier one first among equals.
    """
    exact = [total * share for share in shares]
    amounts = [int(amount) for amount in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: amounts[i] - exact[i])
    for i in by_remainder[: total - sum(amounts)]:
        amounts[i] += 1
    return tuple(amounts)
