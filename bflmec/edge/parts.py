"""Parts of the history that come from peers: the replica says what it lacks, and finds it here the next time.

The replica belongs to the core's thread, which must never wait for another edge node: that one might be waiting for
this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from bflmec.edge.peers import Peers
from bflmec.errors import MessageError, StorageError
from bflmec.protocol.manifest import decode_manifest
from bflmec.protocol.messages import Announcement


class PrefetchedParts:
    """The replica's `Peers`. Local gradients are fetched before it is asked to move on, so here are none."""

    def __init__(self) -> None:
        self._parts: dict[bytes, bytes] = {}
        self._wanted: dict[bytes, None] = {}

    def fetch(self, digests: Sequence[bytes]) -> list[Announcement]:
        return []

    def history(self, digest: bytes) -> bytes:
        """Raises StorageError if it was not fetched yet."""
        if digest not in self._parts:
            self._wanted[digest] = None
            raise StorageError("a part of the history is not at hand; it is fetched from peers")
        return self._parts[digest]

    async def fetch_wanted(self, peers: Peers) -> bool:
        """Fetches what was asked for in vain, and what a manifest among it names. Whether anything came."""
        wanted, self._wanted = self._wanted, {}
        found = False
        for digest in wanted:
            part = await self._fetch_part(peers, digest)
            if part is None:
                continue
            found = True
            if len(part) % 2 == 0:  # a manifest: its entries will be asked for next
                for entry in _entries(part):
                    await self._fetch_part(peers, entry)
        return found

    async def _fetch_part(self, peers: Peers, digest: bytes) -> bytes | None:
        if digest not in self._parts:
            part = await peers.history(digest)
            if part is None or sha256(part).digest() != digest:
                return None
            self._parts[digest] = part
        return self._parts[digest]

    def clear(self) -> None:
        self._parts.clear()
        self._wanted.clear()


def _entries(manifest: bytes) -> list[bytes]:
    try:
        return decode_manifest(manifest)
    except MessageError:
        return []
