"""The public blobs of an edge node: global gradients and block bodies, at hand on its own disk, and nothing else.

What is not there comes from the gateways of the other edge nodes or from IPFS, checked against its content id. Local
gradients never enter: they live in the cache pool.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from bflmec.errors import EdgeUnavailableError, StorageError
from bflmec.storage import BlobStorage, BlobStore, Cid, FallbackStore
from bflmec.transport.edge_api import EdgeApi

log = logging.getLogger(__name__)

GATEWAY_SECONDS: Final = 10.0


class PublicBlobs:
    """`local` keeps everything; `endpoints` gives the other edge nodes' addresses, `ipfs` a daemon that gets a copy."""

    def __init__(
        self,
        local: BlobStore,
        endpoints: Callable[[], Iterable[str]],
        ipfs: BlobStorage | None = None,
        verify: Any = True,
    ) -> None:
        self.local = local
        self._endpoints = endpoints
        self._ipfs = ipfs
        self._verify = verify
        self._all = FallbackStore(local, [self._from_peers] if ipfs is None else [self._from_peers, ipfs.get])

    def put(self, data: bytes) -> Cid:
        """Durable on this edge node's own disk when it returns. A daemon that can't take it is only complained about:
        everybody can still have the blob from here."""
        cid = self.local.put(data)
        self.local.pin(cid)
        if self._ipfs is not None:
            try:
                self._ipfs.put(data)
            except StorageError as error:
                log.warning("IPFS has no copy of %s: %s", cid, error)
        return cid

    def get(self, cid: Cid, limit: int) -> bytes:
        """Raises StorageError if nobody has it."""
        return self._all.get(cid, limit)

    def _from_peers(self, cid: Cid, limit: int) -> bytes:
        failures = []
        for endpoint in self._endpoints():
            try:
                with EdgeApi(endpoint, timeout=GATEWAY_SECONDS, verify=self._verify) as api:
                    return api.blob(cid, limit)
            except (EdgeUnavailableError, LookupError) as error:
                failures.append(f"{endpoint}: {error}")
        raise StorageError(f"no other edge node hands out {cid}: {'; '.join(failures) or 'there is none'}")
