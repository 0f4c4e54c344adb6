"""A local storage that fetches what it lacks from elsewhere, such as the HTTP gateways of edge nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from bflmec.errors import StorageError
from bflmec.storage.cid import Cid
from bflmec.storage.protocol import BlobStorage, Buffer, Collected
from bflmec.storage.unixfs import cid_of

Getter: TypeAlias = Callable[[Cid, int], bytes]
"""Takes a content id and the most bytes to accept, gives the blob or raises OSError, such as StorageError. What it
gives is checked by whoever calls it. The `get` of a storage is one."""


class FallbackStore:
    """A `BlobStorage`: everything concerns `local`, but `get` asks `getters`, in their order, for what is not there,
    or damaged there, and stores it locally. Wrong bytes from one getter are the next one's turn."""

    def __init__(self, local: BlobStorage, getters: Sequence[Getter]) -> None:
        self._local = local
        self._getters = tuple(getters)

    def get(self, cid: Cid, limit: int) -> bytes:
        """As in `BlobStorage.get`. Raises StorageError that tells what each one said if nobody has the blob."""
        failures: list[str] = []
        if self._local.has(cid):
            try:
                return self._local.get(cid, limit)
            except StorageError as error:
                failures.append(str(error))
        else:
            failures.append(f"{cid} is not in the local storage")
        for getter in self._getters:
            try:
                blob = _checked(getter, cid, limit)
            except OSError as error:
                failures.append(str(error) or type(error).__name__)
                continue
            self._local.put(blob)
            return blob
        raise StorageError("; ".join(failures))

    def put(self, data: Buffer) -> Cid:
        return self._local.put(data)

    def has(self, cid: Cid) -> bool:
        return self._local.has(cid)

    def pin(self, cid: Cid) -> None:
        self._local.pin(cid)

    def unpin(self, cid: Cid) -> None:
        self._local.unpin(cid)

    def pins(self) -> list[Cid]:
        return self._local.pins()

    def gc(self) -> Collected:
        return self._local.gc()


def _checked(getter: Getter, cid: Cid, limit: int) -> bytes:
    blob = getter(cid, limit)
    if len(blob) > limit:
        raise StorageError(f"{cid} came with {len(blob)} bytes; at most {limit} are accepted here")
    if cid_of(blob) != cid:
        raise StorageError(f"what came for {cid} is another blob")
    return blob
