"""Results of cells on disk: one file each, so that what was computed is never computed again."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bflmec.errors import RunDirectoryError
from bflmec.experiments.cells import Cell, Row, Tables
from bflmec.files import write_atomically


class CellResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a cell came to, and what it cost."""

    experiment: str
    labels: dict[str, str | int | float | bool | None]
    seed: int
    cpu_seconds: float
    tables: dict[str, list[dict[str, str | int | float | bool | None]]]

    def rows(self) -> Tables:
        """The rows, each with the cell's labels and seed before its own columns."""
        start: Row = {**self.labels, "seed": self.seed}
        return {name: [{**start, **row} for row in rows] for name, rows in self.tables.items()}


_decoder = msgspec.json.Decoder(CellResult)
_encoder = msgspec.json.Encoder()


class CellStore:
    """The cells of one results directory, under `cells/`."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "cells"

    def path(self, cell: Cell) -> Path:
        return self._folder / cell.experiment / f"{cell.digest}.json"

    def read(self, cell: Cell) -> CellResult | None:
        """The result, or None if there is none yet. Raises RunDirectoryError if its file is damaged."""
        path = self.path(cell)
        try:
            return _decoder.decode(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunDirectoryError(f"can't read {path}: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RunDirectoryError(f"{path} is damaged: {error}; delete it and run the experiment again") from error

    def write(self, cell: Cell, cpu_seconds: float, tables: Tables) -> CellResult:
        """Raises RunDirectoryError if it can't be written."""
        result = CellResult(cell.experiment, dict(cell.labels), cell.seed, round(cpu_seconds, 3), tables)
        path = self.path(cell)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, _encoder.encode(result))
        except OSError as error:
            raise RunDirectoryError(f"can't write {path}: {error.strerror}") from error
        return result
