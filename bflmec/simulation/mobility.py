"""Where clients are and which edge nodes they reach: piecewise linear paths, circular coverage, outages.

Positions are in metres, times in seconds. A path is a list of knots (time, x, y); between two knots a client moves on a
straight line at constant speed, after the last one it stays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Knot(NamedTuple):
    """A point that a client passes at a time."""

    time: float
    x: float
    y: float


@dataclass(frozen=True)
class Cell:
    """The area that an edge node covers."""

    x: float
    y: float
    radius: float

    def distance(self, x: float, y: float) -> float:
        return math.sqrt((x - self.x) ** 2 + (y - self.y) ** 2)


def grid_of_cells(count: int, side: float, radius: float) -> list[Cell]:
    """`count` edge nodes spread evenly over a square of that side, row by row."""
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    cells = []
    for row in range(rows):
        in_row = min(columns, count - row * columns)
        for column in range(in_row):
            cells.append(Cell(side * (column + 0.5) / in_row, side * (row + 0.5) / rows, radius))
    return cells


def random_waypoint(rng: np.random.Generator, side: float, speeds: tuple[float, float], pause: float) -> Iterator[Knot]:
    """The random waypoint model: straight to a uniform point of the square, at a uniform speed, then a uniform rest."""
    time = 0.0
    x, y = rng.uniform(0.0, side, 2).tolist()
    yield Knot(time, x, y)
    while True:
        next_x, next_y = rng.uniform(0.0, side, 2).tolist()
        speed = rng.uniform(*speeds)
        time += math.sqrt((next_x - x) ** 2 + (next_y - y) ** 2) / speed
        x, y = next_x, next_y
        yield Knot(time, x, y)
        time += rng.uniform(0.0, pause) + 1e-9
        yield Knot(time, x, y)


def crossing(cell: Cell, start: Knot, end: Knot) -> tuple[float, float] | None:
    """The times, within a leg, between which a client is inside the cell; None if it stays outside."""
    duration = end.time - start.time
    dx, dy = end.x - start.x, end.y - start.y
    px, py = start.x - cell.x, start.y - cell.y
    a = dx * dx + dy * dy
    c = px * px + py * py - cell.radius * cell.radius
    if a == 0.0 or duration <= 0.0:
        return (start.time, end.time) if c <= 0.0 else None
    b = px * dx + py * dy
    discriminant = b * b - a * c
    if discriminant < 0.0:
        return None
    root = math.sqrt(discriminant)
    enter, leave = max((-b - root) / a, 0.0), min((-b + root) / a, 1.0)
    if enter > leave:
        return None
    # Rounding must not let a client leave a moment before the end of a leg that it ends inside.
    return start.time + enter * duration, end.time if leave == 1.0 else start.time + leave * duration


def position(knots: Sequence[Knot], leg: int, time: float) -> tuple[float, float]:
    """Where a client is at `time`, which lies on that leg."""
    start = knots[leg]
    if leg + 1 == len(knots):
        return start.x, start.y
    end = knots[leg + 1]
    share = (time - start.time) / (end.time - start.time)
    return start.x + share * (end.x - start.x), start.y + share * (end.y - start.y)
