"""How many cases a decoder is tried with: LONG_TESTS=1 makes it 100,000, which takes minutes."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

LONG = os.environ.get("LONG_TESTS", "") not in ("", "0")


def cases(usual: int) -> settings:
    if not LONG:
        return settings(max_examples=usual)
    return settings(max_examples=100_000, suppress_health_check=list(HealthCheck))
