"""How often something may happen."""

from __future__ import annotations


class TokenBucket:
    """`rate` times a second in the long run, `burst` times at once. Times come from a clock that never jumps back."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._time: float | None = None

    def take(self, now: float) -> bool:
        """Whether it may happen now; if so, it counts."""
        elapsed = 0.0 if self._time is None else max(now - self._time, 0.0)
        self._time = now
        self._tokens = min(self._burst, self._tokens + elapsed * self._rate)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
