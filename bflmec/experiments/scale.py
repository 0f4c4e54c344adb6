"""What a global update and a run cost when clients, parameters and thresholds grow."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np

from bflmec.errors import ConfigError
from bflmec.experiments.cells import Cell, Row, Scope, Tables
from bflmec.experiments.experiment import Finding, Plot, Section, Table, Verdict, experiments
from bflmec.experiments.library import dataset_of
from bflmec.experiments.light_world import LightWorld
from bflmec.experiments.plots import COLOURS
from bflmec.experiments.statistics import growth_exponent
from bflmec.experiments.tables import grouped, number, numbers, where
from bflmec.learning.fixed_point import quantise
from bflmec.learning.global_update import Contribution, global_update
from bflmec.learning.history import HistoryEntry
from bflmec.learning.rules import PRESETS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARAMETERS = (10_000, 100_000, 1_000_000)
MORE_PARAMETERS = (10_000_000,)
THRESHOLDS = (5, 10, 20, 40)
CLIENTS = (100, 1_000, 10_000)
HISTORY = 60


@experiments.register("scale")
class Scale:
    """CPU seconds and memory of one global update over P and φ, and of a run over n."""

    name = "scale"
    title = "Scale"
    paper = "§III: the client's side and the edge node's side are both close to O(n), clustering apart."
    timed = True

    def cells(self, scope: Scope) -> list[Cell]:
        seeds = scope.seeds(quick=1, full=3)
        sizes = PARAMETERS if scope.quick else (*PARAMETERS, *MORE_PARAMETERS)
        cells = [_cell(seed, preset, "parameters", size) for seed in seeds for preset in PRESETS for size in sizes]
        cells += [_cell(seed, preset, "phi", phi) for seed in seeds for preset in PRESETS for phi in THRESHOLDS]
        return cells + [
            _cell(
                seed,
                "default",
                "clients",
                clients,
                f"clients={clients}",
                f"samples_per_client={60_000 // clients}",
                f"data_threshold={min(30, 54_000 // clients)}",
                f"batch_size={min(10, 54_000 // clients)}",
                f"arrival_rate={100 / clients}",
                "aggregations=20" if scope.quick else "aggregations=100",
            )
            for seed in seeds
            for clients in CLIENTS
        ]

    def measure(self, cell: Cell) -> Tables:
        # A process of its own: its peak memory is that of this cell.
        with get_context("fork").Pool(1) as pool:
            return {"costs": [pool.apply(_alone, (cell,))]}

    def present(self, tables: Tables) -> Section:
        costs = tables["costs"]
        lines = [
            (
                str(preset),
                str(axis),
                f"{number(rows[0], 'size'):,.0f}",
                f"{_mean(rows, 'seconds'):.3g}",
                f"{_mean(rows, 'memory') / 2**20:,.0f}",
            )
            for (preset, axis, _), rows in grouped(costs, "preset", "axis", "size").items()
        ]
        heads = ("preset", "what grows", "to", "CPU seconds per global update", "peak memory [MiB]")
        plot = Plot("costs", "CPU seconds per global update.", _draw(costs), (10, 3.8))
        return Section([_linear(costs)], [Table("Costs", heads, lines)], [plot], _NOTES)


_NOTES = (
    "Parameters and φ: one global update alone, with a history of 60 other clients in the default; φ = 10 where P "
    "grows, "
    "P = 10,000 where φ grows. Clients: a light run with logistic regression on MNIST, everything that happens "
    "between two "
    "global updates included, evaluation left out; the data set is divided among the clients, and arrivals are as "
    "rarer as clients are more, so that as many samples "
    "arrive in all.",
)


def _cell(seed: int, preset: str, axis: str, size: int, *settings: str) -> Cell:
    return Cell("scale", {"preset": preset, "axis": axis, "size": size}, seed, (f"preset={preset}", *settings))


def _alone(cell: Cell) -> Row:
    axis, size = cell.labels["axis"], int(str(cell.labels["size"]))
    if axis == "clients":
        seconds = _run_of(cell)
    else:
        parameters, phi = (size, 10) if axis == "parameters" else (10_000, size)
        seconds = _update_of(str(cell.labels["preset"]), parameters, phi, cell.seed)
    unit = 1 if sys.platform == "darwin" else 1024
    return {"seconds": seconds, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}


def _update_of(preset: str, parameters: int, phi: int, seed: int) -> float:
    rng = np.random.default_rng([seed, parameters, phi])
    rules = PRESETS[preset]
    common = rng.standard_normal(parameters, np.float32)

    def delta() -> Any:
        return (0.01 * (common + rng.standard_normal(parameters, np.float32))).astype(np.float32)

    contributions = [Contribution(number.to_bytes(20, "big"), [delta()]) for number in range(1, phi + 1)]
    history = [
        HistoryEntry((phi + number).to_bytes(20, "big"), quantise(delta()), True)
        for number in range(1, 1 + min(rules.history, HISTORY))
    ]
    times = []
    for _ in range(3):
        start = time.process_time()
        global_update(np.zeros(parameters, np.float32), contributions, history, rules)
        times.append(time.process_time() - start)
    return min(times)


def _run_of(cell: Cell) -> float:
    config = cell.config()
    world = LightWorld.of(config, dataset_of(config))
    start = time.process_time()
    for _ in world.updates():
        pass
    return (time.process_time() - start) / config.experiment.aggregations


def _mean(rows: list[Row], column: str) -> float:
    values = numbers(rows, column)
    if not values:
        raise ConfigError(f"no rows with {column}")
    return sum(values) / len(values)


def _linear(costs: list[Row]) -> Finding:
    texts, holds, cases = [], 0, 0
    for (preset, axis), own in grouped(costs, "preset", "axis").items():
        exponent = growth_exponent(numbers(own, "size"), numbers(own, "seconds"))
        texts.append(f"{preset}, {axis}: cost grows like size^{exponent:.2f}")
        cases += 1
        holds += exponent <= 1.15
    claim = "Cost grows at most linearly (exponent at most 1.15) in parameters, φ and clients."
    return Finding(claim, "; ".join(texts), Verdict.of(holds, cases))


def _draw(costs: list[Row]) -> Callable[[Figure], None]:
    def draw(figure: Figure) -> None:
        names = {"parameters": "parameters P", "phi": "φ", "clients": "clients n"}
        for axes, (axis, title) in zip(figure.subplots(1, 3), names.items(), strict=True):
            for place, (preset, rows) in enumerate(
                (key[0], own) for key, own in grouped(where(costs, axis=axis), "preset").items()
            ):
                points = [(number(r[0], "size"), _mean(r, "seconds")) for r in grouped(rows, "size").values()]
                axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[place], label=str(preset))
            axes.set(xscale="log", yscale="log", xlabel=title)
            if axes.lines:
                axes.legend()

    return draw
