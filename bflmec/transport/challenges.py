"""What makes an opening fresh without a clock: it contains a challenge that its receiver drew, and counts once."""

from __future__ import annotations

import hmac
import os
from typing import Final

from bflmec.errors import SessionError
from bflmec.transport.handshake import CHALLENGE_SIZE

_USES: Final = 1024
"""Openings after which the challenge changes, so that the memory of them stays bounded."""


class Challenges:
    """The current challenge, and the openings that have used it."""

    def __init__(self) -> None:
        self.current = os.urandom(CHALLENGE_SIZE)
        self._used: set[bytes] = set()

    def check(self, challenge: bytes, opening: bytes) -> None:
        """Raises SessionError unless the opening, of this digest, answers the current challenge for the first time."""
        if not hmac.compare_digest(challenge, self.current):
            raise SessionError("the handshake answers an old challenge; ask for the current one")
        if opening in self._used:
            raise SessionError("the handshake was there before")

    def use(self, opening: bytes) -> None:
        """Remembers a valid opening."""
        self._used.add(opening)
        if len(self._used) == _USES:
            self._used.clear()
            self.current = os.urandom(CHALLENGE_SIZE)
