"""What each contribution of a global update is worth: Shapley values and leave-one-out, of any utility."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Utility = Callable[[Sequence[int]], float]
"""Of a coalition, the indices of its members in ascending order; the empty one included."""


def shapley_values(players: int, utility: Utility, permutations: int, rng: np.random.Generator) -> list[float]:
    """Monte Carlo over random orders and their reverses (antithetic); they sum to the utility of all minus that of
    nobody. Coalitions that come again are not evaluated again."""
    known: dict[tuple[int, ...], float] = {}

    def value(coalition: Sequence[int]) -> float:
        key = tuple(sorted(coalition))
        if key not in known:
            known[key] = utility(key)
        return known[key]

    totals = np.zeros(players)
    count = 0
    for _ in range(max(permutations // 2, 1)):
        order = rng.permutation(players).tolist()
        for sequence in (order, order[::-1]):
            before = value(())
            for place, player in enumerate(sequence, start=1):
                after = value(sequence[:place])
                totals[player] += after - before
                before = after
            count += 1
    return [float(total) / count for total in totals]


def leave_one_out(players: int, utility: Utility) -> list[float]:
    """Utility of all minus that of all others."""
    everybody = list(range(players))
    full = utility(everybody)
    return [full - utility([other for other in everybody if other != player]) for player in everybody]
