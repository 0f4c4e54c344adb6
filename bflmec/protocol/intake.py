"""How local gradients come into the cache pool (Algorithm 3, lines 2-9): from clients and from other edge nodes.

Nobody can make the pool grow beyond its bounds: a client by sending, or an edge node by announcing what its accomplices
sign. What a block needs is asked for by digest and comes in regardless; blocks are bounded themselves.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from bflmec.errors import ClientQuotaError, GradientRejectedError, PoolFullError, StaleSequenceError
from bflmec.protocol.cache_pool import CachePool, PooledGradient
from bflmec.protocol.ledger_state import LedgerState
from bflmec.protocol.messages import Announcement, GradientHeader
from bflmec.protocol.ports import Participants
from bflmec.protocol.rules import Rules
from bflmec.protocol.sequence import WINDOW
from bflmec.protocol.verification import GradientVerifier, has_registered_key

MAX_WAITING = WINDOW // 2
"""Local gradients of one client that an edge node lets wait: few enough that recording them in any order pushes none of
them out of the sequence window."""

MAX_ANNOUNCED = WINDOW
"""The same bound for announcements: higher, since two edge nodes can take in their full share before they hear of each
other."""

POOL_LIMIT = 4 * 2**30
"""Bytes that a cache pool holds at most, unless it is told otherwise."""


class Accepted(NamedTuple):
    """What became of a client's upload: the local gradient that it stands for now and, if that is new, its announcement
    to the peers. Nothing is promised before the cache pool was flushed and the receipt given."""

    digest: bytes
    announcement: Announcement | None


class Intake:
    """Takes local gradients into the cache pool of the edge node with the registry id `edge_node`.

    `limit` bounds the pool in bytes. Its second half is for clients that have less waiting than a ledger records of one
    between two anchors, so that no few clients can fill the pool and bring the ledger to a stop.
    """

    def __init__(
        self,
        edge_node: int,
        state: LedgerState,
        participants: Participants,
        rules: Rules,
        verifier: GradientVerifier,
        pool: CachePool,
        limit: int,
    ) -> None:
        self._edge_node = edge_node
        self._state = state
        self._participants = participants
        self._rules = rules
        self._verifier = verifier
        self._pool = pool
        self._limit = limit

    def accept(self, envelope: bytes, now: float) -> Accepted:
        """A client's upload; see `EdgeNode.accept`."""
        gradient = self._verifier(envelope)
        held = self._holder_of_sequence(gradient.header)
        if held is not None:
            return Accepted(held, None)
        self._require_room(gradient.header.client, len(envelope), MAX_WAITING)
        self._pool.add(PooledGradient(gradient, self._edge_node, self._state.number, now))
        return Accepted(gradient.digest, Announcement(self._edge_node, envelope))

    def exchange(self, announcement: Announcement, now: float, wanted: Collection[bytes]) -> None:
        """A local gradient from another edge node; see `EdgeNode.exchange` and `EdgeNode.supplied`."""
        if announcement.receiver not in self._participants.edge_nodes():
            raise GradientRejectedError(f"{announcement.receiver} is no active edge node")
        upload, header = self._verifier.parse(announcement.envelope)
        if self._pool.get(header.digest) is not None:
            return
        gradient = self._verifier.verified(announcement.envelope, upload, header)
        if not self._is_of_use(header):
            return
        if header.digest not in wanted:
            self._require_room(header.client, len(announcement.envelope), MAX_ANNOUNCED)
        self._pool.add(PooledGradient(gradient, announcement.receiver, self._state.number, now))

    def next_sequence(self, client: bytes) -> int:
        """The lowest sequence number above all that are recorded or waiting here."""
        waiting = (item.gradient.header.sequence for item in self._pool.of_client(client))
        return max(self._state.next_sequence(client), *(sequence + 1 for sequence in waiting), 1)

    def _is_of_use(self, header: GradientHeader) -> bool:
        """Whether the local gradient can still be recorded, or is recorded and waits for its global update."""
        free = self._state.is_sequence_free(header.client, header.sequence)
        return free or any(entry.gradient == header.digest for entry in self._state.pending)

    def _holder_of_sequence(self, header: GradientHeader) -> bytes | None:
        if not self._state.is_sequence_free(header.client, header.sequence):
            recorded = self._state.recorded_gradient(header.client, header.sequence)
            if recorded is None:
                raise StaleSequenceError(f"sequence {header.sequence} is older than the window; sign the next one")
            return recorded
        for item in self._pool.of_sequence(header.client, header.sequence):
            known = self._state.holds_anchor_of(item.gradient.header)
            if known and has_registered_key(self._participants, item.gradient):
                return item.gradient.digest
        return None

    def _require_room(self, client: bytes, size: int, most: int) -> None:
        headers = [item.gradient.header for item in self._pool.of_client(client)]
        waiting = sum(self._state.is_sequence_free(client, header.sequence) for header in headers)
        if waiting >= most:
            raise ClientQuotaError(
                f"{waiting} local gradients of 0x{client.hex()} wait for a global update; "
                "train on and send the average later"
            )
        room = self._limit if waiting < self._rules.per_client else self._limit // 2
        if self._pool.size + size > room:
            raise PoolFullError(
                f"the cache pool holds {self._pool.size} bytes of local gradients and has no room for {size} more; "
                "train on and send the average later"
            )
