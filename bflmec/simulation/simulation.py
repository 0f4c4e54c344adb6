"""One run in virtual time: clients, edge nodes and a ledger in a recorded world.

The clock is SimPy's; every latency comes from the configured profile, none from the machine's clock. The protocol's own
objects decide everything; the processes here only carry messages between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import simpy
from numpy.typing import NDArray

from bflmec.configuration.sections import World
from bflmec.errors import ConfigError
from bflmec.learning.global_update import GlobalUpdate
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.client import Client
from bflmec.protocol.edge_node import EdgeNode
from bflmec.protocol.messages import RECEIPT_CONTEXT, Receipt
from bflmec.protocol.ports import Participants, Verifier
from bflmec.simulation.client_process import ClientProcess
from bflmec.simulation.conduct import HONEST, Conduct
from bflmec.simulation.edge_process import EdgeProcess
from bflmec.simulation.gateway import LedgerGateway
from bflmec.simulation.measurements import Measurements
from bflmec.simulation.trace import Trace
from bflmec.simulation.training import Trainer


@dataclass(frozen=True)
class AppendedBlock:
    """A block that the ledger appended at `time` seconds for `gas`, with the global update that it carried, if any."""

    time: float
    block: SealedBlock
    update: GlobalUpdate | None
    gas: int


class Simulation:
    """Ties the processes together. `receipt_keys` are the edge nodes' public keys by id, `scheme` is theirs."""

    def __init__(
        self,
        *,
        world: World,
        trace: Trace,
        trainer: Trainer,
        gateway: LedgerGateway,
        participants: Participants,
        verify: Verifier,
        scheme: str,
        receipt_keys: dict[int, bytes],
        edge_nodes: Sequence[EdgeNode],
        clients: Sequence[Client],
        conduct: Conduct = HONEST,
    ) -> None:
        self.env = simpy.Environment()
        self.world = world
        self.trace = trace
        self.trainer = trainer
        self.gateway = gateway
        self.participants = participants
        self.conduct = conduct
        self.measurements = Measurements()
        self.edge_nodes = [EdgeProcess(self, index, node) for index, node in enumerate(edge_nodes)]
        self.clients = [ClientProcess(self, index, client) for index, client in enumerate(clients)]
        self._verify = verify
        self._scheme = scheme
        self._receipt_keys = receipt_keys
        self._appended: list[AppendedBlock] = []

    def run(self, aggregations: int, horizon: float) -> Iterator[AppendedBlock]:
        """Yields each block when it is appended, until so many global updates are in the ledger.

        Raises ConfigError if the horizon, in seconds of virtual time, comes first and nothing else can happen.
        """
        for edge_process in self.edge_nodes:
            edge_process.start()
        for client_process in self.clients:
            client_process.start()
        updates = 0
        while updates < aggregations:
            if self.env.peek() > horizon:
                raise ConfigError(
                    f"only {updates} of {aggregations} global updates happened within {horizon:g} seconds of virtual "
                    "time; raise experiment.horizon, or look at data_threshold, arrival_rate, coverage and upload_rate"
                )
            self.env.step()
            for appended in self._appended:
                updates += appended.update is not None
                yield appended
            self._appended.clear()

    def block_appended(self, block: SealedBlock, gas: int) -> None:
        """The ledger has a new block: every edge node moves on, and the measurements are taken."""
        state = self.edge_nodes[0].node.state
        taken_in = [*state.pending, *block.transactions] if block.header.is_global_update else []
        updates_before = sorted(state.anchors)
        gradients = [self._gradient_anchor(entry.gradient) for entry in taken_in]
        updates = [process.record(block) for process in self.edge_nodes]
        self.measurements.recorded(entry.gradient for entry in block.transactions)
        self.measurements.aggregated(len(updates_before) - 1 - updates_before.index(anchor) for anchor in gradients)
        self._appended.append(AppendedBlock(self.env.now, block, updates[0], gas))

    def _gradient_anchor(self, digest: bytes) -> int:
        for process in self.edge_nodes:
            item = process.node.pool.get(digest)
            if item is not None:
                return item.gradient.header.anchor
        raise AssertionError("a recorded local gradient is in no cache pool")

    def receipt_holds(self, receipt: Receipt) -> bool:
        """Whether the receipt carries the signature of the edge node that it names."""
        statement = Receipt.statement(receipt.edge_node, receipt.gradient)
        key = self._receipt_keys[receipt.edge_node]
        return self._verify(self._scheme, key, statement, receipt.signature, RECEIPT_CONTEXT)

    def edge_node_id(self, account: bytes) -> int:
        """Registry id of the edge node with that ledger account."""
        return next(p.node.identity.id for p in self.edge_nodes if p.node.identity.account == account)

    def held_weights(self) -> list[NDArray[np.float32] | None]:
        """The weights (P,) that each client holds now, None before it read its first global gradient."""
        return [process.client.weights for process in self.clients]
