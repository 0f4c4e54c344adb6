"""Rows: grouped, chosen, and written as tidy CSV."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import TypeVar

from bflmec.errors import RunDirectoryError
from bflmec.experiments.cells import Row, Tables, Value
from bflmec.experiments.store import CellResult
from bflmec.files import write_atomically

T = TypeVar("T")


def merged(results: Iterable[CellResult]) -> Tables:
    """The rows of many cells, table by table."""
    tables: dict[str, list[Row]] = defaultdict(list)
    for result in results:
        for name, rows in result.rows().items():
            tables[name] += rows
    return dict(tables)


def where(rows: Iterable[Row], **columns: Value) -> list[Row]:
    """The rows that have these values."""
    return [row for row in rows if all(row.get(name) == value for name, value in columns.items())]


def grouped(rows: Iterable[Row], *columns: str) -> dict[tuple[Value, ...], list[Row]]:
    """Rows by the values of the columns, in the order in which they come first."""
    groups: dict[tuple[Value, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in columns), []).append(row)
    return groups


def different(rows: Iterable[Row], column: str) -> list[Value]:
    """The values of a column, each once, in the order in which they come first."""
    return list(dict.fromkeys(row[column] for row in rows))


def number(row: Row, column: str) -> float:
    """A column that holds a number."""
    value = row[column]
    assert isinstance(value, int | float), f"{column} is {value!r}"
    return float(value)


def numbers(rows: Iterable[Row], column: str) -> list[float]:
    """A column of numbers, without the rows that have none."""
    return [number(row, column) for row in rows if row.get(column) is not None]


def by_seed(rows: Iterable[Row], column: str) -> dict[Value, float]:
    """A column of numbers by seed, for comparisons in pairs."""
    return {row["seed"]: number(row, column) for row in rows if row.get(column) is not None}


def paired(first: Iterable[Row], second: Iterable[Row], column: str) -> tuple[list[float], list[float]]:
    """The column in both, for the seeds that both have."""
    one, other = by_seed(first, column), by_seed(second, column)
    seeds = [seed for seed in one if seed in other]
    return [one[seed] for seed in seeds], [other[seed] for seed in seeds]


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """One header, one line a row; floats with six significant digits. Raises RunDirectoryError."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_written(row.get(column)) for column in columns])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.getvalue().encode())
    except OSError as error:
        raise RunDirectoryError(f"can't write {path}: {error.strerror}") from error


def _written(value: Value) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
