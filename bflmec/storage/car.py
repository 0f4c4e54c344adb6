"""Blobs in one file: CAR v1, which `ipfs dag export` writes and `ipfs dag import` reads.

https://ipld.io/specs/transport/car/carv1/

    file    = section(header) { section(cid block) }
    section = varint(length) bytes
    header  = dag-cbor {"roots": [cid, …], "version": 1}

Both directions hold one block at a time, and every block is checked against its digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Final

from bflmec.errors import StorageError
from bflmec.storage import unixfs
from bflmec.storage.cid import CID_SIZE, DAG_PB, Cid
from bflmec.storage.dagpb import decode_node, varint
from bflmec.storage.flatfs import reported
from bflmec.storage.protocol import BlockSink, BlockSource, Buffer
from bflmec.storage.unixfs import MAX_BLOCK_SIZE

MAX_ROOTS: Final = 65_535
DEFAULT_LIMIT: Final = 1 << 34
"""Bytes of a CAR file that are read at most, if nothing else is said: 16 GiB."""

_MAP_OF_TWO: Final = b"\xa2"
_ROOTS: Final = b"\x65roots"
_VERSION_1: Final = b"\x67version\x01"
_CID_LINK: Final = b"\xd8\x2a\x58\x25\x00"
"""Tag 42 on a byte string of 37: the multibase prefix for binary, then the CID."""
_LINK_SIZE: Final = len(_CID_LINK) + CID_SIZE
_MAX_HEADER: Final = 32 + MAX_ROOTS * _LINK_SIZE
_MAX_SECTION: Final = CID_SIZE + MAX_BLOCK_SIZE
_MAX_VARINT: Final = 5


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import brought: the blobs at its `roots`, and how many `blocks` of how many bytes (`size`)."""

    roots: tuple[Cid, ...]
    blocks: int
    size: int


def export_car(source: BlockSource, roots: Sequence[Cid], file: BinaryIO) -> Imported:
    """Write the blobs of these ids, every block once, a root before what is below it.

    Raises StorageError if a blob is not complete, or the file can't be written; it is then to be thrown away.
    """
    with reported("can't write the CAR file"):
        file.write(_section(encode_header(roots)))
        count = size = 0
        for cid in _blocks(source, roots):
            block = source.block(cid)
            file.write(_section(bytes(cid), block))
            count, size = count + 1, size + len(block)
    return Imported(tuple(roots), count, size)


def import_car(sink: BlockSink, file: BinaryIO, limit: int = DEFAULT_LIMIT) -> Imported:
    """Read a CAR file into a storage. Nothing is pinned.

    Raises StorageError if it is no CAR v1 file of raw and dag-pb blocks of at most 1 MiB, if a block does not match
    its id, if a root is not complete in the end or not in the layout of `unixfs`, or beyond `limit` bytes. Blocks that
    came before the fault are then in the storage, each of them right, until garbage is collected.
    """
    reader = _CarReader(file, limit)
    roots = reader.header()
    sink.put_blocks(reader.blocks())
    for root in roots:
        if not sink.has(root):
            raise StorageError(f"the CAR file lacks blocks of its root {root}, or lays them out in another way")
    return Imported(roots, reader.count, reader.size)


def encode_header(roots: Sequence[Cid]) -> bytes:
    """The dag-cbor of a header. Raises StorageError on no roots, or more than MAX_ROOTS."""
    if not 0 < len(roots) <= MAX_ROOTS:
        raise StorageError(f"a CAR file has 1 to {MAX_ROOTS} roots, not {len(roots)}")
    links = b"".join(_CID_LINK + bytes(root) for root in roots)
    return _MAP_OF_TWO + _ROOTS + _array_head(len(roots)) + links + _VERSION_1


def decode_header(header: bytes) -> tuple[Cid, ...]:
    """Inverse of `encode_header`. Raises StorageError on anything but the canonical bytes."""
    links = header[len(_MAP_OF_TWO + _ROOTS) :].removesuffix(_VERSION_1)
    count, head = divmod(len(links), _LINK_SIZE)
    if 0 < count <= MAX_ROOTS:
        starts = range(head + len(_CID_LINK), len(links), _LINK_SIZE)
        with suppress(StorageError):
            roots = tuple(Cid.from_bytes(links[start : start + CID_SIZE]) for start in starts)
            if encode_header(roots) == header:
                return roots
    raise StorageError("not the header of a CAR v1 file with roots over SHA-256")


class _CarReader:
    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._limit = limit
        self.count = 0
        self.size = 0

    def header(self) -> tuple[Cid, ...]:
        header = self._section(_MAX_HEADER)
        if header is None:
            raise StorageError("the CAR file is empty")
        return decode_header(header)

    def blocks(self) -> Iterator[tuple[Cid, Buffer]]:
        while (section := self._section(_MAX_SECTION)) is not None:
            cid, block = Cid.from_bytes(section[:CID_SIZE]), section[CID_SIZE:]
            if Cid.of(cid.codec, block) != cid:
                raise StorageError(f"block {cid} of the CAR file does not match its content id")
            if cid.codec == DAG_PB:
                decode_node(cid, block)
            self.count, self.size = self.count + 1, self.size + len(block)
            yield cid, block

    def _section(self, most: int) -> bytes | None:
        """The next section, None at the end of the file."""
        length = self._varint()
        if length is None:
            return None
        if not 0 < length <= most:
            raise StorageError(f"a section of the CAR file has {length} bytes; from 1 to {most} are accepted here")
        return self._read(length)

    def _varint(self) -> int | None:
        value = 0
        for place in range(_MAX_VARINT):
            byte = self._read(1, at_most=place == 0)
            if not byte:
                return None
            value |= (byte[0] & 0x7F) << 7 * place
            if byte[0] < 0x80:
                if byte[0] == 0 and place:
                    break
                return value
        raise StorageError("a length in the CAR file is not a canonical varint")

    def _read(self, length: int, at_most: bool = False) -> bytes:
        self._limit -= length
        if self._limit < 0:
            raise StorageError("the CAR file is larger than is accepted here; raise the limit if you trust it")
        with reported("can't read the CAR file"):
            data = self._file.read(length)
        if len(data) < length and not at_most:
            raise StorageError("the CAR file ends in the middle of a block; fetch it again")
        return data


def _blocks(source: BlockSource, roots: Iterable[Cid]) -> Iterator[Cid]:
    seen: set[Cid] = set()
    for root in roots:
        for cid in unixfs.blocks(root, source.block):
            if cid not in seen:
                seen.add(cid)
                yield cid


def _section(*parts: bytes) -> bytes:
    return varint(sum(map(len, parts))) + b"".join(parts)


def _array_head(length: int) -> bytes:
    if length < 24:
        return bytes((0x80 | length,))
    return bytes((0x98, length)) if length < 256 else b"\x99" + length.to_bytes(2, "big")
