"""Where clients are and whom they reach, against dense sampling of their paths."""

from __future__ import annotations

import math
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bflmec.configuration.sections import World
from bflmec.simulation.mobility import Cell, Knot, crossing, grid_of_cells, position, random_waypoint
from bflmec.simulation.trace import EDGE, Trace, draw_trace

CLIENTS = 2
coordinates = st.floats(-1000, 1000)
cells = st.builds(Cell, coordinates, coordinates, st.floats(1, 800))
legs = st.tuples(coordinates, coordinates, coordinates, coordinates, st.floats(0.1, 500)).map(
    lambda leg: (Knot(10.0, leg[0], leg[1]), Knot(10.0 + leg[4], leg[2], leg[3]))
)
worlds = st.builds(
    World,
    area=st.floats(500, 3000),
    coverage=st.floats(300, 900),
    speed_least=st.just(5.0),
    speed_most=st.floats(6, 40),
    pause=st.floats(0, 20),
    outage_interval=st.sampled_from([0.0, 60.0]),
    outage_length=st.floats(1, 40),
)
times = st.floats(0, 2000)


def traces() -> st.SearchStrategy[Trace]:
    return st.builds(draw_trace, worlds, st.just(CLIENTS), st.integers(1, 4), st.integers(0, 2**32))


def inside(trace: Trace, client: int, node: int, time: float) -> float:
    """How many metres within the node's cell the client is; negative outside, or if the node is down."""
    distance = trace.reachable(client, time).get(node)
    return trace.cells[node].radius - distance if distance is not None and trace.is_up(node, time) else -math.inf


# ---------------------------------------------------------------- geometry


@given(cells, legs)
def test_a_crossing_is_where_the_leg_is_inside_the_cell(cell: Cell, leg: tuple[Knot, Knot]) -> None:
    start, end = leg
    found = crossing(cell, start, end)
    for share in np.linspace(0, 1, 101):
        time = start.time + share * (end.time - start.time)
        depth = cell.radius - cell.distance(*position(leg, 0, time))
        if depth > 1e-6:
            assert found is not None
            assert found[0] - 1e-6 <= time <= found[1] + 1e-6
        elif depth < -1e-6:
            assert found is None or not found[0] + 1e-6 < time < found[1] - 1e-6


@given(cells, legs)
def test_a_crossing_lies_within_its_leg(cell: Cell, leg: tuple[Knot, Knot]) -> None:
    found = crossing(cell, *leg)
    assert found is None or leg[0].time <= found[0] <= found[1] <= leg[1].time


@given(cells, legs)
def test_who_ends_a_leg_inside_leaves_at_its_very_end(cell: Cell, leg: tuple[Knot, Knot]) -> None:
    end = leg[1]
    if cell.distance(end.x, end.y) < cell.radius - 1e-6:
        found = crossing(cell, *leg)
        assert found is not None
        assert found[1] == end.time


def test_a_client_at_rest_is_inside_for_the_whole_rest_or_not_at_all() -> None:
    rest = Knot(5.0, 3.0, 4.0), Knot(9.0, 3.0, 4.0)
    assert crossing(Cell(0.0, 0.0, 5.0), *rest) == (5.0, 9.0)
    assert crossing(Cell(0.0, 0.0, 4.9), *rest) is None


@given(st.integers(1, 40), st.floats(10, 5000))
def test_edge_nodes_are_spread_over_the_square(count: int, side: float) -> None:
    grid = grid_of_cells(count, side, 1.0)
    assert len({(cell.x, cell.y) for cell in grid}) == count
    assert all(0 < cell.x < side and 0 < cell.y < side for cell in grid)


@given(st.integers(0, 2**32))
def test_a_random_waypoint_path_keeps_its_square_and_its_speeds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = list(islice(random_waypoint(rng, 1000.0, (5.0, 20.0), 10.0), 41))
    assert path[0].time == 0.0
    for start, end in pairwise(path):
        duration, distance = end.time - start.time, math.dist(start[1:], end[1:])
        assert duration > 0
        assert 0 <= end.x <= 1000
        assert 0 <= end.y <= 1000
        assert 5.0 - 1e-6 <= distance / duration <= 20.0 + 1e-6 or (distance == 0 and duration <= 10.0 + 1e-6)


# ---------------------------------------------------------------- contacts


@settings(max_examples=60)
@given(traces(), times, st.data())
def test_a_contact_lasts_until_its_end_and_no_longer(trace: Trace, time: float, data: st.DataObject) -> None:
    client = data.draw(st.integers(0, CLIENTS - 1))
    for node in trace.reachable(client, time):
        if trace.is_up(node, time):
            end = trace.contact_end(client, node, time, time + 500)
            assert time <= end <= time + 500
            for moment in np.linspace(time, end, 40, endpoint=False):
                assert inside(trace, client, node, float(moment)) >= -EDGE
            if end < time + 500:
                assert inside(trace, client, node, end + 1e-3) <= 1e-2


@settings(max_examples=60)
@given(traces(), times, st.data())
def test_the_next_contact_is_the_first_moment_with_an_edge_node(trace: Trace, time: float, data: st.DataObject) -> None:
    client = data.draw(st.integers(0, CLIENTS - 1))
    contact = trace.next_contact(client, time, time + 2000)
    assert time <= contact <= time + 2000
    if contact < time + 2000:
        assert any(inside(trace, client, node, contact) >= -EDGE for node in range(len(trace.cells)))
    for moment in np.linspace(time, contact, 40, endpoint=False) if contact > time else []:
        assert all(inside(trace, client, node, float(moment)) < 1e-2 for node in range(len(trace.cells)))


@given(traces(), times)
def test_the_next_contact_is_now_for_who_has_one(trace: Trace, time: float) -> None:
    for client in range(CLIENTS):
        if any(inside(trace, client, node, time) > 1e-2 for node in range(len(trace.cells))):
            assert trace.next_contact(client, time, time + 1) == time


@given(traces(), st.lists(times, min_size=2, max_size=5))
def test_asking_in_another_order_gives_the_same_answers(trace: Trace, moments: list[float]) -> None:
    forwards = [trace.reachable(0, moment) for moment in sorted(moments)]
    assert [trace.reachable(0, moment) for moment in sorted(moments, reverse=True)] == forwards[::-1]


@pytest.mark.parametrize("time", [0.0, 1.0, 1e6])
def test_a_static_client_is_always_in_its_cell(time: float) -> None:
    trace = draw_trace(World(mobility="static", coverage=1.0), clients=5, edge_nodes=2, seed=1)
    for client in range(5):
        assert trace.reachable(client, time) == {client % 2: 0.0}
        assert trace.contact_end(client, client % 2, time, time + 1e9) == time + 1e9
        assert trace.next_contact(client, time, time + 1e9) == time


def test_a_client_that_never_leaves_its_cell_has_no_end_of_contact() -> None:
    trace = draw_trace(World(area=100.0, coverage=100.0), clients=1, edge_nodes=1, seed=1)
    assert trace.contact_end(0, 0, 0.0, 500.0) == 500.0


def test_a_client_that_meets_nobody_has_no_next_contact() -> None:
    trace = draw_trace(World(area=1e6, coverage=1.0), clients=1, edge_nodes=1, seed=1)
    assert trace.next_contact(0, 0.0, 500.0) == 500.0


def test_an_edge_node_is_down_from_the_beginning_of_an_outage_to_its_end() -> None:
    world = World(mobility="static", outage_interval=50.0, outage_length=20.0)
    trace = draw_trace(world, clients=1, edge_nodes=1, seed=1)
    begin = trace.contact_end(0, 0, 0.0, 1e9)
    end = trace.next_contact(0, begin, 1e9)
    assert trace.is_up(0, math.nextafter(begin, 0))
    assert not trace.is_up(0, begin)
    assert not trace.is_up(0, math.nextafter(end, 0))
    assert trace.is_up(0, end)
