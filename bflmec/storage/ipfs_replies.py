"""What an IPFS daemon answers, parsed strictly: it may be any server that listens at the address."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from bflmec.errors import StorageError
from bflmec.storage.cid import CID_SIZE, Cid

MAX_SIZE: Final = 1 << 16
"""Bytes of an answer that is no list."""
MAX_LIST_SIZE: Final = 1 << 26
"""Bytes of an answer that lists blocks or pins: about 600,000 of them."""
_MAX_MESSAGE: Final = 300
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58: Final = {char: value for value, char in enumerate(_ALPHABET)}


class _Added(msgspec.Struct):
    hash: str = msgspec.field(name="Hash")


class _Pins(msgspec.Struct):
    pins: list[str] = msgspec.field(name="Pins")


class _Pin(msgspec.Struct):
    type: str = msgspec.field(name="Type", default="")


class _Pinned(msgspec.Struct):
    keys: dict[str, _Pin] = msgspec.field(name="Keys", default_factory=dict)


class _Repository(msgspec.Struct):
    size: int | str = msgspec.field(name="RepoSize")


class _Collected(msgspec.Struct):
    key: dict[str, str] | None = msgspec.field(name="Key", default=None)
    error: str = msgspec.field(name="Error", default="")


class _Error(msgspec.Struct):
    message: str = msgspec.field(name="Message", default="")


def added(reply: bytes) -> str:
    """The content id in the last line: earlier ones tell of progress. Raises StorageError if there is none."""
    lines = reply.split(b"\n")
    last = next((line for line in reversed(lines) if line.strip()), b"")
    found: _Added = _decode(last, _Added, "add")
    return found.hash


def require_pin(reply: bytes, cid: Cid) -> None:
    """Raises StorageError if the answer does not say that exactly this was pinned."""
    if [parse_cid(text) for text in _decode(reply, _Pins, "pin/add").pins] != [cid]:
        raise StorageError(f"the IPFS daemon did not confirm the pin of {cid}")


def pinned(reply: bytes) -> list[Cid]:
    """Ids of our kind among the listed ones, in ascending order. Raises StorageError on another answer."""
    found = (parse_cid(text) for text in _decode(reply, _Pinned, "pin/ls").keys)
    return sorted(cid for cid in found if cid is not None)


def collected(chunks: Iterable[bytes]) -> int:
    """How many blocks a garbage collection says it removed. Raises StorageError if it says that it failed."""
    count = 0
    for line in _lines(chunks):
        item = _decode(line, _Collected, "repo/gc")
        if item.error:
            raise StorageError(f"the IPFS daemon's garbage collection failed: {shown(item.error)}")
        count += item.key is not None
    return count


def repository_size(reply: bytes) -> int:
    """Bytes of the repository. Raises StorageError on another answer."""
    try:
        return int(_decode(reply, _Repository, "repo/stat").size)
    except ValueError:
        raise _not_understood("repo/stat") from None


def error_message(reply: bytes) -> str:
    """The daemon's own words, short and printable; nothing if it has none."""
    try:
        return shown(msgspec.json.decode(reply, type=_Error).message)
    except (msgspec.MsgspecError, RecursionError):
        return ""


def parse_cid(text: str) -> Cid | None:
    """The content id, in base32 or, as js-ipfs writes it, in base58. None if it is of another kind than ours."""
    try:
        return Cid.from_bytes(_base58(text[1:])) if text.startswith("z") else Cid.parse(text)
    except StorageError:
        return None


def _base58(text: str) -> bytes:
    value = 0
    for char in text[: 2 * CID_SIZE]:
        if char not in _BASE58:
            raise StorageError("not base58")
        value = value * 58 + _BASE58[char]
    try:
        return value.to_bytes(CID_SIZE, "big")
    except OverflowError:
        raise StorageError("not the 36 bytes of a CIDv1 over SHA-256") from None


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line.strip())
        if len(rest) > MAX_SIZE:
            raise _not_understood("repo/gc")
    if rest.strip():
        yield rest


def _decode(reply: bytes, kind: type[Any], command: str) -> Any:
    try:
        return msgspec.json.decode(reply, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise _not_understood(command) from None


def _not_understood(command: str) -> StorageError:
    return StorageError(f"the answer to {command} is not that of an IPFS daemon; check the address")


def shown(text: str) -> str:
    """A daemon's words, short and printable."""
    return "".join(char if char.isprintable() else "�" for char in text[:_MAX_MESSAGE])
