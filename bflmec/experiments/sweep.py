"""A sweep over any configuration keys, described by one TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bflmec.errors import ConfigError
from bflmec.experiments.cells import Cell, Scope, Tables, Value
from bflmec.experiments.curves import learn, rows, summary
from bflmec.experiments.experiment import Plot, Section, Table
from bflmec.experiments.library import dataset_of
from bflmec.experiments.light_world import LightWorld
from bflmec.experiments.plots import COLOURS, DASHES, band
from bflmec.experiments.statistics import mean_interval
from bflmec.experiments.tables import grouped, numbers
from bflmec.registry import nearest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_FILE = 2**20
_KEYS = ("name", "seeds", "settings", "vary")


class Sweep:
    """All combinations of the values in [vary], each with seeds 1 to `seeds`."""

    timed = False
    paper = "nothing: this sweep is your own."

    def __init__(self, name: str, seeds: int, settings: tuple[str, ...], vary: Mapping[str, tuple[Value, ...]]) -> None:
        self.name = name
        self.title = f"Sweep {name}"
        self._seeds = seeds
        self._settings = settings
        self._vary = vary

    @classmethod
    def read(cls, path: Path) -> Sweep:
        """Raises ConfigError for anything but a sweep whose every combination can be run."""
        document = _read(path)
        for key in document:
            if key not in _KEYS:
                raise ConfigError(f"{path}: unknown key {key!r}; {nearest(key, list(_KEYS))}")
        name = document.get("name", path.stem)
        seeds = document.get("seeds", 3)
        settings = document.get("settings", [])
        vary = document.get("vary")
        if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"{path}: name must be of letters, digits, - and _, not {name!r}")
        if type(seeds) is not int or not 1 <= seeds <= 1000:
            raise ConfigError(f"{path}: seeds must be a number from 1 to 1000, not {seeds!r}")
        if not isinstance(settings, list) or not all(isinstance(setting, str) for setting in settings):
            raise ConfigError(f'{path}: settings must be a list of "key=value"')
        if not isinstance(vary, dict) or not vary or not all(map(_is_list_of_values, vary.values())):
            raise ConfigError(f"{path}: [vary] must have keys with lists of values, such as data_threshold = [50, 75]")
        sweep = cls(name, seeds, tuple(settings), {key: tuple(values) for key, values in vary.items()})
        for cell in sweep.cells(Scope(seed_count=1)):
            cell.config()
        return sweep

    def cells(self, scope: Scope) -> list[Cell]:
        return [
            Cell(
                self.name,
                dict(zip(self._vary, values, strict=True)),
                seed,
                (*self._settings, *(f"{key}={_written(value)}" for key, value in zip(self._vary, values, strict=True))),
            )
            for seed in scope.seeds(quick=1, full=self._seeds)
            for values in product(*self._vary.values())
        ]

    def measure(self, cell: Cell) -> Tables:
        config = cell.config()
        points = learn(LightWorld.of(config, dataset_of(config)))
        return {"summary": [summary(points)], "curves": rows(points)}

    def present(self, tables: Tables) -> Section:
        keys = list(self._vary)
        heads = (*keys, "accuracy [%]", "clients' accuracy [%]", "low contributions [%]", "virtual time [s]")
        lines = []
        for values, own in grouped(tables["summary"], *keys).items():
            columns = ("accuracy", "client_accuracy", "low_share")
            figures = [mean_interval(numbers(own, column)).text(100) for column in columns]
            lines.append((*map(str, values), *figures, mean_interval(numbers(own, "time")).text(1, 0)))
        curves = tables["curves"]

        def draw(figure: Figure) -> None:
            axes = figure.subplots(1, 2, sharey=True)
            for place, (values, own) in enumerate(grouped(curves, *keys).items()):
                seeds = list(grouped(own, "seed").values())
                accuracy = [[100 * value for value in numbers(points, "accuracy")] for points in seeds]
                for panel, column in zip(axes, ("update", "time"), strict=True):
                    x = [sum(xs) / len(xs) for xs in zip(*(numbers(points, column) for points in seeds), strict=True)]
                    dashes = DASHES[place // len(COLOURS) % len(DASHES)]
                    label = ", ".join(map(str, values))
                    band(panel, x, accuracy, COLOURS[place % len(COLOURS)], label, dashes)
            axes[0].set(xlabel="global updates", ylabel="accuracy [%]")
            axes[1].set(xlabel="virtual time [s]")
            axes[0].legend(fontsize=7, title=", ".join(keys))

        return Section((), [Table("Means over seeds", heads, lines)], [Plot("curves", "Test accuracy.", draw)])


def _read(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}") from error
    if len(data) > MAX_FILE:
        raise ConfigError(f"{path} has {len(data)} bytes, which is no sweep")
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _is_list_of_values(values: object) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(v, str | int | float | bool) for v in values)


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
