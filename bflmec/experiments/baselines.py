"""Figure 8: BFL-MEC beside synchronous and asynchronous federated learning, with and without a chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bflmec.experiments.cells import Cell, Row, Scope, Tables, Value
from bflmec.experiments.experiment import Finding, Plot, Section, Table, Verdict, experiments
from bflmec.experiments.library import dataset_of
from bflmec.experiments.methods import METHODS, Trajectory, follow
from bflmec.experiments.plots import COLOURS, DASHES, band
from bflmec.experiments.statistics import (
    Difference,
    area_under,
    first_reaching,
    holm,
    mean_interval,
    median_time,
    paired_difference,
)
from bflmec.experiments.tables import different, grouped, number, numbers, paired, where

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TIME, UPDATES = "700 s", "100 updates"
"""What is the same for all methods: virtual time, or versions of the global weights."""
UNTIL = 700.0
"""Seconds of virtual time, in which the default comes to about a hundred global updates."""
STEP = 20.0
TIMES = [STEP * step for step in range(int(UNTIL / STEP) + 1)]
RATES = (0.01, 0.03, 0.1)
"""The tuning budget of every method: three learning rates, chosen by the seeds below."""
TUNING = {True: (101,), False: (101, 102, 103)}
WORLDS = {"weak": ("arrival_spread=0.4",), "strong": ("arrival_spread=1.2",)}
"""How much slower than others some clients' data arrive: the standard deviation of the rates' logarithm."""
AT_UPDATES = ("BFL-MEC", "BFL-MEC, keep", "BFL-MEC, paper preset", "FedAvg", "FedProx, 2 % dropped", "FedBuff")
FAST = ("BFL-MEC", "FedAvg", "FedBuff", "FedAsync", "FedProx, 50 % partial work", "vanilla BFL")


@experiments.register("baselines")
class Baselines:
    """All methods in the same worlds, for the same virtual time, with the same tuning."""

    name = "baselines"
    title = "Other methods (Figure 8)"
    paper = (
        "BFL-MEC is as accurate as FedAvg, with the discarding strategy it converges faster than without and than "
        "FedAvg (250 to 300 s); FedProx with a drop percent of 0.02 is first, then stays at about 84 %."
    )
    timed = False

    def cells(self, scope: Scope) -> list[Cell]:
        worlds = ("weak",) if scope.quick else tuple(WORLDS)
        rates = RATES[:2] if scope.quick else RATES
        seeds = (*TUNING[scope.quick], *scope.seeds(quick=1, full=10))
        partitions = ("shard",) if scope.quick else ("shard", "dirichlet", "iid")
        cells = [
            _cell(seed, partition, world, method, rate)
            for partition in partitions
            for world in worlds
            for seed in seeds
            for method in METHODS
            for rate in rates
        ]
        cells += [
            _cell(seed, partition, "weak", method, 0.01, UPDATES)
            for partition in partitions
            for seed in scope.seeds(quick=1, full=10)
            for method in AT_UPDATES
        ]
        if scope.quick:
            cells += [_cell(seed, "shard", "strong", name, rate) for seed in seeds for name in FAST for rate in (0.01,)]
        return cells

    def measure(self, cell: Cell) -> Tables:
        config = cell.config()
        method = METHODS[str(cell.labels["method"])]
        if cell.labels["budget"] == UPDATES:
            return {"updates": [_after_updates(follow(method, config, dataset_of(config), 1e6, most=100))]}
        trajectory = follow(method, config, dataset_of(config), UNTIL)
        accuracies = trajectory.accuracy_at(TIMES)
        summary: Row = {
            "accuracy": sum(accuracies[-3:]) / 3,
            "area": area_under(TIMES, accuracies),
            "versions": len(trajectory.versions),
            "uploads": trajectory.uploads,
            "samples": trajectory.samples,
        }
        for goal in (0.80, 0.85):
            reached = first_reaching(accuracies, goal)
            summary[f"time_to_{goal:.0%}"] = None if reached is None else TIMES[reached]
        curve: list[Row] = [{"time": time, "accuracy": value} for time, value in zip(TIMES, accuracies, strict=True)]
        return {"summary": [summary], "curves": curve}

    def present(self, tables: Tables) -> Section:
        chosen = tuned(tables["summary"])
        tables_, plots = [], []
        for (partition, world), own in grouped(chosen, "partition", "stragglers").items():
            tables_.append(_table(f"{partition} partition, {world} stragglers", own))
            curves = [row for row in tables["curves"] if _key(row) in {_key(other) for other in own}]
            caption = (
                f"Test accuracy over virtual time, {partition} partition, {world} stragglers, tuned learning rates."
            )
            plots.append(Plot(f"curves-{partition}-{world}", caption, _draw(curves), (10, 5)))
        updates = tables["updates"]
        tables_ += [_update_table(str(name), own) for (name,), own in grouped(updates, "partition").items()]
        return Section([*_findings(chosen), _as_accurate_per_update(updates)], tables_, plots, _NOTES)


_NOTES = (
    "All methods read one trace of arrivals, movement and delays for each seed and run for 700 s of virtual time; "
    "times to "
    "an accuracy are multiples of 20 s. Each method's learning rate is the best of the same few by the area under its "
    "curve "
    "with tuning seeds, which are not reported.",
    "FedProx (μ = 0.1) in both readings: 2 % of the selected clients are dropped, or do only part of their epochs. "
    "With ten "
    "clients a round the first leaves out one client in five rounds.",
    "Synchronous methods wait for 10 of 100 clients, who train on all that arrived since their last round. Vanilla BFL "
    "signs with RSA and puts every gradient on its chain, in blocks of at most 128 KiB; FAIR-BFL one block a round. "
    "Servers "
    "(FedAsync, FedBuff) have no chain and are trusted.",
)


def _cell(seed: int, partition: str, world: str, method: str, rate: float, budget: str = TIME) -> Cell:
    preset = [setting for setting in METHODS[method].settings if setting.startswith("preset=")]
    others = [setting for setting in METHODS[method].settings if not setting.startswith("preset=")]
    return Cell(
        "baselines",
        {"budget": budget, "partition": partition, "stragglers": world, "method": method, "learning_rate": rate},
        seed,
        (*preset, f"partition={partition}", f"learning_rate={rate}", *WORLDS[world], *others),
    )


def _after_updates(found: Trajectory) -> Row:
    last = [found.population.global_accuracy(weights) for _, weights in found.versions[-5:]]
    return {"accuracy": sum(last) / len(last), "time": found.versions[-1][0], "samples": found.samples}


def _update_table(partition: str, own: list[Row]) -> Table:
    lines = [
        (
            str(method),
            mean_interval(numbers(rows, "accuracy")).text(100),
            mean_interval(numbers(rows, "time")).text(1, 0),
            mean_interval(numbers(rows, "samples")).text(1, 0),
        )
        for (method,), rows in grouped(own, "method").items()
    ]
    heads = ("method", "accuracy [%]", "virtual time [s]", "samples")
    return Table(f"After 100 global updates or rounds, η = 0.01, {partition} partition", heads, lines)


def _as_accurate_per_update(updates: list[Row]) -> Finding:
    texts, holds = [], []
    for (partition,), own in grouped(updates, "partition").items():
        difference = _compare(own, "BFL-MEC", "FedAvg", "accuracy")
        if difference:
            holds.append(difference.interval.low >= -0.01)
            texts.append(f"{partition}: {difference.interval.text(100)} points, p = {difference.p:.2g}")
    claim = "After as many global updates, BFL-MEC is as accurate as FedAvg (at most one point below)."
    return Finding(claim, "; ".join(texts), Verdict.of(sum(holds), len(holds)))


def _key(row: Row) -> tuple[Value, ...]:
    return tuple(row[name] for name in ("partition", "stragglers", "method", "learning_rate", "seed"))


def tuned(rows: list[Row]) -> list[Row]:
    """The rows of each method's best learning rate by the tuning seeds, without these seeds."""
    chosen = []
    for own in grouped(rows, "partition", "stragglers", "method").values():
        tuning = [row for row in own if number(row, "seed") in TUNING[False]]
        areas = {
            rate: mean_interval(numbers(r, "area")).estimate for (rate,), r in grouped(tuning, "learning_rate").items()
        }
        best = max(areas, key=lambda rate: areas[rate])
        chosen += [row for row in where(own, learning_rate=best) if number(row, "seed") not in TUNING[False]]
    return chosen


def _table(title: str, own: list[Row]) -> Table:
    heads = ("method", "η", "accuracy [%]", "mean over time [%]", "to 80 % [s]", "to 85 % [s]", "uploads", "samples")
    lines = []
    for (method,), rows in grouped(own, "method").items():
        lines.append(
            (
                str(method),
                str(rows[0]["learning_rate"]),
                mean_interval(numbers(rows, "accuracy")).text(100),
                mean_interval(numbers(rows, "area")).text(100, 1),
                _time(rows, "time_to_80%"),
                _time(rows, "time_to_85%"),
                mean_interval(numbers(rows, "uploads")).text(1, 0),
                mean_interval(numbers(rows, "samples")).text(1, 0),
            )
        )
    return Table(title, heads, lines)


def _time(rows: list[Row], column: str) -> str:
    times = [UNTIL if row[column] is None else number(row, column) for row in rows]
    middle = median_time(times, [row[column] is not None for row in rows])
    return f"> {UNTIL:.0f}" if middle is None else f"{middle:.0f}"


Worlds = dict[tuple[Value, ...], list[Row]]


def _findings(chosen: list[Row]) -> list[Finding]:
    worlds = grouped(chosen, "partition", "stragglers")
    return [
        _as_accurate(worlds),
        _faster(worlds, "BFL-MEC", "BFL-MEC, keep", "Discarding low contributions makes BFL-MEC learn faster."),
        _faster(worlds, "BFL-MEC", "FedAvg", "BFL-MEC with discarding learns faster than FedAvg."),
        _faster(worlds, "BFL-MEC", "vanilla BFL", "BFL-MEC learns faster than vanilla BFL."),
        _faster(worlds, "BFL-MEC", "FedBuff", "Does BFL-MEC learn faster than FedBuff?", Verdict.BEYOND),
        _plateau(worlds),
        _all_pairs(worlds),
    ]


def _compare(own: list[Row], first: str, second: str, column: str) -> Difference | None:
    pairs = paired(where(own, method=first), where(own, method=second), column)
    return paired_difference(*pairs) if pairs[0] else None


def _as_accurate(worlds: Worlds) -> Finding:
    texts, holds = [], []
    for key, own in worlds.items():
        difference = _compare(own, "BFL-MEC", "FedAvg", "accuracy")
        if difference:
            holds.append(difference.interval.low >= -0.01)
            texts.append(f"{_name(key)}: {difference.interval.text(100)} points, p = {difference.p:.2g}")
    claim = "BFL-MEC is as accurate as FedAvg after as much time (at most one point below, 700 s)."
    return Finding(claim, "; ".join(texts), Verdict.of(sum(holds), len(holds)))


def _faster(worlds: Worlds, first: str, second: str, claim: str, verdict: Verdict | None = None) -> Finding:
    texts, holds = [], []
    for key, own in worlds.items():
        difference = _compare(own, first, second, "area")
        if difference:
            holds.append(difference.interval.low > 0)
            one, other = (_time(where(own, method=name), "time_to_80%") for name in (first, second))
            texts.append(
                f"{_name(key)}: 80 % after {one} and {other} s; mean accuracy over time "
                f"{difference.interval.text(100)} points higher, p = {difference.p:.2g}"
            )
    return Finding(claim, "; ".join(texts), verdict or Verdict.of(sum(holds), len(holds)))


def _plateau(worlds: Worlds) -> Finding:
    texts, holds = [], []
    for key, own in worlds.items():
        fedavg = numbers(where(own, method="FedAvg"), "accuracy")
        for name in ("FedProx, 2 % dropped", "FedProx, 2 % partial work"):
            rows = numbers(where(own, method=name), "accuracy")
            if rows and fedavg:
                mean = mean_interval(rows)
                holds.append(mean.estimate <= 0.85 and mean.estimate < mean_interval(fedavg).estimate - 0.01)
                texts.append(f"{_name(key)}, {name}: {mean.text(100)} %")
    return Finding(
        "FedProx stays at about 84 %, below the others.", "; ".join(texts), Verdict.of(sum(holds), len(holds))
    )


def _all_pairs(worlds: Worlds) -> Finding:
    texts = []
    for key, own in worlds.items():
        others = [str(method) for method in different(own, "method") if method != "BFL-MEC"]
        differences = {name: d for name in others if (d := _compare(own, "BFL-MEC", name, "accuracy"))}
        corrected = holm([difference.p for difference in differences.values()])
        lines = [
            f"{name} {difference.interval.estimate * 100:+.2f} (p = {p:.2g})"
            for (name, difference), p in zip(differences.items(), corrected, strict=True)
        ]
        texts.append(f"{_name(key)}: {', '.join(lines)}")
    question = "Final accuracy of BFL-MEC minus that of each other method, in points; p-values corrected by Holm"
    return Finding(question, "; ".join(texts), Verdict.BEYOND)


def _name(key: tuple[Value, ...]) -> str:
    return f"{key[0]}, {key[1]} stragglers"


def _draw(curves: list[Row]) -> Callable[[Figure], None]:
    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for place, (method, own) in enumerate((key[0], rows) for key, rows in grouped(curves, "method").items()):
            seeds = [[100 * value for value in numbers(rows, "accuracy")] for rows in grouped(own, "seed").values()]
            band(axes, TIMES, seeds, COLOURS[place % len(COLOURS)], str(method), DASHES[place // len(COLOURS)])
        axes.set(xlabel="virtual time [s]", ylabel="accuracy [%]")
        axes.legend(fontsize=8, loc="lower right")

    return draw
