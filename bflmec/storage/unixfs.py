"""Blobs as DAGs of blocks: UnixFS files as `ipfs add` builds them under Kubo's profile `unixfs-v1-2025`.

CIDv1, raw leaves of 1 MiB, up to 1024 links a node, balanced. One blob has exactly one DAG, and nothing here accepts
another: otherwise one global gradient could be recorded under many ids. Node format: bflmec/storage/dagpb.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Final

from bflmec.errors import StorageError
from bflmec.storage.cid import DAG_PB, RAW, Cid
from bflmec.storage.dagpb import Link, decode_node, encode_node
from bflmec.storage.protocol import Buffer

CHUNK_SIZE: Final = 1 << 20
MAX_LINKS: Final = 1024
MAX_BLOCK_SIZE: Final = CHUNK_SIZE

Fetch = Callable[[Cid], bytes]
"""Gives the block of that id, its digest checked, or raises StorageError."""


def encode(data: Buffer) -> Iterator[tuple[Cid, Buffer]]:
    """The blocks of a blob, children before parents and the root last. Leaves are views of `data`, not copies."""
    view = memoryview(data).cast("B") if len(data) else memoryview(b"")
    level = []
    for start in range(0, max(len(view), 1), CHUNK_SIZE):
        chunk = view[start : start + CHUNK_SIZE]
        leaf = Cid.of(RAW, chunk)
        yield leaf, chunk
        level.append(Link(leaf, len(chunk), len(chunk)))
    while len(level) > 1:
        parents = []
        for start in range(0, len(level), MAX_LINKS):
            links = tuple(level[start : start + MAX_LINKS])
            block = encode_node(links)
            cid = Cid.of(DAG_PB, block)
            yield cid, block
            parents.append(_summary(cid, block, links))
        level = parents


def cid_of(data: Buffer) -> Cid:
    """The content id of a blob, without storing it."""
    return deque(encode(data), maxlen=1)[0][0]


def read(root: Cid, fetch: Fetch, limit: int) -> bytes:
    """The blob of that root. Raises StorageError if it is larger than `limit` bytes, incomplete, or not the DAG that
    `encode` builds; the size is known, and refused, before any leaf is fetched."""
    if root.codec == RAW:
        block = fetch(root)
        if len(block) > limit:
            raise _too_large(root, len(block), limit)
        return block
    top, depth = _root(root, fetch)
    if top.size > limit:
        raise _too_large(root, top.size, limit)
    blob = BytesIO()
    # Leaves are freed as they are copied, so that memory is reused: joining a list of them takes twice as long.
    for leaf in _leaves(top, depth, fetch):
        blob.write(leaf)
    return blob.getvalue()


def blocks(root: Cid, fetch: Fetch) -> Iterator[Cid]:
    """Ids of all blocks of that blob, each once. Nodes are fetched and checked, leaves are not fetched.
    Raises StorageError as `read` does."""
    yield root
    if root.codec == RAW:
        return
    seen = {root}
    # A hostile node may link to one child 1024 times, level after level; expanding each child once bounds the work.
    frontier = {_root(root, fetch)}
    expanded = set()
    while frontier:
        link, depth = frontier.pop()
        expanded.add((link, depth))
        for child in _expand(link, depth, fetch):
            if child.cid not in seen:
                seen.add(child.cid)
                yield child.cid
            if depth > 1 and (child, depth - 1) not in expanded:
                frontier.add((child, depth - 1))


def _root(cid: Cid, fetch: Fetch) -> tuple[Link, int]:
    block = fetch(cid)
    top = _summary(cid, block, decode_node(cid, block))
    depth, capacity = 0, CHUNK_SIZE
    while capacity < top.size:
        depth, capacity = depth + 1, capacity * MAX_LINKS
    if depth == 0:
        raise StorageError(f"{cid} is a node over {top.size} bytes, which one raw block holds")
    return top, depth


def _summary(cid: Cid, block: bytes, links: tuple[Link, ...]) -> Link:
    return Link(cid, sum(link.size for link in links), len(block) + sum(link.total for link in links))


def _expand(link: Link, depth: int, fetch: Fetch) -> tuple[Link, ...]:
    """The children of a node at `depth` levels above the leaves, checked against what its parent says of it."""
    block = fetch(link.cid)
    children = decode_node(link.cid, block)
    full, rest = divmod(link.size, CHUNK_SIZE * MAX_LINKS ** (depth - 1))
    sizes = [CHUNK_SIZE * MAX_LINKS ** (depth - 1)] * full + [rest] * (rest > 0)
    codec = RAW if depth == 1 else DAG_PB
    if (
        [child.size for child in children] != sizes
        or any(child.cid.codec != codec for child in children)
        or _summary(link.cid, block, children) != link
        or (depth == 1 and any(child.total != child.size for child in children))
    ):
        raise StorageError(f"{link.cid} does not lay its {link.size} bytes out as the profile unixfs-v1-2025 does")
    return children


def _leaves(link: Link, depth: int, fetch: Fetch) -> Iterator[bytes]:
    if depth > 0:
        for child in _expand(link, depth, fetch):
            yield from _leaves(child, depth - 1, fetch)
        return
    block = fetch(link.cid)
    if len(block) != link.size:
        raise StorageError(f"{link.cid} has {len(block)} bytes where its parent says {link.size}")
    yield block


def _too_large(root: Cid, size: int, limit: int) -> StorageError:
    return StorageError(f"{root} has {size} bytes; at most {limit} are accepted here")
