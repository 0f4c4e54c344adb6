"""The outside world of a run: when samples arrive, where clients are, how long uploads and nonce searches take, when
radios fail.

A trace is drawn from a seed as far as it is asked for, can be written to a file, and replayed from it, so that two
algorithms see the very same world. The file is JSON lines: a header, then one line an edge node and one a client.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from bflmec.configuration.sections import World as WorldConfig
from bflmec.errors import DataError
from bflmec.files import write_atomically
from bflmec.simulation.mobility import Cell, Knot, crossing, grid_of_cells, position, random_waypoint

FORMAT = "bflmec-trace-1"
NEVER = math.inf
EDGE = 1e-6
"""Metres by which rounding may put a client that just enters a cell outside of it."""

T = TypeVar("T")


class Stream(Generic[T]):
    """An endless sequence that is drawn when it is needed and remembered."""

    def __init__(self, source: Iterator[T], known: list[T] | None = None) -> None:
        self.known: list[T] = known or []
        self._source = source

    def __getitem__(self, index: int) -> T:
        while len(self.known) <= index:
            self.known.append(next(self._source))
        return self.known[index]


def _exhausted(what: str) -> Iterator[Any]:
    raise DataError(f"the trace ends before the run does ({what}); record a longer one or shorten the run")
    yield


class Trace:
    """One world for `clients` clients and the edge nodes of `cells`. Client and edge-node indices start at 0."""

    def __init__(
        self,
        cells: list[Cell],
        arrivals: list[Stream[float]],
        knots: list[Stream[Knot]],
        jitter: list[Stream[float]],
        outages: list[Stream[tuple[float, float]]],
        effort: list[Stream[float]],
    ) -> None:
        self.cells = cells
        self._arrivals = arrivals
        self._knots = knots
        self._jitter = jitter
        self._outages = outages
        self._effort = effort

    # ---------------------------------------------------------------- questions

    @property
    def clients(self) -> int:
        return len(self._arrivals)

    def arrival(self, client: int, sample: int) -> float:
        """When the client's sample of that index, from 0, arrives."""
        return self._arrivals[client][sample]

    def jitter(self, client: int, attempt: int) -> float:
        """Random part, of mean 1, of the duration of the client's upload attempt of that index."""
        return self._jitter[client][attempt]

    def effort(self, node: int, search: int) -> float:
        """Hashes of the edge node's nonce search of that index, in units of the expected number."""
        return self._effort[node][search]

    def reachable(self, client: int, time: float) -> dict[int, float]:
        """Distances of the edge nodes whose cell the client is in, up or not."""
        leg = self._leg(client, time)
        x, y = position(self._knots[client].known, leg, time)
        distances = {node: cell.distance(x, y) for node, cell in enumerate(self.cells)}
        return {node: distance for node, distance in distances.items() if distance <= self.cells[node].radius + EDGE}

    def contact_end(self, client: int, node: int, time: float, horizon: float) -> float:
        """When the client, now in the node's cell, leaves it or the node's radio fails, whichever is first; `horizon`
        if neither happens before."""
        return min(self._leaves(client, self.cells[node], time, horizon), self._fails(node, time))

    def next_contact(self, client: int, time: float, horizon: float) -> float:
        """When the client is next in the cell of a node that is up: `time` itself if it is now, `horizon` if it is not
        before."""
        return min(self._next_contact(client, node, time, horizon) for node in range(len(self.cells)))

    def is_up(self, node: int, time: float) -> bool:
        """Whether the edge node's radio works."""
        return self._up_from(node, time) == time

    # ---------------------------------------------------------------- geometry

    def _leg(self, client: int, time: float) -> int:
        stream = self._knots[client]
        while stream.known[-1].time <= time if stream.known else True:
            stream[len(stream.known)]
        return bisect_right(stream.known, time, key=lambda knot: knot.time) - 1

    def _leaves(self, client: int, cell: Cell, time: float, horizon: float) -> float:
        for leg in count(self._leg(client, time)):
            start, end = self._knots[client][leg], self._knots[client][leg + 1]
            if start.time >= horizon:
                return horizon
            inside = crossing(cell, start, end)
            if inside is None or inside[0] > max(time, start.time) + 1e-9:
                return max(time, start.time)
            if inside[1] < end.time or end.time == NEVER:
                return min(max(time, inside[1]), horizon)
        raise AssertionError

    def _next_contact(self, client: int, node: int, time: float, horizon: float) -> float:
        for leg in count(self._leg(client, time)):
            start, end = self._knots[client][leg], self._knots[client][leg + 1]
            if start.time >= horizon:
                return horizon
            inside = crossing(self.cells[node], start, end)
            if inside is not None and inside[1] > time:
                up = self._up_from(node, max(inside[0], time))
                if up < inside[1]:
                    return min(up, horizon)
            if end.time == NEVER:
                return horizon
        raise AssertionError

    def _fails(self, node: int, time: float) -> float:
        for outage in count():
            begin, end = self._outages[node][outage]
            if end > time:
                return max(begin, time)
        raise AssertionError

    def _up_from(self, node: int, time: float) -> float:
        for outage in count():
            begin, end = self._outages[node][outage]
            if begin > time:
                return time
            if end > time:
                return end
        raise AssertionError

    # ---------------------------------------------------------------- files

    def write(self, path: Path) -> None:
        """Everything drawn so far, whole or not at all. Raises OSError if that can't be done."""
        lines: list[dict[str, Any]] = [{"format": FORMAT, "clients": self.clients, "edge_nodes": len(self.cells)}]
        for cell, outages, effort in zip(self.cells, self._outages, self._effort, strict=True):
            events, complete = _finite(outages)
            lines.append(
                {"cell": [cell.x, cell.y, cell.radius], "outages": events, "complete": complete, "effort": effort.known}
            )
        for arrivals, knots, jitter in zip(self._arrivals, self._knots, self._jitter, strict=True):
            events, complete = _finite(knots)
            lines.append({"arrivals": arrivals.known, "knots": events, "complete": complete, "jitter": jitter.known})
        write_atomically(path, "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode())


def _finite(stream: Stream[Any]) -> tuple[list[list[float]], bool]:
    """The events of a stream, and whether it is known that none follow."""
    events = [list(event) for event in stream.known if event[0] < NEVER]
    return events, len(events) < len(stream.known)


def draw_trace(config: WorldConfig, clients: int, edge_nodes: int, seed: int) -> Trace:
    """A world drawn from the seed. Each client and each edge node has random numbers of its own."""

    def rng(role: int, index: int) -> np.random.Generator:
        return np.random.default_rng([seed, 0x7ACE, role, index])

    def arrivals(client: int) -> Iterator[float]:
        draw = rng(0, client)
        spread = config.arrival_spread
        rate = config.arrival_rate * math.exp(draw.normal(-spread * spread / 2, spread))
        time = 0.0
        while True:
            for gap in draw.exponential(1 / rate, 256).tolist():
                time += gap
                yield time

    def path(client: int) -> Iterator[Knot]:
        if config.mobility == "static":
            cell = cells[client % edge_nodes]
            yield Knot(0.0, cell.x, cell.y)
            yield Knot(NEVER, cell.x, cell.y)
        yield from random_waypoint(rng(1, client), config.area, (config.speed_least, config.speed_most), config.pause)

    def exponential(role: int, index: int) -> Iterator[float]:
        draw = rng(role, index)
        while True:
            yield from draw.exponential(1.0, 64).tolist()

    def outages(node: int) -> Iterator[tuple[float, float]]:
        draw = rng(3, node)
        time = 0.0
        while config.outage_interval > 0:
            time += draw.exponential(config.outage_interval)
            length = draw.exponential(config.outage_length)
            yield time, time + length
            time += length
        while True:
            yield NEVER, NEVER

    cells = grid_of_cells(edge_nodes, config.area, config.coverage)
    everyone = range(clients)

    def streams(source: Callable[[int], Iterator[T]], indices: range) -> list[Stream[T]]:
        return [Stream(source(index)) for index in indices]

    return Trace(
        cells,
        streams(arrivals, everyone),
        streams(path, everyone),
        streams(partial(exponential, 2), everyone),
        streams(outages, range(edge_nodes)),
        streams(partial(exponential, 4), range(edge_nodes)),
    )


def read_trace(path: Path, clients: int, edge_nodes: int) -> Trace:
    """A recorded world. Raises DataError if it is damaged or was recorded for other numbers."""
    try:
        header, *lines = [json.loads(line) for line in path.read_text().splitlines()]
        found = header["format"], header["clients"], header["edge_nodes"]
        nodes, people = lines[:edge_nodes], lines[edge_nodes:]
        if found == (FORMAT, clients, edge_nodes) and len(people) == clients:
            return _recorded(nodes, people)
    except OSError as error:
        raise DataError(f"can't read the trace {path}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(f"{path} is not a trace: {error!r}; record it again") from error
    if found[0] != FORMAT:
        raise DataError(f"{path} is a {found[0]} file, not {FORMAT}")
    raise DataError(
        f"{path} was recorded with {found[1]} clients and {found[2]} edge nodes and has {len(lines)} lines of them; "
        "set experiment.clients and experiment.edge_nodes to these, or record it again"
    )


def _recorded(nodes: list[Any], people: list[Any]) -> Trace:
    return Trace(
        [Cell(*_numbers(node["cell"], 3)) for node in nodes],
        [Stream(_exhausted("arrivals"), _ascending(person["arrivals"])) for person in people],
        [_path(person) for person in people],
        [Stream(_exhausted("upload delays"), _numbers(person["jitter"])) for person in people],
        [_outages(node) for node in nodes],
        [Stream(_exhausted("nonce searches"), _numbers(node["effort"])) for node in nodes],
    )


def _path(person: dict[str, Any]) -> Stream[Knot]:
    knots = [Knot(*_numbers(knot, 3)) for knot in person["knots"]]
    _ascending([knot.time for knot in knots])
    if knots and knots[0].time != 0.0:
        raise ValueError("a path begins at time 0")
    rest = _repeat(Knot(NEVER, knots[-1].x, knots[-1].y)) if person["complete"] is True else _exhausted("movement")
    return Stream(rest, knots)


def _outages(node: dict[str, Any]) -> Stream[tuple[float, float]]:
    outages = [(begin, end) for begin, end in (_numbers(outage, 2) for outage in node["outages"])]
    _ascending([time for outage in outages for time in outage])
    rest = _repeat((NEVER, NEVER)) if node["complete"] is True else _exhausted("outages")
    return Stream(rest, outages)


def _repeat(value: T) -> Iterator[T]:
    while True:
        yield value


def _numbers(values: Any, count_: int | None = None) -> list[float]:
    plain = type(values) is list and all(type(value) in (int, float) for value in values)
    if not plain or not all(map(math.isfinite, values)) or count_ not in (None, len(values)):
        raise ValueError(f"expected {count_ or 'only'} finite numbers, not {str(values)[:80]}")
    return [float(value) for value in values]


def _ascending(values: list[Any]) -> list[float]:
    numbers = _numbers(values)
    if any(later < earlier for earlier, later in pairwise([0.0, *numbers])):
        raise ValueError("times run backwards")
    return numbers
