"""A devnet that is up: in order from the chain to the clients, watched, and down again in the opposite order."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Final

from bflmec.devnet.founding import Report, found
from bflmec.devnet.observation import Evaluation, Observation, Observer
from bflmec.devnet.plan import NETWORK, SUPERVISOR, DevnetDirectory, Plan
from bflmec.devnet.processes import ProcessRecord
from bflmec.devnet.programs import programs
from bflmec.devnet.supervisor import Member, Supervisor
from bflmec.errors import LedgerError
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import Deployment
from bflmec.ledger.network import connect, find_network

_log = logging.getLogger(__name__)

READY_SECONDS: Final = 120.0
"""On two cores three edge nodes need ten seconds; a busy machine may take its time."""
LOOK_SECONDS: Final = 0.2
OBSERVE_SECONDS: Final = 1.0
CLIENT_GAP: Final = 0.2
"""Between the starts of two clients, which each import for a second or two."""

Watch = Callable[[Observation, float | None], None]
"""Takes what is seen and the newest accuracy, if known."""


def end_leftovers(directory: DevnetDirectory, plan: Plan, seconds: float = 40.0) -> list[str]:
    """Ends processes of an earlier supervisor that was killed; returns their names. Others are never touched."""
    ended = []
    for name in reversed(plan.names):
        record = ProcessRecord.load(directory.pid_file(name))
        if record is not None and record.is_alive():
            record.end(seconds)
            ended.append(name)
    return ended


@contextmanager
def supervising(directory: DevnetDirectory) -> Iterator[None]:
    """The lock, the file by which `down` finds this process, and its log."""
    with directory.locked():
        handler = logging.FileHandler(directory.log(SUPERVISOR))
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger = logging.getLogger("bflmec.devnet")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(handler)
        ProcessRecord.of(os.getpid(), 1).save(directory.pid_file(SUPERVISOR))
        try:
            yield
        finally:
            directory.pid_file(SUPERVISOR).unlink(missing_ok=True)
            logger.removeHandler(handler)
            handler.close()


def run(
    directory: DevnetDirectory,
    plan: Plan,
    stopped: Event,
    report: Report,
    watch: Watch,
    aggregations: int | None = None,
) -> None:
    """Brings everything up, looks after it until `stopped` or after so many global updates, and takes it down.

    Raises DevnetError if a process does not become ready, with the end of its log; the others are ended before.
    """
    members = [Member(directory, program) for program in programs(directory, plan)]
    supervisor = Supervisor(members)
    chain, edge_nodes = members[:1], members[1 : 1 + len(plan.edge_ports)]
    clients = members[1 + len(plan.edge_ports) :]
    try:
        report("chain starts")
        supervisor.start(chain, READY_SECONDS)
        found(directory, plan, report)
        report(f"{len(edge_nodes)} edge nodes start")
        supervisor.start(edge_nodes, READY_SECONDS)
        report(f"{len(clients)} clients start")
        for client in clients:
            client.start()
            if stopped.wait(CLIENT_GAP):
                return
        _look_after(directory, plan, supervisor, stopped, watch, aggregations)
    finally:
        for group in (clients, edge_nodes, chain):
            supervisor.end(group)
        _log.info("down")


def _look_after(
    directory: DevnetDirectory,
    plan: Plan,
    supervisor: Supervisor,
    stopped: Event,
    watch: Watch,
    aggregations: int | None,
) -> None:
    evaluation, due = Evaluation(directory, plan), 0.0
    goal = _Goal(directory, aggregations)
    with Observer(directory, plan) as observer:
        while not stopped.wait(LOOK_SECONDS):
            supervisor.look_after()
            if (now := time.monotonic()) < due:
                continue
            due = now + OBSERVE_SECONDS
            seen = observer.observe()
            newest = seen.newest
            watch(seen, None if newest is None else evaluation.accuracy(newest.global_gradient))
            if goal.is_reached():
                return


class _Goal:
    """So many more global updates than the ledger holds at first; None is never reached."""

    def __init__(self, directory: DevnetDirectory, aggregations: int | None) -> None:
        self._directory, self._aggregations = directory, aggregations
        self._ledger: LedgerClient | None = None
        self._first = 0

    def is_reached(self) -> bool:
        """False while the ledger does not answer."""
        if self._aggregations is None:
            return False
        with contextlib.suppress(LedgerError):
            if self._ledger is None:
                w3 = connect(find_network(NETWORK, self._directory.networks))
                ledger = LedgerClient(w3, Deployment.load(self._directory.deployment))
                self._first, self._ledger = ledger.anchor_count(), ledger
            return self._ledger.anchor_count() >= self._first + self._aggregations
        return False
