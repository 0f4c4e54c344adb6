"""The durable cache pool: local gradients on disk, an index of them in memory."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from bflmec.edge.store import EdgeStore
from bflmec.errors import BlobError, MessageError
from bflmec.learning.blob import decode_blob
from bflmec.learning.tensors import TensorSpec
from bflmec.protocol.cache_pool import PooledGradient, PoolIndex
from bflmec.protocol.messages import Envelope, GradientHeader, SignedHeader, decode, encode

VECTOR_BYTES = 128 * 2**20
"""Decoded vectors that are kept in memory."""


class StoredGradient:
    """A local gradient whose header is in memory; envelope and vector are read when they are asked for."""

    __slots__ = ("_pool", "header", "signed")

    def __init__(self, header: GradientHeader, signed: SignedHeader, pool: DurableCachePool) -> None:
        self.header = header
        self.signed = signed
        self._pool = pool

    @property
    def digest(self) -> bytes:
        return self.header.digest

    @property
    def vector(self) -> NDArray[np.float32]:
        return self._pool.vector(self.header)

    @property
    def envelope(self) -> bytes:
        return encode(Envelope(self.signed, self._pool.blob(self.header)))


class DurableCachePool(PoolIndex):
    """A cache pool in an `EdgeStore`. What `flush` has returned for survives anything but the loss of the disk.

    `now` is the present time in the edge node's seconds: a clock of before a restart means nothing, so the waiting time
    of what is on disk begins again. Vectors take up `vector_bytes` of memory at most. Raises EdgeStoreError if the file
    is damaged.
    """

    def __init__(self, store: EdgeStore, spec: TensorSpec, now: float, *, vector_bytes: int = VECTOR_BYTES) -> None:
        super().__init__()
        self.size = 0
        self._store = store
        self.spec = spec
        self._sizes: dict[bytes, int] = {}
        self._unwritten: dict[bytes, bytes] = {}
        self._vectors: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._vector_limit = vector_bytes // (4 * spec.size)
        self._load(now)

    def _load(self, now: float) -> None:
        sql = "SELECT digest, receiver, known_at_block, size, signed FROM gradient ORDER BY position"
        for digest, receiver, known_at_block, size, data in self._store.iterate(sql):
            try:
                signed = decode(SignedHeader, data)
                header = GradientHeader.decode(signed.header)
            except (MessageError, TypeError) as error:
                raise self._store.damaged(str(error)) from error
            if header.digest != digest or {type(receiver), type(known_at_block), type(size)} != {int}:
                raise self._store.damaged("a local gradient is not the one that it is filed as")
            self._index(PooledGradient(StoredGradient(header, signed, self), receiver, known_at_block, now), size)

    def _index(self, item: PooledGradient, size: int) -> None:
        digest = item.gradient.digest
        self.size += size - self._sizes.get(digest, 0)
        self._sizes[digest] = size
        super().add(item)

    def add(self, item: PooledGradient) -> None:
        """Adds a local gradient; durable after `flush`. Raises EdgeStoreError while the disk takes nothing."""
        self._store.require_writable()
        gradient = item.gradient
        envelope = gradient.envelope
        blob = decode(Envelope, envelope).blob
        self._remember(gradient.digest, gradient.vector)
        self._unwritten[gradient.digest] = blob
        self._store.queue(
            "INSERT INTO gradient (digest, receiver, known_at_block, size, signed, blob) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (digest) DO UPDATE SET receiver = excluded.receiver, size = excluded.size, "
            "known_at_block = excluded.known_at_block, signed = excluded.signed",
            gradient.digest,
            item.receiver,
            item.known_at_block,
            len(envelope),
            encode(gradient.signed),
            blob,
        )
        stored = StoredGradient(gradient.header, gradient.signed, self)
        self._index(PooledGradient(stored, item.receiver, item.known_at_block, item.known_at), len(envelope))

    def flush(self) -> None:
        self._store.flush()
        self._unwritten.clear()

    def remove(self, digest: bytes) -> PooledGradient | None:
        item = super().remove(digest)
        if item is not None:
            self.size -= self._sizes.pop(digest)
            self._vectors.pop(digest, None)
            self._store.queue("DELETE FROM gradient WHERE digest = ?", digest)
        return item

    def blob(self, header: GradientHeader) -> bytes:
        """The gradient blob of a pooled local gradient. Raises EdgeStoreError if it is damaged or no longer pooled."""
        unwritten = self._unwritten.get(header.digest)
        if unwritten is not None:
            return unwritten
        rows = self._store.rows("SELECT blob FROM gradient WHERE digest = ?", header.digest)
        if len(rows) != 1 or type(rows[0][0]) is not bytes or sha256(rows[0][0]).digest() != header.blob_digest:
            raise self._store.damaged(f"the local gradient {header.digest.hex()} is not there as it was filed")
        blob: bytes = rows[0][0]
        return blob

    def vector(self, header: GradientHeader) -> NDArray[np.float32]:
        """(P,) float32 of a pooled local gradient. Raises EdgeStoreError like `blob`."""
        known = self._vectors.get(header.digest)
        if known is not None:
            self._vectors.move_to_end(header.digest)
            return known
        try:
            vector = decode_blob(self.spec, self.blob(header))
        except BlobError as error:
            raise self._store.damaged(str(error)) from error
        self._remember(header.digest, vector)
        return vector

    def _remember(self, digest: bytes, vector: NDArray[np.float32]) -> None:
        self._vectors[digest] = vector
        self._vectors.move_to_end(digest)
        while len(self._vectors) > self._vector_limit:
            self._vectors.popitem(last=False)
