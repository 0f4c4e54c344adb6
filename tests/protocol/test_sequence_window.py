"""The window of sequence numbers, against a set of everything that was ever recorded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bflmec.protocol.sequence import WINDOW, SequenceWindow


class AgainstASet(RuleBasedStateMachine):
    """A number is free unless it was recorded or lies 64 or more below the highest one."""

    def __init__(self) -> None:
        super().__init__()
        self.window = SequenceWindow()
        self.recorded: set[int] = set()

    def free(self, sequence: int) -> bool:
        oldest = max(self.recorded, default=0) - WINDOW + 1
        return sequence >= max(oldest, 1) and sequence not in self.recorded

    @rule(step=st.integers(-2 * WINDOW, 2 * WINDOW) | st.sampled_from([-WINDOW, 1 - WINDOW, WINDOW, 2**63]))
    def take(self, step: int) -> None:
        sequence = max(self.recorded, default=0) + step
        if self.free(sequence):
            self.window = self.window.take(sequence)
            self.recorded.add(sequence)
        else:
            with pytest.raises(ValueError, match="recorded before"):
                self.window.take(sequence)

    @invariant()
    def the_same_numbers_are_free(self) -> None:
        highest = max(self.recorded, default=0)
        assert self.window.highest == highest
        assert self.window.taken < 1 << WINDOW
        around = range(highest - WINDOW - 2, highest + 3)
        assert [self.window.is_free(n) for n in around] == [self.free(n) for n in around]


TestAgainstASet = AgainstASet.TestCase


@given(st.permutations(range(1, 33)))
def test_any_order_within_the_window_ends_alike(order: list[int]) -> None:
    window = SequenceWindow()
    for sequence in order:
        window = window.take(sequence)
    assert window == SequenceWindow(32, 2**32 - 1)


def test_a_huge_number_costs_no_memory() -> None:
    window = SequenceWindow().take(1).take(2**64 - 1)
    assert window == SequenceWindow(2**64 - 1, 1)


@pytest.mark.parametrize("sequence", [0, -1])
def test_numbers_start_at_1(sequence: int) -> None:
    assert not SequenceWindow().is_free(sequence)
