"""Recorded worlds: replayed exactly, refused when damaged, and never continued by guessing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bflmec.configuration.sections import World
from bflmec.errors import DataError
from bflmec.simulation.trace import FORMAT, Trace, draw_trace, read_trace

WORLD = World(outage_interval=100.0, outage_length=20.0)
CLIENTS, EDGE_NODES = 3, 2
UNTIL = 400.0


def answers(trace: Trace) -> list[object]:
    """Everything that a run asks of its world, for a while."""
    given_: list[object] = []
    for client in range(CLIENTS):
        given_ += [trace.arrival(client, index) for index in range(20)]
        given_ += [trace.jitter(client, index) for index in range(10)]
        for time in range(0, int(UNTIL), 25):
            reached = trace.reachable(client, time)
            given_ += [reached, trace.next_contact(client, time, UNTIL)]
            given_ += [trace.contact_end(client, node, time, UNTIL) for node in reached if trace.is_up(node, time)]
    for node in range(EDGE_NODES):
        given_ += [trace.effort(node, index) for index in range(5)]
        given_ += [trace.is_up(node, time) for time in range(0, int(UNTIL), 10)]
    return given_


def draw(seed: int = 1, world: World = WORLD) -> Trace:
    return draw_trace(world, CLIENTS, EDGE_NODES, seed)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    trace = draw()
    answers(trace)
    trace.write(tmp_path / "trace.jsonl")
    return tmp_path / "trace.jsonl"


def read(path: Path) -> Trace:
    return read_trace(path, CLIENTS, EDGE_NODES)


def test_a_seed_draws_one_world() -> None:
    assert answers(draw(1)) == answers(draw(1))
    assert answers(draw(1)) != answers(draw(2))


def test_a_client_keeps_its_world_whoever_else_takes_part() -> None:
    alone = draw_trace(WORLD, 1, EDGE_NODES, 1)
    assert [alone.arrival(0, i) for i in range(9)] == [draw().arrival(0, i) for i in range(9)]
    assert [alone.reachable(0, t) for t in range(99)] == [draw().reachable(0, t) for t in range(99)]


@pytest.mark.parametrize("world", [WORLD, World(mobility="static"), World(outage_interval=0.0)])
def test_a_recorded_world_gives_the_same_answers(tmp_path: Path, world: World) -> None:
    trace = draw(world=world)
    expected = answers(trace)
    trace.write(tmp_path / "trace.jsonl")
    assert answers(read(tmp_path / "trace.jsonl")) == expected


def test_recording_a_replay_gives_the_same_file(recorded: Path, tmp_path: Path) -> None:
    replayed = read(recorded)
    answers(replayed)
    replayed.write(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == recorded.read_bytes()


TOO_FAR: dict[str, Callable[[Trace], object]] = {
    "arrivals": lambda trace: trace.arrival(0, 10_000),
    "upload delays": lambda trace: trace.jitter(0, 10_000),
    "movement": lambda trace: trace.reachable(0, 1e5),
    "outages": lambda trace: trace.is_up(0, 1e5),
    "nonce searches": lambda trace: trace.effort(0, 10_000),
}


@pytest.mark.parametrize("what", TOO_FAR)
def test_a_replay_does_not_go_beyond_what_was_recorded(recorded: Path, what: str) -> None:
    with pytest.raises(DataError, match=f"ends before the run does .{what}"):
        TOO_FAR[what](read(recorded))


def test_what_is_known_to_end_can_be_replayed_forever(tmp_path: Path) -> None:
    trace = draw(world=World(mobility="static"))
    answers(trace)
    trace.write(tmp_path / "trace.jsonl")
    replayed = read(tmp_path / "trace.jsonl")
    assert replayed.reachable(0, 1e9) == trace.reachable(0, 1e9)
    assert replayed.is_up(0, 1e9)


# ---------------------------------------------------------------- damaged files


@pytest.mark.parametrize(("clients", "edge_nodes"), [(CLIENTS + 1, EDGE_NODES), (CLIENTS, EDGE_NODES + 1)])
def test_a_world_of_other_numbers_is_refused(recorded: Path, clients: int, edge_nodes: int) -> None:
    with pytest.raises(DataError, match=r"recorded with 3 clients and 2 edge nodes.*experiment\.clients"):
        read_trace(recorded, clients, edge_nodes)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't read"):
        read(tmp_path / "nothing.jsonl")


def test_another_format_is_named(recorded: Path) -> None:
    recorded.write_text(recorded.read_text().replace(FORMAT, "bflmec-trace-9"))
    with pytest.raises(DataError, match="bflmec-trace-9"):
        read(recorded)


def changed(path: Path, line: int, key: str, value: Any) -> None:
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    lines[line][key] = value
    path.write_text("".join(json.dumps(entry) + "\n" for entry in lines))


NODE, CLIENT = 1, 1 + EDGE_NODES


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        (NODE, "cell", [1.0, 2.0]),
        (NODE, "cell", [1.0, 2.0, float("nan")]),
        (NODE, "outages", [[5.0, 4.0]]),
        (NODE, "outages", [[5.0]]),
        (NODE, "effort", ["much"]),
        (NODE, "effort", [True]),
        (NODE, "cell", [1.0, 2.0, 3.0, "four"]),
        (CLIENT, "arrivals", [2.0, 1.0]),
        (CLIENT, "arrivals", [float("inf")]),
        (CLIENT, "arrivals", None),
        (CLIENT, "arrivals", [10**400]),
        (CLIENT, "knots", [[0.0, 1.0, 2.0], [-1.0, 1.0, 2.0]]),
        (CLIENT, "knots", [[5.0, 1.0, 2.0]]),
        (CLIENT, "knots", [[0.0, 1.0]]),
        (CLIENT, "jitter", {"0": 1.0}),
    ],
)
def test_impossible_values_are_refused(recorded: Path, line: int, key: str, value: Any) -> None:
    changed(recorded, line, key, value)
    with pytest.raises(DataError, match="is not a trace"):
        read(recorded)


def test_a_path_that_is_complete_has_to_be_somewhere(recorded: Path) -> None:
    changed(recorded, CLIENT, "knots", [])
    changed(recorded, CLIENT, "complete", True)
    with pytest.raises(DataError, match="is not a trace"):
        read(recorded)


@pytest.mark.parametrize("text", ["", "\n", "null\n", "[]\n", "{}\n", '{"format": 1}\n', "[" * 100_000, "\ud800"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(DataError):
        read(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_refused_or_read(recorded: Path, data: st.DataObject) -> None:
    good = recorded.read_bytes()
    start = data.draw(st.integers(0, len(good) - 1))
    damaged = recorded.with_name("damaged.jsonl")
    damaged.write_bytes(good[:start] + data.draw(st.binary(max_size=4)) + good[start + 2 :])
    try:
        assert read(damaged).clients == CLIENTS
    except DataError:
        return
