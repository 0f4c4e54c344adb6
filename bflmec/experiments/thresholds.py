"""Figures 6 and 7: accuracy and convergence time over the thresholds φ and N."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING

from bflmec.experiments.cells import Cell, Row, Scope, Tables, Value
from bflmec.experiments.curves import learn, rows, summary
from bflmec.experiments.experiment import Finding, Plot, Section, Table, Verdict, experiments
from bflmec.experiments.library import dataset_of
from bflmec.experiments.light_world import LightWorld
from bflmec.experiments.plots import COLOURS, DASHES, band, heat
from bflmec.experiments.statistics import mean_interval, median_time, paired_difference
from bflmec.experiments.tables import different, grouped, number, numbers, paired, where

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PHI = (5, 10, 15, 20)
N = (50, 75, 100)
PRESETS = ("default", "paper")
PARTITIONS = ("shard", "dirichlet", "iid")
MODELS = {"logistic": "logistic", "mlp-200-200": "mlp-200-200", "cnn": "cnn-small"}


@experiments.register("thresholds")
class Thresholds:
    """The grid of φ and N, by preset, partition and model."""

    name = "thresholds"
    title = "Thresholds φ and N (Figures 6 and 7)"
    paper = (
        "On non-IID MNIST with 100 clients, accuracy grows with N when φ is large; N = 50 is the worst and slowest; a "
        "large φ converges later; the best combination is (φ, N) = (5, 75)."
    )
    timed = False

    def cells(self, scope: Scope) -> list[Cell]:
        seeds = scope.seeds(quick=2, full=10)
        if scope.quick:
            return [
                _cell(seed, preset, "logistic", "shard", phi, n)
                for seed, preset, phi, n in product(seeds, PRESETS, PHI, N)
            ]
        return [
            _cell(seed, preset, model, partition, phi, n)
            for model, partition, seed, preset, phi, n in product(MODELS, PARTITIONS, seeds, PRESETS, PHI, N)
            if model != "cnn" or (partition == "shard" and seed <= 3 and n == 75)
        ]

    def measure(self, cell: Cell) -> Tables:
        config = cell.config()
        points = learn(LightWorld.of(config, dataset_of(config)))
        return {"summary": [summary(points)], "curves": rows(points)}

    def present(self, tables: Tables) -> Section:
        found = tables["summary"]
        tables_, plots = [], []
        for (preset, model, partition), own in grouped(found, "preset", "model", "partition").items():
            tables_.append(_table(f"{preset} preset, {model}, {partition} partition", own))
            curves = where(tables["curves"], preset=preset, model=model, partition=partition)
            name = f"{preset}-{model}-{partition}"
            plots.append(Plot(f"grid-{name}", _caption(name), _draw_grid(own), (10.0, 3.4)))
            plots.append(Plot(f"curves-{name}", _caption(name, curves=True), _draw_curves(curves)))
        return Section(_findings(found), tables_, plots, _NOTES)


_NOTES = (
    "Samples at global update 100 are about 100 · φ · N, so accuracy after so many updates favours large thresholds; "
    "the curves over time and over samples show the other side.",
    "Learning only, without chain and signatures; times are virtual. Convergence: max − min of the test accuracy is at "
    "most 0.005 over 5 consecutive global updates; runs of 100 global updates that never get there are censored.",
)


def _cell(seed: int, preset: str, model: str, partition: str, phi: int, n: int) -> Cell:
    return Cell(
        "thresholds",
        {"preset": preset, "model": model, "partition": partition, "phi": phi, "N": n},
        seed,
        (
            f"preset={preset}",
            f"model={MODELS[model]}",
            f"partition={partition}",
            f"aggregation_threshold={phi}",
            f"data_threshold={n}",
        ),
    )


def _table(title: str, own: list[Row]) -> Table:
    heads = ("φ", "N", "accuracy [%]", "clients' accuracy [%]", "converged [updates]", "converged [s]", "to 85 % [s]")
    lines = []
    for (phi, n), cells in grouped(own, "phi", "N").items():
        lines.append(
            (
                str(phi),
                str(n),
                mean_interval(numbers(cells, "accuracy")).text(100),
                mean_interval(numbers(cells, "client_accuracy")).text(100),
                _median(cells, "converged_at", 100),
                _median(cells, "convergence_time", None),
                _median(cells, "time_to_85%", None),
            )
        )
    return Table(title, heads, lines)


def _median(cells: list[Row], column: str, limit: float | None) -> str:
    times = [number(row, column) if row[column] is not None else limit or number(row, "time") for row in cells]
    middle = median_time(times, [row[column] is not None for row in cells])
    return f"> {min(times):.0f}" if middle is None else f"{middle:.0f}"


def _best(own: list[Row]) -> tuple[Value, Value]:
    means = {key: mean_interval(numbers(cells, "accuracy")).estimate for key, cells in grouped(own, "phi", "N").items()}
    phi, n = max(means, key=lambda key: means[key])
    return phi, n


def _findings(found: list[Row]) -> list[Finding]:
    worlds = grouped(found, "preset", "model", "partition")
    return [
        _optimum(worlds),
        _worst(worlds),
        _grows_with_n(worlds),
        _small_phi_is_faster(worlds),
    ]


Worlds = dict[tuple[Value, ...], list[Row]]


def _said(worlds: Worlds, holds: list[bool], texts: list[str]) -> str:
    names = [" ".join(map(str, key)) for key in worlds]
    marks = ["yes" if fact else "no" for fact in holds]
    return "; ".join(f"{name}: {mark} ({text})" for name, mark, text in zip(names, marks, texts, strict=True))


def _optimum(worlds: Worlds) -> Finding:
    best = [_best(own) for own in worlds.values()]
    holds = [pair == (5, 75) for pair in best]
    measured = _said(worlds, holds, [f"highest accuracy at φ = {phi}, N = {n}" for phi, n in best])
    return Finding("The best combination is φ = 5, N = 75.", measured, Verdict.of(sum(holds), len(holds)))


def _worst(worlds: Worlds) -> Finding:
    holds, texts = [], []
    for own in worlds.values():
        means = {n: mean_interval(numbers(cells, "accuracy")).estimate for (n,), cells in grouped(own, "N").items()}
        holds.append(min(means, key=lambda n: means[n]) == 50)
        texts.append(", ".join(f"N = {n}: {100 * mean:.1f} %" for n, mean in means.items()))
    measured = _said(worlds, holds, texts)
    return Finding("N = 50 has the lowest accuracy, over all φ.", measured, Verdict.of(sum(holds), len(holds)))


def _grows_with_n(worlds: Worlds) -> Finding:
    holds, texts = [], []
    for own in worlds.values():
        gains = paired_difference(*paired(where(own, phi=20, N=100), where(own, phi=20, N=50), "accuracy"))
        holds.append(gains.interval.low > 0)
        texts.append(f"N = 100 over N = 50 at φ = 20: {gains.interval.text(100)} points, p = {gains.p:.2g}")
    measured = _said(worlds, holds, texts)
    return Finding("At large φ accuracy grows with N.", measured, Verdict.of(sum(holds), len(holds)))


def _small_phi_is_faster(worlds: Worlds) -> Finding:
    holds, texts = [], []
    for own in worlds.values():
        slow, fast = (_median(where(own, phi=phi, N=75), "time_to_80%", None) for phi in (20, 5))
        holds.append(not fast.startswith(">") and (slow.startswith(">") or float(fast) < float(slow)))
        texts.append(f"80 % after {fast} s at φ = 5, after {slow} s at φ = 20")
    measured = _said(worlds, holds, texts)
    return Finding("A small φ learns faster in time.", measured, Verdict.of(sum(holds), len(holds)))


def _caption(name: str, curves: bool = False) -> str:
    what = "Test accuracy over updates, time and samples" if curves else "Final accuracy and convergence time"
    return f"{what}: {name}. " + ("Bands span the seeds." if curves else "Means over the seeds, medians for times.")


def _draw_grid(own: list[Row]) -> Callable[[Figure], None]:
    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        cells = grouped(own, "phi", "N")
        for axes, column, scale, title in (
            (left, "accuracy", 100.0, "accuracy [%]"),
            (right, "time_to_80%", 1.0, "virtual time to 80 % [s]"),
        ):
            values = [[_mean(cells.get((phi, n), []), column, scale) for phi in PHI] for n in N]
            texts = [["–" if value is None else f"{value:.1f}" for value in line] for line in values]
            heat(axes, values, texts, [f"φ = {phi}" for phi in PHI], [f"N = {n}" for n in N])
            axes.set_title(title)

    return draw


def _mean(cells: list[Row], column: str, scale: float) -> float | None:
    known = numbers(cells, column)
    return scale * sum(known) / len(known) if known and len(known) == len(cells) else None


def _draw_curves(curves: list[Row]) -> Callable[[Figure], None]:
    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, 3, sharey=True)
        for place, phi in enumerate(different(curves, "phi")):
            for dash, n in enumerate(different(curves, "N")):
                seeds = list(grouped(where(curves, phi=phi, N=n), "seed").values())
                accuracy = [[100 * value for value in numbers(rows_, "accuracy")] for rows_ in seeds]
                for panel, column in zip(axes, ("update", "time", "samples"), strict=True):
                    x = [sum(values) / len(values) for values in zip(*(numbers(r, column) for r in seeds), strict=True)]
                    label = f"φ = {phi}, N = {n}"
                    band(panel, x, accuracy, COLOURS[place % len(COLOURS)], label, DASHES[dash % len(DASHES)])
        for panel, title in zip(axes, ("global updates", "virtual time [s]", "samples used"), strict=True):
            panel.set_xlabel(title)
            panel.set_xscale("linear" if title == "global updates" else "log")
        axes[0].set_ylabel("accuracy [%]")
        axes[0].legend(fontsize=6, ncols=2, loc="lower right")

    return draw
