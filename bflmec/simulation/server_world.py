"""The same clients in the same world, with one trusted server behind all edge nodes in place of the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

import numpy as np
import simpy
from numpy.typing import NDArray

from bflmec.configuration.sections import Config
from bflmec.consortium.rules import client_rules_of
from bflmec.learning.blob import decode_blob, encode_blob
from bflmec.protocol.client import Client, ClientIdentity
from bflmec.protocol.messages import Envelope, GradientHeader, Receipt, decode
from bflmec.protocol.ports import Anchor, LedgerView
from bflmec.simulation.assembly import trace_of
from bflmec.simulation.client_process import ClientProcess
from bflmec.simulation.conduct import HONEST, Conduct
from bflmec.simulation.measurements import Measurements
from bflmec.simulation.population import Population
from bflmec.simulation.servers import Server, Upload
from bflmec.storage import MemoryStore

Vector = NDArray[np.float32]


class _Relay:
    """An edge node that passes everything on."""

    def __init__(self, world: ServerWorld, number: int) -> None:
        self._world = world
        self._number = number

    def take_in(self, envelope: bytes) -> Receipt:
        return Receipt(self._number, self._world.receive(envelope), b"")


class ServerWorld:
    """Clients of a `Population` and a `Server`. What a client does is `protocol.client.Client`'s decision, as ever; its
    anchor is the server's newest version. Nobody signs or mines."""

    def __init__(
        self,
        config: Config,
        population: Population,
        server: Server,
        identities: Sequence[ClientIdentity],
        conduct: Conduct = HONEST,
    ) -> None:
        self.env = simpy.Environment()
        self.world = config.world
        self.trace = trace_of(config)
        self.trainer = population.trainer
        self.trainer.conduct = conduct
        self.conduct = conduct
        self.measurements = Measurements()
        self.gateway: LedgerView = self
        self.edge_nodes = [_Relay(self, number) for number in range(config.experiment.edge_nodes)]
        self.uploads = 0
        self._spec = population.model.spec
        self._server = server
        self._blobs = MemoryStore()
        self._client = {identity.account: index for index, identity in enumerate(identities)}
        self._versions: list[Vector] = []
        self._anchors: list[Anchor] = []
        self._new: list[Vector] = []
        self._publish(population.initial)
        rules = client_rules_of(config)
        self._processes = [
            ClientProcess(self, index, Client(identity, conduct.rules(index, rules), self._spec, self._blobs))
            for index, identity in enumerate(identities)
        ]

    def run(self, until: float) -> Iterator[tuple[float, Vector]]:
        """Yields each new version of the global weights with its time, up to `until` seconds of virtual time."""
        for process in self._processes:
            process.start()
        while self.env.peek() <= until:
            self._new.clear()
            self.env.step()
            for weights in self._new:
                yield self.env.now, weights

    # ---------------------------------------------------------------- the server

    def receive(self, envelope: bytes) -> bytes:
        """Digest of the upload that was taken in. Raises MessageError or BlobError."""
        upload = decode(Envelope, envelope)
        header = GradientHeader.decode(upload.signed.header)
        delta = decode_blob(self._spec, upload.blob)
        newest = len(self._versions) - 1
        found = Upload(
            self._client[header.client], delta, self._versions[header.anchor], staleness=newest - header.anchor
        )
        self.uploads += 1
        weights = self._server.receive(self._versions[-1], found)
        if weights is not None:
            self._publish(weights.astype(np.float32))
            self._new.append(self._versions[-1])
        return header.digest

    def _publish(self, weights: Vector) -> None:
        number = len(self._versions)
        content = self._blobs.put(encode_blob(self._spec, weights))
        self._versions.append(weights)
        self._anchors.append(Anchor(number, sha256(number.to_bytes(8, "big")).digest(), content))

    # ---------------------------------------------------------------- as a client sees it

    def head_number(self) -> int:
        return len(self._anchors) - 1

    def latest_anchor(self) -> Anchor:
        return self._anchors[-1]

    def anchor_at(self, number: int) -> Anchor | None:
        return self._anchors[number] if number < len(self._anchors) else None

    def receipt_holds(self, receipt: Receipt) -> bool:
        """There is nobody whom a client would have to doubt."""
        return True
