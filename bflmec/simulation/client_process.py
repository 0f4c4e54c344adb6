"""A client in virtual time: drives `protocol.client.Client` with arriving samples and passing contacts."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import simpy
from numpy.typing import NDArray

from bflmec.errors import BFLMECError, GradientRejectedError
from bflmec.protocol.client import Client, TrainingTask, nearest_first
from bflmec.protocol.messages import Receipt
from bflmec.protocol.ports import LedgerView
from bflmec.simulation.measurements import Latency, Measurements

if TYPE_CHECKING:
    from bflmec.configuration.sections import World
    from bflmec.simulation.conduct import Conduct
    from bflmec.simulation.trace import Trace
    from bflmec.simulation.training import Trainer

Process = Generator[simpy.Event, Any, None]

LOOKAHEAD = 3600.0
"""Seconds of movement that are searched for a contact at a time: there may be none, ever."""

RETRY = 0.5
"""Seconds until a client looks again after no edge node of its surroundings answered."""


class Receiver(Protocol):
    """An edge node, as a client meets it."""

    def take_in(self, envelope: bytes) -> Receipt:
        """A client's upload. Raises BFLMECError if it is refused."""
        ...


class ClientWorld(Protocol):
    """What a client's process needs of the simulation that it is part of."""

    @property
    def env(self) -> simpy.Environment: ...

    @property
    def world(self) -> World: ...

    @property
    def trace(self) -> Trace: ...

    @property
    def trainer(self) -> Trainer: ...

    @property
    def gateway(self) -> LedgerView: ...

    @property
    def measurements(self) -> Measurements: ...

    @property
    def conduct(self) -> Conduct: ...

    @property
    def edge_nodes(self) -> Sequence[Receiver]: ...

    def receipt_holds(self, receipt: Receipt) -> bool: ...


class ClientProcess:
    """Learns and uploads side by side: a client without a connection keeps training."""

    def __init__(self, simulation: ClientWorld, index: int, client: Client) -> None:
        self.client = client
        self.rejections: list[str] = []
        self._sim = simulation
        self._index = index
        self._arrived = 0
        self._attempts = 0
        self._trained = simulation.env.event()

    def start(self) -> None:
        self._sim.env.process(self._learn())
        self._sim.env.process(self._upload())

    # ---------------------------------------------------------------- Algorithm 2, lines 1-9

    def _learn(self) -> Process:
        sim, client = self._sim, self.client
        while True:
            yield from self._collect()
            yield from self._read_anchor()
            task = client.begin_update()
            sim.measurements.training_started(self._index)
            job = sim.trainer.submit(self._index, task)
            duration = sim.trainer.steps(task) * sim.world.step_time
            sim.measurements.took(Latency.LOCAL, duration)
            yield sim.env.timeout(duration)
            self._finish(task, job.result())
            self._trained.succeed()
            self._trained = sim.env.event()

    def _finish(self, task: TrainingTask, weights: NDArray[np.float32]) -> None:
        sent = self._sim.conduct.trained(self._index, task.start, weights)
        self.client.finish_update(sent)
        if self.client.weights is sent:
            self.client.weights = weights  # whoever cheats others goes on with its own true weights

    def _collect(self) -> Process:
        missing = self.client.missing_samples
        own = self._sim.trainer.samples_of(self._index)
        self.client.collect([(self._arrived + i) % own for i in range(missing)])
        self._arrived += missing
        ready = self._sim.trace.arrival(self._index, self._arrived - 1)
        if ready > self._sim.env.now:
            yield self._sim.env.timeout(ready - self._sim.env.now)

    def _read_anchor(self) -> Process:
        """Reads the newest global gradient if it can; waits only as long as it has none at all."""
        sim = self._sim
        while True:
            if any(sim.trace.is_up(node, sim.env.now) for node in sim.trace.reachable(self._index, sim.env.now)):
                self.client.jump(sim.gateway)
            if self.client.anchor is not None:
                return
            yield sim.env.timeout(RETRY)
            yield from self._wait_for_contact()

    def _wait_for_contact(self) -> Process:
        env = self._sim.env
        while True:
            horizon = env.now + LOOKAHEAD
            contact = self._sim.trace.next_contact(self._index, env.now, horizon)
            if contact > env.now:
                yield env.timeout(contact - env.now)
            if contact < horizon:
                return

    # ---------------------------------------------------------------- Algorithm 2, lines 10-16

    def _upload(self) -> Process:
        while True:
            if not self.client.pending:
                yield self._trained
            yield from self._wait_for_contact()
            yield from self._try_in_turn()

    def _try_in_turn(self) -> Process:
        """The nearest edge node, then the next one while they fail; gives up at the end of the contact."""
        sim = self._sim
        failed: set[int] = set()
        while self.client.pending:
            nodes = nearest_first(sim.trace.reachable(self._index, sim.env.now), frozenset(failed))
            if not nodes:
                yield sim.env.timeout(RETRY)
                return
            if not sim.trace.is_up(nodes[0], sim.env.now):
                failed.add(nodes[0])
                sim.measurements.uploads_failed += 1
                yield sim.env.timeout(sim.world.upload_latency)
                continue
            complete = yield from self._send(nodes[0])
            if not complete:
                return

    def _send(self, node: int) -> Generator[simpy.Event, Any, bool]:
        """Signs and uploads everything pending. Returns false if the contact ended halfway."""
        sim = self._sim
        yield sim.env.timeout(sim.world.sign_time)
        sim.measurements.took(Latency.SIGN, sim.world.sign_time)
        envelope = self.client.compose()
        duration = sim.world.upload_latency + len(envelope) / sim.world.upload_rate
        duration += sim.world.upload_jitter * sim.trace.jitter(self._index, self._attempts)
        self._attempts += 1
        done = sim.env.now + duration
        end = sim.trace.contact_end(self._index, node, sim.env.now, done)
        if end < done:
            sim.measurements.uploads_cut_off += 1
            yield sim.env.timeout(max(end - sim.env.now, 0.0) + RETRY)
            return False
        yield sim.env.timeout(duration)
        sim.measurements.took(Latency.UPLOAD, duration)
        try:
            receipt = sim.edge_nodes[node].take_in(envelope)
        except BFLMECError as error:
            self.rejections.append(str(error))
            yield sim.env.timeout(RETRY)
            return False
        self._accept(receipt)
        return True

    def _accept(self, receipt: Receipt) -> None:
        if not self._sim.receipt_holds(receipt):
            raise GradientRejectedError(f"the receipt of edge node {receipt.edge_node} does not hold")
        covered = self.client.acknowledge(receipt)
        self._sim.conduct.sent(self._index, receipt.gradient, covered)
        self._sim.measurements.acknowledged(self._index, receipt.gradient, covered)
