"""The commands of an IPFS daemon's `/api/v0` that a blob storage needs, and how they travel over HTTP with httpx.

https://docs.ipfs.tech/reference/kubo/rpc/: every command is a POST, even one that only reads. Nothing that comes back
is trusted here beyond its size; `IpfsDaemon` checks the rest.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final, Protocol

from bflmec.errors import StorageError, StorageUnavailableError
from bflmec.storage import ipfs_replies as replies
from bflmec.storage.cid import Cid
from bflmec.storage.ipfs_address import DaemonAddress
from bflmec.storage.ipfs_authorization import Authorization
from bflmec.storage.protocol import Buffer
from bflmec.storage.unixfs import CHUNK_SIZE, MAX_BLOCK_SIZE, MAX_LINKS

if TYPE_CHECKING:
    import httpx

ADD_PARAMETERS: Final = {
    "cid-version": "1",
    "raw-leaves": "true",
    "chunker": f"size-{CHUNK_SIZE}",
    "max-file-links": str(MAX_LINKS),
    "cid-base": "base32",
    "hash": "sha2-256",
    "pin": "false",
    "progress": "false",
    "quieter": "true",
}
"""Everything that the content id depends on: a daemon's own defaults differ between versions and profiles."""

_GRACE: Final = 5.0
"""Seconds that an answer may be late: the daemon's own timeout says more than ours."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a call may take as a whole: `connect` alone, what the daemon does by itself (`local`), a block that
    it looks for among its `peers`, taking in a blob (`add`), and `gc`."""

    connect: float = 5.0
    local: float = 60.0
    peers: float = 60.0
    add: float = 600.0
    gc: float = 3600.0


class IpfsApi(Protocol):
    """One daemon. Every method raises StorageError if the daemon can't do it, StorageUnavailableError if it can't be
    asked; `str()` is its address."""

    def add(self, data: Buffer) -> str:
        """Store a blob, unpinned. Returns the content id that the daemon gives it, unchecked."""
        ...

    def block(self, cid: Cid) -> bytes:
        """What the daemon or its peers hold under that id: at most MAX_BLOCK_SIZE bytes, unchecked."""
        ...

    def local_block(self, cid: Cid) -> bytes:
        """As `block`, without asking peers."""
        ...

    def require_local(self, cid: Cid) -> None:
        """Raises StorageError if the daemon itself does not hold the block."""
        ...

    def pin(self, cid: Cid) -> None: ...

    def unpin(self, cid: Cid) -> None:
        """Raises StorageError if it is not pinned."""
        ...

    def pins(self) -> list[Cid]:
        """What is pinned with all that is below it, except content ids of other kinds than ours."""
        ...

    def collect_garbage(self) -> int:
        """The number of blocks that the daemon removed."""
        ...

    def size(self) -> int:
        """Bytes that the daemon's repository takes."""
        ...

    def close(self) -> None: ...


class HttpApi:
    """An `IpfsApi` over httpx. Threads may share it. Does not follow redirects."""

    def __init__(
        self, address: DaemonAddress, authorization: Authorization | None = None, timeouts: Timeouts | None = None
    ) -> None:
        """Contacts nobody yet. Raises StorageError if the secret would cross a network unencrypted."""
        import httpx

        require_private_way(address, authorization)
        self._address = address
        self._timeouts = timeouts or Timeouts()
        self._client = httpx.Client(
            base_url=address.api,
            # Compressed answers could unpack to any size.
            headers={"Accept-Encoding": "identity"} | headers_of(authorization),
            transport=httpx.HTTPTransport(uds=address.socket) if address.socket else None,
            # A proxy for the internet has no business between here and a daemon on this machine.
            trust_env=not address.stays_on_this_machine,
        )

    def __str__(self) -> str:
        return str(self._address)

    def add(self, data: Buffer) -> str:
        reply = self._call("add", self._timeouts.add, ADD_PARAMETERS, body=data)
        return replies.added(reply)

    def block(self, cid: Cid) -> bytes:
        seconds = self._timeouts.peers
        parameters = {"arg": str(cid), "timeout": f"{seconds}s"}
        return self._call("block/get", seconds + _GRACE, parameters, limit=MAX_BLOCK_SIZE)

    def local_block(self, cid: Cid) -> bytes:
        return self._call("block/get", *self._local(cid), limit=MAX_BLOCK_SIZE)

    def require_local(self, cid: Cid) -> None:
        self._call("block/stat", *self._local(cid))

    def pin(self, cid: Cid) -> None:
        replies.require_pin(self._call("pin/add", *self._local(cid)), cid)

    def unpin(self, cid: Cid) -> None:
        self._call("pin/rm", self._timeouts.local, {"arg": str(cid)})

    def pins(self) -> list[Cid]:
        reply = self._call("pin/ls", self._timeouts.local, {"type": "recursive"}, limit=replies.MAX_LIST_SIZE)
        return replies.pinned(reply)

    def collect_garbage(self) -> int:
        with self._chunks("repo/gc", self._timeouts.gc, {}, replies.MAX_LIST_SIZE) as chunks:
            return replies.collected(chunks)

    def size(self) -> int:
        return replies.repository_size(self._call("repo/stat", self._timeouts.local, {"size-only": "true"}))

    def close(self) -> None:
        self._client.close()

    def _local(self, cid: Cid) -> tuple[float, dict[str, str]]:
        seconds = self._timeouts.local
        return seconds + _GRACE, {"arg": str(cid), "offline": "true", "timeout": f"{seconds}s"}

    def _call(
        self,
        command: str,
        seconds: float,
        parameters: Mapping[str, str],
        limit: int = replies.MAX_SIZE,
        body: Buffer | None = None,
    ) -> bytes:
        with self._chunks(command, seconds, parameters, limit, body) as chunks:
            return b"".join(chunks)

    @contextmanager
    def _chunks(
        self, command: str, seconds: float, parameters: Mapping[str, str], limit: int, body: Buffer | None = None
    ) -> Iterator[Iterator[bytes]]:
        import httpx

        deadline = time.monotonic() + seconds
        files = None if body is None else {"file": ("blob", BytesIO(body), "application/octet-stream")}
        timeout = httpx.Timeout(seconds, connect=min(seconds, self._timeouts.connect))
        try:
            with self._client.stream("POST", command, params=dict(parameters), files=files, timeout=timeout) as reply:
                if reply.status_code != httpx.codes.OK:
                    raise self._refusal(command, reply)
                yield bounded(reply.iter_raw(), limit, deadline, f"{self}: {command}")
        except httpx.TimeoutException as error:
            raise StorageUnavailableError(
                f"the IPFS daemon at {self} took more than {seconds:g} s for {command}; is it overloaded?"
            ) from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise StorageUnavailableError(
                f"can't talk to the IPFS daemon at {self}: {error}; start it, or correct the address"
            ) from error

    def _refusal(self, command: str, reply: httpx.Response) -> StorageError:
        deadline = time.monotonic() + self._timeouts.local
        try:
            text = b"".join(bounded(reply.iter_raw(), replies.MAX_SIZE, deadline, f"{self}: {command}"))
        except StorageError as error:
            return error
        return refused(str(self), command, reply.status_code, replies.error_message(text))


def bounded(chunks: Iterator[bytes], limit: int, deadline: float, what: str) -> Iterator[bytes]:
    """The same chunks. Raises StorageError after `limit` bytes, StorageUnavailableError after the deadline, a time of
    the monotonic clock."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise StorageError(f"{what} answered with more than {limit} bytes; is this an IPFS daemon?")
        if time.monotonic() > deadline:
            raise StorageUnavailableError(f"{what} did not end in time; is the daemon overloaded?")
        yield chunk


def refused(daemon: str, command: str, status: int, message: str) -> StorageError:
    """What an HTTP status other than 200 means."""
    if status in (401, 403):
        return StorageUnavailableError(
            f"the IPFS daemon at {daemon} refuses this user (HTTP {status}): put the secret of its API.Authorizations "
            "into a file and name that in BFLMEC_IPFS_AUTH_FILE"
        )
    if status in (301, 302, 307, 308, 404, 405):
        return StorageUnavailableError(f"there is no IPFS API at {daemon} (HTTP {status} for {command})")
    if status in (429, 502, 503, 504):
        return StorageUnavailableError(f"the IPFS daemon at {daemon} is not available (HTTP {status}); try again later")
    return StorageError(f"the IPFS daemon at {daemon} refuses {command}: {message or f'HTTP {status}'}")


def headers_of(authorization: Authorization | None) -> dict[str, str]:
    return {} if authorization is None else {"Authorization": authorization.header}


def require_private_way(address: DaemonAddress, authorization: Authorization | None) -> None:
    """Raises StorageError if there is a secret and it would cross a network unencrypted."""
    if authorization is not None and address.scheme != "https" and not address.stays_on_this_machine:
        raise StorageError(f"the secret for {address} would cross the network unencrypted; use https or a tunnel")
