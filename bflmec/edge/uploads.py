"""A client's upload, from its first byte to its receipt.

Whoever sends it is nobody until the signature holds, so everything before costs no more than checking that: a size
announced, a bounded body, a decryption, a look into the registry's cache. What is beyond the limits is refused with a
time after which to try again, and takes up no memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial
from time import monotonic
from typing import Final

from bflmec.crypto.encapsulation import DecapsulationKey
from bflmec.edge.core import Admitted, Core
from bflmec.edge.gossip import Gossip
from bflmec.edge.metrics import Metrics
from bflmec.errors import ClientQuotaError, EdgeBusyError, MessageTooLargeError, PoolFullError
from bflmec.transport.binding import Binding
from bflmec.transport.sealing import OVERHEAD, open_sealed

log = logging.getLogger(__name__)

ENVELOPE_OVERHEAD: Final = 2**14
"""More than an envelope has beside its blob: header, the largest ML-DSA key and signature."""
INLINE: Final = 2**18
"""Uploads up to this size are decrypted at once, larger ones in a thread."""
QUOTA_SECONDS: Final = 5.0
"""When to try again if there is no room before the next global update."""


class Uploads:
    """`blob_limit` is the size of a gradient blob of the ledger's model; `memory` bounds what uploads take up at a
    time, as `most` bounds their number."""

    def __init__(
        self,
        core: Core,
        gossip: Gossip,
        key: DecapsulationKey,
        binding: Binding,
        metrics: Metrics,
        *,
        blob_limit: int,
        most: int,
        memory: int,
    ) -> None:
        self.limit = blob_limit + ENVELOPE_OVERHEAD + OVERHEAD
        self._core = core
        self._gossip = gossip
        self._key = key
        self._binding = binding
        self._metrics = metrics
        self._most = max(min(most, memory // (3 * self.limit)), 1)
        self._present = 0

    async def take(self, body: AsyncIterator[bytes], announced: int | None) -> Admitted:
        """The admitted local gradient, durable.

        Raises MessageTooLargeError, EncryptionError and what `Core.admit` raises; EdgeBusyError if too many uploads are
        there or their senders' registrations can't be looked up now.
        """
        if announced is not None and announced > self.limit:
            raise MessageTooLargeError(f"an upload of {announced} bytes is over the limit of {self.limit}")
        if self._present >= self._most:
            raise busy("too many uploads at a time; try again")
        self._present += 1
        try:
            return await self._take(await read_body(body, self.limit))
        finally:
            self._present -= 1

    async def _take(self, sealed: bytes) -> Admitted:
        began = monotonic()
        open_it = partial(open_sealed, sealed, self._key, self._binding, self.limit - OVERHEAD)
        envelope = open_it() if len(sealed) <= INLINE else await asyncio.to_thread(open_it)
        header = await self._gossip.know_client(envelope)
        if header is not None and not await self._gossip.reach(header.anchor):
            raise busy(f"this edge node has not read block {header.anchor} from the ledger yet; try again")
        try:
            admitted = await self._core.admit(envelope)
        except (ClientQuotaError, PoolFullError) as error:
            error.retry_after = QUOTA_SECONDS
            raise
        self._metrics.receipts.inc()
        self._metrics.upload_seconds.observe(monotonic() - began)
        return admitted


def busy(text: str, retry_after: float = 1.0) -> EdgeBusyError:
    """The error for what may well be possible soon."""
    error = EdgeBusyError(text)
    error.retry_after = retry_after
    return error


async def read_body(body: AsyncIterator[bytes], limit: int) -> bytes:
    """Raises MessageTooLargeError as soon as there are more than `limit` bytes."""
    data = bytearray()
    async for chunk in body:
        data += chunk
        if len(data) > limit:
            raise MessageTooLargeError(f"the body is over the limit of {limit} bytes")
    return bytes(data)
