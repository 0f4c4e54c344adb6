"""What a devnet does, as anybody can see it who has its directory: processes, edge nodes, the newest model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from bflmec.configuration import load
from bflmec.consortium.genesis import genesis_of
from bflmec.devnet.plan import DevnetDirectory, Plan
from bflmec.devnet.processes import ProcessRecord
from bflmec.errors import BFLMECError
from bflmec.learning.blob import decode_blob
from bflmec.learning.datasets import load_dataset
from bflmec.learning.evaluation import accuracy
from bflmec.storage.cid import Cid
from bflmec.transport.edge_api import EdgeApi

ANSWER_SECONDS: Final = 2.0
_MAX_METRICS: Final = 1 << 20
_RECEIPTS = re.compile(r"^bflmec_receipts_total (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ProcessState:
    """`starts` counts how often it was started, `memory` is in bytes."""

    name: str
    pid: int | None
    starts: int
    memory: int


@dataclass(frozen=True, slots=True)
class EdgeState:
    """What an edge node says; `receipts` since its last start."""

    head: int
    anchor: int
    global_gradient: str
    pending: int
    pool: int
    recorded: int
    peers_up: int
    receipts: int
    troubles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """`edge_nodes` holds those that answer."""

    processes: tuple[ProcessState, ...]
    edge_nodes: Mapping[str, EdgeState]

    @property
    def newest(self) -> EdgeState | None:
        """The edge node that has come furthest."""
        return max(self.edge_nodes.values(), key=lambda state: state.head, default=None)


class Observer:
    """A context manager that asks. One thread at a time."""

    def __init__(self, directory: DevnetDirectory, plan: Plan) -> None:
        self._directory, self._plan = directory, plan
        self._threads = ThreadPoolExecutor(len(plan.edge_ports))

    def observe(self) -> Observation:
        endpoints = [self._plan.endpoint(number) for number in range(1, len(self._plan.edge_ports) + 1)]
        answers = zip(self._plan.edge_nodes, self._threads.map(_ask, endpoints), strict=True)
        return Observation(
            tuple(self._process(name) for name in self._plan.names),
            {name: state for name, state in answers if state is not None},
        )

    def _process(self, name: str) -> ProcessState:
        record = ProcessRecord.load(self._directory.pid_file(name))
        if record is None:
            return ProcessState(name, None, 0, 0)
        alive = record.is_alive()
        return ProcessState(name, record.pid if alive else None, record.starts, record.memory() if alive else 0)

    def close(self) -> None:
        self._threads.shutdown()

    def __enter__(self) -> Observer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Evaluation:
    """How good global gradients are on the test set; each is evaluated once."""

    def __init__(self, directory: DevnetDirectory, plan: Plan) -> None:
        config = load(directory.config)
        folder = Path(config.data.directory) if config.data.directory else None
        self._plan = plan
        self._model = genesis_of(config).model
        self._data = load_dataset(config.data.dataset, folder)
        self._known: tuple[str, float | None] = ("", None)

    def accuracy(self, global_gradient: str) -> float | None:
        """None if no edge node hands it out just now."""
        if self._known[0] != global_gradient or self._known[1] is None:
            self._known = global_gradient, self._evaluated(Cid.parse(global_gradient))
        return self._known[1]

    def _evaluated(self, cid: Cid) -> float | None:
        for number in range(1, len(self._plan.edge_ports) + 1):
            try:
                with EdgeApi(self._plan.endpoint(number), timeout=ANSWER_SECONDS) as api:
                    weights = decode_blob(self._model.spec, api.blob(cid))
            except BFLMECError:
                continue
            return accuracy(self._model, weights, self._data.test_x, self._data.test_y)
        return None


def _ask(endpoint: str) -> EdgeState | None:
    try:
        with EdgeApi(endpoint, timeout=ANSWER_SECONDS) as api:
            status: dict[str, Any] = dict(api.status())
        return EdgeState(
            head=status["head"]["number"],
            anchor=status["anchor"]["number"],
            global_gradient=status["anchor"]["global_gradient"],
            pending=status["pending"],
            pool=status["pool"]["gradients"],
            recorded=status["recorded"],
            peers_up=len(status["peers_up"]),
            receipts=_receipts(endpoint),
            troubles=tuple(map(str, status["troubles"])),
        )
    except (BFLMECError, KeyError, TypeError, httpx.HTTPError):
        return None


def _receipts(endpoint: str) -> int:
    with httpx.stream("GET", f"{endpoint}/metrics", timeout=ANSWER_SECONDS) as answer:
        text = b""
        for chunk in answer.iter_raw():
            text += chunk
            if len(text) > _MAX_METRICS:
                return 0
    found = _RECEIPTS.search(text.decode(errors="replace"))
    return int(float(found[1])) if found else 0
