"""How many local gradients a second one edge node acknowledges: decrypted, verified, on disk, with a signed receipt.

    python benchmarks/edge_node.py
    python benchmarks/edge_node.py --uploads 5000 --connections 64

The model is MNIST's logistic regression, 31 KB a local gradient. The load comes from another process over loopback;
both share the machine with the chain. Beside it stands what the same work costs without a service, one after the other
in this process: to open and verify an upload, to add it to the cache pool and to sync.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from edge_load import run_load
from edge_network import SCHEME, Network, network

from bflmec.consortium.edge_node import create_edge_node
from bflmec.consortium.signatures import verifier_of
from bflmec.crypto.keys import key_digest
from bflmec.edge.pool import DurableCachePool
from bflmec.edge.store import EdgeStore
from bflmec.ledger.certificates import ECDSACertifier
from bflmec.protocol.edge_node import EdgeNode, EdgeNodeIdentity
from bflmec.storage import MemoryStore
from bflmec.transport.sealing import open_sealed, seal

PER_CLIENT = 30
SETTINGS = (
    "data.dataset=mnist",
    "experiment.clients=10000",
    "ledger.aggregation_threshold=10000",
    "ledger.record_after=86400",
    "ledger.archive=false",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploads", type=int, default=2500, help="local gradients to send (default 2500, most 2900)")
    parser.add_argument("--connections", type=int, default=32, help="sent at a time (default 32)")
    args = parser.parse_args()
    clients = min(-(-args.uploads // PER_CLIENT), 97)
    with tempfile.TemporaryDirectory() as folder, network(Path(folder), 1, clients + 1, *SETTINGS) as made:
        sealed = prepared(made, args.uploads)
        size = sum(map(len, sealed)) / len(sealed)
        print(f"{len(sealed)} uploads of {size / 1000:.1f} kB, {clients} clients, {args.connections} connections")
        server = made.edge_nodes[0]
        before = server.cpu_seconds()
        load = run_load([server.url], sealed, args.connections)
        load.show("edge node")
        cpu = (server.cpu_seconds() - before) / len(sealed)
        print(f"{'':<34}{1000 * cpu:.2f} CPU ms each in the edge node, {1000 * load.cpu / len(sealed):.2f} in the load")
        for batch in (1, 16, 64):
            bare(made, sealed[: min(len(sealed), 20 * batch, 600)], batch, Path(folder))


def prepared(made: Network, uploads: int) -> list[bytes]:
    recipient = made.recipient(0)
    anchor = made.ledger.latest_anchor()
    chosen = [made.uploaders[number % (len(made.uploaders) - 1)] for number in range(uploads)]
    envelopes = [uploader.envelope(made, anchor.number, anchor.hash) for uploader in chosen]
    return [seal(envelope, recipient.encapsulation_key, recipient.binding) for envelope in envelopes]


class Registry:
    """What the ledger would say, from memory."""

    def __init__(self, made: Network) -> None:
        self._clients = {
            uploader.account: key_digest(SCHEME.from_seed(uploader.key).public_key) for uploader in made.uploaders
        }
        self._nodes = made.ledger.participants.edge_nodes()

    def client_key_digest(self, account: bytes) -> bytes | None:
        return self._clients.get(account)

    def edge_nodes(self) -> dict[int, bytes]:
        return dict(self._nodes)


def bare(made: Network, sealed: list[bytes], batch: int, folder: Path) -> None:
    """The same work without HTTP, threads and a second process."""
    keys, recipient = made.directories[0].keys(), made.recipient(0)
    store = EdgeStore.open(folder / f"bare-{batch}.sqlite", bytes(32))
    node = bare_node(made, store)
    cpu, began = time.process_time(), time.perf_counter()
    for start in range(0, len(sealed), batch):
        accepted = [
            node.accept(open_sealed(data, keys.encapsulation, recipient.binding, 2**20), 0.0)
            for data in sealed[start : start + batch]
        ]
        node.pool.flush()
        for one in accepted:
            node.receipt(one.digest)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    store.close()
    title = f"bare, a sync for every {batch}" if batch > 1 else "bare, a sync for each"
    print(f"{title:<34}{len(sealed) / wall:>8.0f} /s   {1000 * cpu / len(sealed):.2f} CPU ms each")


def bare_node(made: Network, store: EdgeStore) -> EdgeNode:
    keys = made.directories[0].keys()
    identity = EdgeNodeIdentity(1, keys.account, keys.signature, ECDSACertifier(keys.account_key))
    return create_edge_node(
        made.config,
        made.genesis,
        identity,
        parameters=made.ledger.parameters(),
        participants=Registry(made),
        verify=verifier_of(SCHEME),
        pool=DurableCachePool(store, made.genesis.model.spec, 0.0),
        blobs=MemoryStore(),
    )


if __name__ == "__main__":
    main()
