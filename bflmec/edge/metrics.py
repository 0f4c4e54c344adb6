"""What an edge node counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One registry for each edge node: several can live in one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.receipts = self._counter("receipts", "Receipts given, repeated ones included")
        self.rejected = Counter(
            "bflmec_rejected", "Requests refused, by the name of the error", ["error"], registry=self._registry
        )
        self.taken = self._counter("exchanged", "Local gradients taken in from other edge nodes")
        self.sealed = self._counter("sealed", "Blocks sealed here")
        self.approved = self._counter("approved", "Blocks of other edge nodes approved here")
        self.refused = self._counter("refused", "Answers to proposals that were no approval")
        self.races_lost = self._counter("races_lost", "Blocks sealed and approved, but appended too late")
        self.blocks = self._counter("blocks", "Blocks that the ledger appended")
        self.removed = self._counter("blocks_removed", "Blocks that a reorganisation took away")
        self.upload_seconds = self._histogram("upload_seconds", "From an upload's last byte to its receipt")
        self.block_seconds = self._histogram("block_seconds", "From the start of a block to its place in the ledger")
        self.head = self._gauge("head", "Number of the newest block")
        self.anchor = self._gauge("anchor", "Number of the newest block with a global update")
        self.waiting = self._gauge("waiting", "Local gradients that wait to be recorded or aggregated")
        self.pool_bytes = self._gauge("pool_bytes", "Size of the cache pool")
        self.peers_up = self._gauge("peers_up", "Other edge nodes that answer")
        self.ether = self._gauge("ether", "What the ledger account has to pay for blocks with, in ether")
        self.ready = self._gauge("ready", "1 if the edge node is ready, else 0")

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"bflmec_{name}", text, registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"bflmec_{name}", text, registry=self._registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"bflmec_{name}", text, buckets=_SECONDS, registry=self._registry)
