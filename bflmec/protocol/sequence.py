"""Which sequence numbers of a client are still free: each counts once, in any order within a window."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = 64


@dataclass(frozen=True, slots=True)
class SequenceWindow:
    """The last 64 sequence numbers up to `highest`: bit i of `taken` stands for `highest - i`. Numbers start at 1."""

    highest: int = 0
    taken: int = 0

    def is_free(self, sequence: int) -> bool:
        """Whether `sequence` was not recorded yet and is not so old that nobody remembers."""
        if sequence < 1:
            return False
        age = self.highest - sequence
        return age < 0 or (age < WINDOW and not self.taken >> age & 1)

    def take(self, sequence: int) -> SequenceWindow:
        """The window after `sequence` was recorded. Raises ValueError if it is not free."""
        if not self.is_free(sequence):
            raise ValueError(f"sequence {sequence} was recorded before or is older than the window of {WINDOW}")
        age = self.highest - sequence
        if age >= 0:
            return SequenceWindow(self.highest, self.taken | 1 << age)
        # A stranger chooses the number: shifting by more than the window would fill the memory.
        kept = self.taken << -age if -age < WINDOW else 0
        return SequenceWindow(sequence, (kept | 1) & (1 << WINDOW) - 1)
