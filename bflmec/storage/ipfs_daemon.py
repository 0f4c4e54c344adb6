"""Any daemon that speaks `/api/v0` (Kubo, and others with its interface) as a blob storage.

The daemon is trusted to keep what it says that it keeps, and with nothing else: the content id that it returns is
compared with our own, every block that it gives with its digest, and every answer is bounded in size and time.
"""

from __future__ import annotations

from bflmec.errors import StorageError, StorageUnavailableError
from bflmec.storage import unixfs
from bflmec.storage.cid import Cid
from bflmec.storage.ipfs_address import DaemonAddress
from bflmec.storage.ipfs_api import HttpApi, IpfsApi
from bflmec.storage.ipfs_authorization import Authorization
from bflmec.storage.ipfs_replies import parse_cid
from bflmec.storage.protocol import Buffer, Collected, storages


class IpfsDaemon:
    """A `BlobStorage` whose blocks an IPFS daemon holds, and offers to its peers: never put a local gradient there.

    `get` finds what any reachable peer holds; all else concerns the daemon alone. Methods raise
    StorageUnavailableError if the daemon does not answer, so that it can be told from a missing blob.
    """

    def __init__(self, api: IpfsApi) -> None:
        self._api = api

    def put(self, data: Buffer) -> Cid:
        """As in `BlobStorage.put`. The blob is not pinned: the daemon's next garbage collection may remove it."""
        cid = unixfs.cid_of(data)
        found = self._api.add(data)
        if parse_cid(found) != cid:
            raise StorageError(
                f"the IPFS daemon at {self._api} stored the blob {cid} under another content id: it does not know "
                "CIDv1 with raw leaves, chunks of 1 MiB and 1024 links; use a newer Kubo"
            )
        return cid

    def get(self, cid: Cid, limit: int) -> bytes:
        return unixfs.read(cid, self.block, limit)

    def has(self, cid: Cid) -> bool:
        """Whether the daemon itself says that it holds every block of the blob."""
        try:
            for block in unixfs.blocks(cid, self._local_block):
                self._api.require_local(block)
        except StorageUnavailableError:
            raise
        except StorageError:
            return False
        return True

    def pin(self, cid: Cid) -> None:
        # Checked here, since a daemon that may ask its peers would go and fetch a DAG of any size.
        if not self.has(cid):
            raise StorageError(f"can't pin {cid}: it is not complete in the daemon at {self._api}; put it first")
        self._api.pin(cid)

    def unpin(self, cid: Cid) -> None:
        try:
            self._api.unpin(cid)
        except StorageError:
            if cid in self._api.pins():
                raise

    def pins(self) -> list[Cid]:
        """As in `BlobStorage.pins`; the daemon's pins of other kinds of content are passed over."""
        return self._api.pins()

    def gc(self) -> Collected:
        """Makes the daemon remove every block that nothing pinned needs, other people's included. The size is the
        difference that it makes to the daemon's repository, as the daemon counts."""
        before = self._api.size()
        blocks = self._api.collect_garbage()
        return Collected(blocks, max(before - self._api.size(), 0) if blocks else 0)

    def block(self, cid: Cid) -> bytes:
        """One block, checked against its digest. Raises StorageError if neither daemon nor peers give it."""
        try:
            block = self._api.block(cid)
        except StorageUnavailableError:
            raise
        except StorageError as error:
            raise StorageError(f"block {cid} is not in the daemon at {self._api}, nor found by it: {error}") from error
        return self._checked(cid, block)

    def close(self) -> None:
        """Close the connections; the storage must not be used afterwards."""
        self._api.close()

    def _local_block(self, cid: Cid) -> bytes:
        return self._checked(cid, self._api.local_block(cid))

    def _checked(self, cid: Cid, block: bytes) -> bytes:
        if Cid.of(cid.codec, block) != cid:
            raise StorageError(f"the daemon at {self._api} gave wrong bytes for block {cid}; don't use this daemon")
        return block


@storages.register("ipfs")
def ipfs_daemon(location: str = "") -> IpfsDaemon:
    """The daemon at an address (see `DaemonAddress.parse`), with the secret that the environment names."""
    return IpfsDaemon(HttpApi(DaemonAddress.parse(location), Authorization.from_environment()))
