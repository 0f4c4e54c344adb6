"""An IPFS daemon through the library ipfshttpclient: pip install 'bflmec[ipfs]'.

For a daemon of one's own: the library takes every answer in whole before anybody can look at its size, and has no limit
on the time of a whole call, only on each silence. The storage `ipfs` bounds both. What comes is checked all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import msgspec

from bflmec.errors import MissingExtraError, StorageError, StorageUnavailableError
from bflmec.storage import ipfs_replies as replies
from bflmec.storage.cid import Cid
from bflmec.storage.ipfs_address import DaemonAddress
from bflmec.storage.ipfs_api import ADD_PARAMETERS, Timeouts, headers_of, refused, require_private_way
from bflmec.storage.ipfs_authorization import Authorization
from bflmec.storage.ipfs_daemon import IpfsDaemon
from bflmec.storage.protocol import Buffer, storages
from bflmec.storage.unixfs import MAX_BLOCK_SIZE


class IpfsHttpClientApi:
    """An `IpfsApi` over an `ipfshttpclient.Client`."""

    def __init__(self, client: Any, address: str, timeouts: Timeouts | None = None) -> None:
        """`address` only names the daemon in messages."""
        self._client = client
        self._address = address
        self._timeouts = timeouts or Timeouts()

    @classmethod
    def connect(
        cls, address: DaemonAddress, authorization: Authorization | None = None, timeouts: Timeouts | None = None
    ) -> IpfsHttpClientApi:
        """Contacts nobody yet. Raises MissingExtraError, StorageError if the secret would cross a network unencrypted.

        `ipfshttpclient.connect` is left out on purpose: it refuses every daemon since version 0.8.
        """
        library = _library()
        require_private_way(address, authorization)
        base = f"{address.prefix}/api/v0".lstrip("/")
        client = library.Client(address.multiaddr, base, session=True, headers=headers_of(authorization))
        return cls(client, str(address), timeouts)

    def __str__(self) -> str:
        return self._address

    def add(self, data: Buffer) -> str:
        options = {name: value for name, value in ADD_PARAMETERS.items() if name not in ("raw-leaves", "pin")}
        with self._talking("add"):
            answer = self._client.add(
                BytesIO(data), raw_leaves=True, pin=False, opts=options, timeout=self._seconds(self._timeouts.add)
            )
            return replies.added(_encoded(answer))

    def block(self, cid: Cid) -> bytes:
        return self._block(cid, self._timeouts.peers, {})

    def local_block(self, cid: Cid) -> bytes:
        return self._block(cid, self._timeouts.local, {"offline": "true"})

    def require_local(self, cid: Cid) -> None:
        with self._talking("block/stat"):
            self._client.block.stat(str(cid), **self._local())

    def pin(self, cid: Cid) -> None:
        with self._talking("pin/add"):
            replies.require_pin(_encoded(self._client.pin.add(str(cid), **self._local())), cid)

    def unpin(self, cid: Cid) -> None:
        with self._talking("pin/rm"):
            self._client.pin.rm(str(cid), timeout=self._seconds(self._timeouts.local))

    def pins(self) -> list[Cid]:
        with self._talking("pin/ls"):
            answer = self._client.pin.ls(type="recursive", timeout=self._seconds(self._timeouts.local))
            return replies.pinned(_encoded(answer))

    def collect_garbage(self) -> int:
        with self._talking("repo/gc"):
            lines = self._client.repo.gc(timeout=self._seconds(self._timeouts.gc))
            return replies.collected(_encoded(line) + b"\n" for line in lines)

    def size(self) -> int:
        with self._talking("repo/stat"):
            timeout = self._seconds(self._timeouts.local)
            return replies.repository_size(
                _encoded(self._client.repo.stat(opts={"size-only": "true"}, timeout=timeout))
            )

    def close(self) -> None:
        self._client.close()

    def _block(self, cid: Cid, seconds: float, options: dict[str, str]) -> bytes:
        options = options | {"timeout": f"{seconds}s"}
        with self._talking("block/get"):
            block: bytes = self._client.block.get(str(cid), opts=options, timeout=self._seconds(seconds))
        if len(block) > MAX_BLOCK_SIZE:
            raise StorageError(f"{self}: block/get answered with more than {MAX_BLOCK_SIZE} bytes")
        return block

    def _local(self) -> dict[str, Any]:
        seconds = self._timeouts.local
        return {"opts": {"offline": "true", "timeout": f"{seconds}s"}, "timeout": self._seconds(seconds)}

    def _seconds(self, seconds: float) -> tuple[float, float]:
        return self._timeouts.connect, seconds

    @contextmanager
    def _talking(self, command: str) -> Iterator[None]:
        """Turns what the library and the ones below it raise into errors of ours."""
        from ipfshttpclient import exceptions
        from requests import RequestException

        try:
            yield
        except exceptions.ErrorResponse as error:
            raise refused(str(self), command, _status(error), replies.shown(str(error))) from error
        except exceptions.StatusError as error:
            raise refused(str(self), command, _status(error), "") from error
        except (exceptions.CommunicationError, RequestException) as error:
            raise StorageUnavailableError(
                f"can't talk to the IPFS daemon at {self} ({command}); start it, or correct the address"
            ) from error
        except StorageError:
            raise
        # The library asserts and indexes where a daemon answers something else than it expects.
        except (exceptions.Error, AssertionError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise StorageError(f"the answer to {command} is not that of an IPFS daemon; check {self}") from error


@storages.register("ipfs-http-client")
def ipfs_http_client(location: str = "") -> IpfsDaemon:
    """As the storage `ipfs`, through ipfshttpclient. Raises MissingExtraError without it."""
    return IpfsDaemon(IpfsHttpClientApi.connect(DaemonAddress.parse(location), Authorization.from_environment()))


def _library() -> Any:
    try:
        import ipfshttpclient
    except ImportError as error:
        raise MissingExtraError("this storage needs ipfshttpclient: pip install 'bflmec[ipfs]'") from error
    return ipfshttpclient


def _encoded(answer: Any) -> bytes:
    return msgspec.json.encode(answer.as_json())


def _status(error: Any) -> int:
    return getattr(getattr(error.original, "response", None), "status_code", 500)
