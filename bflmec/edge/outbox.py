"""Announcements that wait for one peer: bounded, however long it can't be reached."""

from __future__ import annotations

from collections import deque
from typing import Final

from bflmec.protocol.messages import Announcement
from bflmec.transport.peer_messages import MAX_BATCH

LIMIT: Final = 32 * 2**20
"""Bytes that wait for one peer; beyond, they are dropped, and the peer gets them when both compare what they hold."""
BATCH_BYTES: Final = 4 * 2**20
"""Bytes of one message, unless a single announcement has more."""


class Outbox:
    """`is_behind` says that the peer has missed something, or may have."""

    def __init__(self) -> None:
        self.is_behind = True
        self._waiting: deque[Announcement] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, announcement: Announcement) -> None:
        if self._size + len(announcement.envelope) > LIMIT:
            self.drop()
        else:
            self._waiting.append(announcement)
            self._size += len(announcement.envelope)

    def drop(self) -> None:
        """Forgets all that waits: the peer has to compare."""
        self._waiting.clear()
        self._size = 0
        self.is_behind = True

    def take(self) -> tuple[Announcement, ...]:
        """The next batch; empty if nothing waits."""
        batch: list[Announcement] = []
        size = 0
        while self._waiting and len(batch) < MAX_BATCH:
            size += len(self._waiting[0].envelope)
            if batch and size > BATCH_BYTES:
                break
            batch.append(self._waiting.popleft())
        self._size -= sum(len(announcement.envelope) for announcement in batch)
        return tuple(batch)
