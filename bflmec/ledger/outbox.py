"""Transactions of one account that were signed and are not known to be settled.

Everything that sends for the account goes through its outbox, one process at a time, and each transaction stands in it
before any node hears of it. So two processes never choose the same nonce, and one that ended between sending and the
receipt finds its transaction again.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta
from web3 import Web3
from web3.providers.base import JSONBaseProvider

from bflmec.errors import LedgerError
from bflmec.files import write_atomically
from bflmec.ledger.fees import Fees

CAPACITY = 64
"""Transactions of one account that wait at a time."""

_MAX_FILE = 64 << 20
_LOCK_SECONDS = 120.0
_HASHES = 64

_Address = Annotated[bytes, Meta(min_length=20, max_length=20)]
_Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
_Quantity = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Call(NamedTuple):
    """What a transaction does: `to` None creates a contract, `value` is in wei."""

    to: bytes | None
    data: bytes
    gas: int
    value: int = 0


class Sent(msgspec.Struct, kw_only=True):
    """One transaction in all the versions that were sent, which differ in fees alone and of which a block can hold one.

    `value` is big-endian, since it can exceed what msgpack holds. `at` is when the newest version was last handed to a
    node, in seconds of this machine's clock; `hashes` are of the versions, newest last.
    """

    nonce: _Quantity
    to: _Address | None
    data: bytes
    gas: _Quantity
    value: Annotated[bytes, Meta(max_length=32)]
    most: _Quantity
    tip: _Quantity | None
    at: float = 0.0
    hashes: Annotated[list[_Hash], Meta(max_length=_HASHES)] = []

    @classmethod
    def first(cls, call: Call, nonce: int, fees: Fees) -> Sent:
        """The first version of a call, not signed yet."""
        value = call.value.to_bytes(32, "big").lstrip(b"\0")
        return cls(nonce=nonce, to=call.to, data=call.data, gas=call.gas, value=value, most=fees.most, tip=fees.tip)

    @property
    def call(self) -> Call:
        return Call(self.to, self.data, self.gas, int.from_bytes(self.value, "big"))

    @property
    def fees(self) -> Fees:
        return Fees(self.most, self.tip)

    def does(self, call: Call) -> bool:
        """Whether it does the same, with whatever gas."""
        return self.call._replace(gas=call.gas) == call

    def seconds(self) -> float:
        """Since the newest version was last handed to a node; after a jump of the clock, long ago."""
        passed = time.time() - self.at
        return passed if passed >= 0 else float("inf")


Waiting = dict[int, Sent]
"""What is in an outbox, by nonce."""


class Outbox:
    """In a file that processes share, or in memory for one process. Threads may share it."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._threads = Lock()
        self._waiting: Waiting = {}
        self._saved = b""

    @contextmanager
    def exclusive(self) -> Iterator[Waiting]:
        """What waits, while nobody else can send for the account; changes last if `save` follows, or at the end.

        Raises LedgerError if the file is damaged, can't be used, or another process keeps it for too long.
        """
        if self._file is None:
            with self._threads:
                yield self._waiting
            return
        with self._threads, _locked(self._file) as is_idle:
            self._waiting = self._load(self._file)
            try:
                yield self._waiting
            finally:
                self.save()
                is_idle.extend([True] if not self._waiting else [])

    def save(self) -> None:
        """Make what `exclusive` gave durable, before a node hears of it."""
        if self._file is None:
            return
        content = msgspec.msgpack.encode(list(self._waiting.values())) if self._waiting else b""
        if content == self._saved:
            return
        try:
            if content:
                write_atomically(self._file, content)
            else:
                self._file.unlink(missing_ok=True)
        except OSError as error:
            raise LedgerError(f"the transactions sent can't be written to {self._file}: {error}") from error
        self._saved = content

    def _load(self, file: Path) -> Waiting:
        try:
            with file.open("rb") as opened:
                self._saved = opened.read(_MAX_FILE + 1)
        except FileNotFoundError:
            self._saved = b""
            return {}
        except OSError as error:
            raise LedgerError(f"the transactions sent, {file}, can't be read: {error}") from error
        try:
            found = msgspec.msgpack.decode(self._saved, type=list[Sent])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise LedgerError(
                f"the transactions sent, {file}, are damaged ({error}); look for the account's waiting transactions in "
                "an explorer, then remove the file"
            ) from error
        return {sent.nonce: sent for sent in sorted(found, key=lambda sent: sent.nonce)}


def usual_outbox(w3: Web3, account: bytes) -> Outbox:
    """The outbox of an account (20 bytes) on the network behind `w3`: a file in the user's state folder for a node of
    its own, memory for a chain inside this process."""
    if not isinstance(w3.provider, JSONBaseProvider):
        return Outbox()
    network = f"{w3.eth.chain_id}-{bytes(w3.eth.get_block(0)['hash'])[:8].hex()}"
    return Outbox(_state_folder() / f"{network}-{account.hex()}")


def _state_folder() -> Path:
    own = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "bflmec" / "outbox"
    try:
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"{own} can't be made ({error}); set XDG_STATE_HOME to a folder for state") from error
    return own


@contextmanager
def _locked(file: Path) -> Iterator[list[bool]]:
    """Holds the lock of `file`. If the caller appends to the list, the lock's file goes, too."""
    path = file.with_name(file.name + ".lock")
    descriptor = _lock(path)
    is_idle: list[bool] = []
    try:
        yield is_idle
        if is_idle:
            with suppress(OSError):
                path.unlink()
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int:
    end = time.monotonic() + _LOCK_SECONDS
    while time.monotonic() < end:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerError(f"{path} can't be made: {error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor
        except BlockingIOError:
            time.sleep(0.005)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise LedgerError(f"another process has kept {path} for {_LOCK_SECONDS:.0f} s; which one sends for this account?")


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the file that was locked still has its name: its last user may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
