"""Shapley values on games whose values are known."""

from collections.abc import Sequence

import numpy as np
import pytest

from bflmec.experiments.shapley import leave_one_out, shapley_values


def glove(coalition: Sequence[int]) -> float:
    """Players 0 and 1 hold a left glove, 2 a right one: a pair is worth 1. Values are 1/6, 1/6, 4/6."""
    return float(2 in coalition and (0 in coalition or 1 in coalition))


def test_values_of_the_glove_game() -> None:
    values = shapley_values(3, glove, 6000, np.random.default_rng(0))
    assert values == pytest.approx([1 / 6, 1 / 6, 4 / 6], abs=0.02)
    assert sum(values) == pytest.approx(1)


def test_values_of_an_additive_game_are_exact_whatever_the_orders() -> None:
    worth = [3.0, -1.0, 0.5]
    values = shapley_values(3, lambda coalition: sum(worth[i] for i in coalition), 2, np.random.default_rng(1))
    assert values == pytest.approx(worth)


def test_leave_one_out_sees_only_who_is_indispensable() -> None:
    assert leave_one_out(3, glove) == [0, 0, 1]
