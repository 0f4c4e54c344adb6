"""The storage that a location names."""

from __future__ import annotations

from bflmec.storage.ipfs_address import is_daemon_address
from bflmec.storage.protocol import BlobStorage, storages


def open_storage(location: str, name: str | None = None) -> BlobStorage:
    """The storage of that name at a location; without a name, `ipfs` if the location is a daemon's address, else
    `embedded`. Raises ConfigError for an unknown name, StorageError or MissingExtraError if it can't be opened."""
    return storages.get(name or ("ipfs" if is_daemon_address(location) else "embedded"))(location)
