"""Content-addressed storage of blobs, with the content ids and the disk layout of IPFS."""

from bflmec.storage.cid import DAG_PB, RAW, Cid
from bflmec.storage.fallback import FallbackStore, Getter
from bflmec.storage.ipfs_daemon import IpfsDaemon
from bflmec.storage.ipfs_http_client import ipfs_http_client as _  # noqa: F401  # registers its name
from bflmec.storage.memory import MemoryStore
from bflmec.storage.opening import open_storage
from bflmec.storage.protocol import BlobStorage, BlockSink, BlockSource, Buffer, Collected, storages
from bflmec.storage.store import BlobStore

__all__ = [
    "DAG_PB",
    "RAW",
    "BlobStorage",
    "BlobStore",
    "BlockSink",
    "BlockSource",
    "Buffer",
    "Cid",
    "Collected",
    "FallbackStore",
    "Getter",
    "IpfsDaemon",
    "MemoryStore",
    "open_storage",
    "storages",
]
