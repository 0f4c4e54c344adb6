"""The inner nodes of a file's DAG: dag-pb around a UnixFS file entry, in their one canonical encoding.

Formats: https://ipld.io/specs/codecs/dag-pb/spec/ and https://specs.ipfs.tech/unixfs/.

    PBNode { repeated PBLink Links = 2; bytes Data = 1 }        links come first
    PBLink { bytes Hash = 1; string Name = 2; uint64 Tsize = 3 }   the name is present and empty
    Data   { Type = 1: File (2); uint64 filesize = 3; repeated uint64 blocksizes = 4 }
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bflmec.errors import StorageError
from bflmec.storage.cid import CID_SIZE, Cid

_LINK: Final = 0x12
_DATA: Final = 0x0A
_LINK_HEAD: Final = bytes((0x0A, CID_SIZE))
_LINK_NAME_AND_TSIZE: Final = b"\x12\x00\x18"
_FILE_AND_SIZE: Final = b"\x08\x02\x18"
_BLOCK_SIZE: Final = 0x20
_MAX_SHIFT: Final = 56


@dataclass(frozen=True, slots=True)
class Link:
    """A child: `size` bytes of the blob lie below it, `total` bytes of blocks (its own included) carry them."""

    cid: Cid
    size: int
    total: int


def encode_node(links: tuple[Link, ...]) -> bytes:
    """The block of a node with these children."""
    node = bytearray()
    for link in links:
        node.append(_LINK)
        node += _delimited(_LINK_HEAD + bytes(link.cid) + _LINK_NAME_AND_TSIZE + varint(link.total))
    data = bytearray(_FILE_AND_SIZE + varint(sum(link.size for link in links)))
    for link in links:
        data.append(_BLOCK_SIZE)
        data += varint(link.size)
    node.append(_DATA)
    node += _delimited(bytes(data))
    return bytes(node)


def decode_node(cid: Cid, block: bytes) -> tuple[Link, ...]:
    """Inverse of `encode_node`. Raises StorageError, naming `cid`, on anything but the canonical bytes."""
    try:
        links = _parse(block)
    except (_MalformedError, IndexError, StorageError):
        links = ()
    # Comparing with the canonical bytes refuses every other spelling: long integers, another order, trailing fields.
    if not links or encode_node(links) != block:
        raise StorageError(f"{cid} is not a canonical dag-pb node of a UnixFS file")
    return links


class _MalformedError(Exception):
    pass


def _parse(block: bytes) -> tuple[Link, ...]:
    children = []
    at = 0
    while block[at] == _LINK:
        length, at = _read_varint(block, at + 1)
        start = at + len(_LINK_HEAD)
        cid = Cid.from_bytes(block[start : start + CID_SIZE])
        total, end = _read_varint(block, start + CID_SIZE + len(_LINK_NAME_AND_TSIZE))
        if end != at + length:
            raise _MalformedError
        children.append((cid, total))
        at = end
    _, at = _read_varint(block, at + 1)
    _, at = _read_varint(block, at + len(_FILE_AND_SIZE))
    sizes = []
    while at < len(block):
        size, at = _read_varint(block, at + 1)
        sizes.append(size)
    if len(sizes) != len(children):
        raise _MalformedError
    return tuple(Link(cid, size, total) for (cid, total), size in zip(children, sizes, strict=True))


def _delimited(data: bytes) -> bytes:
    return varint(len(data)) + data


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The integer at that position and the position after it."""
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if shift > _MAX_SHIFT:
            raise _MalformedError
    return value | data[at] << shift, at + 1
