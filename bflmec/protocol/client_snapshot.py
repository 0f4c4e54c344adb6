"""What a client must not lose, in bytes: write them to disk before an envelope leaves, and after every receipt.

Samples are not in it: what was not trained on yet is the driver's to keep. Nor are global gradients, which storage has.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from bflmec.errors import MessageError, StorageError
from bflmec.learning.tensors import TensorSpec
from bflmec.protocol.pending import Pending
from bflmec.protocol.ports import Anchor
from bflmec.storage.cid import Cid

VERSION = 1

_Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Count = Annotated[int, msgspec.Meta(ge=1)]


class _AnchorFields(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    number: Annotated[int, msgspec.Meta(ge=0)]
    hash: _Digest
    content: bytes

    @classmethod
    def of(cls, anchor: Anchor) -> _AnchorFields:
        return cls(anchor.number, anchor.hash, bytes(anchor.content))

    def anchor(self) -> Anchor:
        return Anchor(self.number, self.hash, Cid.from_bytes(self.content))


class _PendingFields(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    anchor: _AnchorFields
    count: _Count
    total: bytes
    """Little-endian float32 for one local update, float64 for a sum."""


class ClientSnapshot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """State of a `Client` between two events, from `Client.snapshot` and for `Client.resume`."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    sequence: _Count
    updates: Annotated[int, msgspec.Meta(ge=0)]
    anchor: _AnchorFields | None
    weights: bytes
    """The client's own weights if they are not its anchor's, little-endian float32, else nothing."""
    pending: tuple[_PendingFields, ...]
    attempts: dict[_Digest, _Count]
    envelope: bytes
    enclosed: Annotated[int, msgspec.Meta(ge=0)]

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> ClientSnapshot:
        """Raises MessageError if `data` is damaged or of another version."""
        try:
            return msgspec.msgpack.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise MessageError(f"the client's state is damaged ({error}); restore it from a backup") from error


def pack_anchor(anchor: Anchor | None) -> _AnchorFields | None:
    return None if anchor is None else _AnchorFields.of(anchor)


def unpack_anchor(fields: _AnchorFields | None) -> Anchor | None:
    """Raises MessageError if the content id is none."""
    try:
        return None if fields is None else fields.anchor()
    except StorageError as error:
        raise MessageError(f"the client's state is damaged ({error}); restore it from a backup") from error


def pack_pending(updates: list[Pending]) -> tuple[_PendingFields, ...]:
    return tuple(
        _PendingFields(_AnchorFields.of(update.anchor), update.count, _little_endian(update).tobytes())
        for update in updates
    )


def unpack_pending(packed: tuple[_PendingFields, ...], spec: TensorSpec) -> list[Pending]:
    """Raises MessageError unless every vector has the model's size."""
    updates = []
    for fields in packed:
        anchor = unpack_anchor(fields.anchor)
        kind = np.dtype("<f4" if fields.count == 1 else "<f8")
        if anchor is None or len(fields.total) != kind.itemsize * spec.size:
            raise MessageError("the client's state is of another model; restore the one of this ledger")
        total = np.frombuffer(fields.total, kind).astype(kind.newbyteorder("="))
        updates.append(Pending(anchor, total, fields.count))
    return updates


def _little_endian(update: Pending) -> NDArray[np.float32] | NDArray[np.float64]:
    return update.total.astype("<f4" if update.count == 1 else "<f8", copy=False)
