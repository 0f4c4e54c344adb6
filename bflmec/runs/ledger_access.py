"""Opening the ledger of a run that nobody writes to meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from bflmec.errors import RunDirectoryError
from bflmec.runs.directory import RunDirectory
from bflmec.storage import BlobStore

if TYPE_CHECKING:
    from bflmec.devchain import DevChain
    from bflmec.ledger.client import LedgerClient


class OpenLedger(NamedTuple):
    """The typed client, the chain under it, and the blob store."""

    ledger: LedgerClient
    chain: DevChain
    blobs: BlobStore


@contextmanager
def open_ledger(directory: RunDirectory) -> Iterator[OpenLedger]:
    """Opens chain file, deployment record and blob store, and holds the directory's lock.

    Raises RunDirectoryError if the run goes on or has no ledger yet, ChainError or LedgerError if chain file or
    deployment record are damaged.
    """
    for file in (directory.chain_file, directory.deployment_file):
        if not file.is_file():
            raise RunDirectoryError(
                f"{directory.path} has no ledger yet ({file.name} is missing); "
                f"go on with `bflmec run --resume {directory.path}`"
            )
    directory.lock()
    try:
        from web3 import Web3

        from bflmec.devchain import DevChain, DevChainProvider
        from bflmec.ledger.client import LedgerClient
        from bflmec.ledger.deployment import Deployment

        deployment = Deployment.load(directory.deployment_file)
        with DevChain.open(directory.chain_file) as chain:
            ledger = LedgerClient(Web3(DevChainProvider(chain)), deployment)
            yield OpenLedger(ledger, chain, BlobStore(directory.blobs))
    finally:
        directory.unlock()
