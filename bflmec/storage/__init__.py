"""Content-addressed storage of blobs, with the content ids and the disk layout of IPFS."""

from bflmec.storage.cid import DAG_PB, RAW, Cid
from bflmec.storage.memory import MemoryStore
from bflmec.storage.protocol import BlobStorage, Buffer, Collected, storages
from bflmec.storage.store import BlobStore

__all__ = ["DAG_PB", "RAW", "BlobStorage", "BlobStore", "Buffer", "Cid", "Collected", "MemoryStore", "storages"]
