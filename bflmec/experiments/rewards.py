"""Figure 9b: who is paid what, whether it is deserved, and what cheating pays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bflmec.experiments.cells import Cell, Row, Scope, Tables
from bflmec.experiments.experiment import Finding, Plot, Section, Table, Verdict, experiments
from bflmec.experiments.plots import COLOURS
from bflmec.experiments.rewards_measured import figure, gain, unusual, worth
from bflmec.experiments.statistics import mean_interval
from bflmec.experiments.tables import grouped, number, numbers, where

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEN = ("clients=10", "aggregation_threshold=10", "aggregations=20", "arrival_spread=0.1")
GAINS = ("sybil", "free-rider", "scale-up", "scale-down", "sign-flip", "flooding")
PRESETS = ("default", "paper")


@experiments.register("rewards")
class Rewards:
    """Cumulative rewards, their rank correlation with what contributions are worth, and the gains of cheating."""

    name = "rewards"
    title = "Rewards (Figure 9b)"
    paper = (
        "Ten clients with non-IID data of whom 6, 8 and 9 attack: at first many honest ones are discarded, after a few "
        "updates all honest ones are paid, differently, and end far above the malicious ones, whose curves barely rise."
    )
    timed = False

    def cells(self, scope: Scope) -> list[Cell]:
        seeds = scope.seeds(quick=2, full=20)
        partitions = ("shard",) if scope.quick else ("shard", "dirichlet", "iid")
        cells = [
            _cell(seed, preset, partition, part, TEN)
            for seed in seeds
            for partition in partitions
            for preset in PRESETS
            for part in ("figure 9b", "worth", *GAINS)
        ]
        cells += [
            _cell(seed, preset, partition, "unusual", ("clients=100", "aggregations=60", "aggregation_threshold=10"))
            for seed in seeds
            for partition in (("dirichlet",) if scope.quick else ("shard", "dirichlet"))
            for preset in PRESETS
        ]
        return cells

    def measure(self, cell: Cell) -> Tables:
        part = str(cell.labels["part"])
        if part == "figure 9b":
            return {"cumulative": figure(cell)}
        if part == "worth":
            return {"worth": [worth(cell)]}
        if part == "unusual":
            return {"unusual": [unusual(cell)]}
        return {"gains": [gain(cell, part)]}

    def present(self, tables: Tables) -> Section:
        cumulative, worths = tables["cumulative"], tables["worth"]
        gains, unusuals = tables["gains"], tables["unusual"]
        plots = [Plot("figure-9b", "Cumulative reward of each client, first seed.", _draw(cumulative), (10, 4.6))]
        findings = [_low_for_malicious(cumulative), _all_honest_paid(cumulative), _deserved(worths), _cheating(gains)]
        tables_ = [_worth_table(worths), _gain_table(gains), _unusual_table(unusuals)]
        return Section([*findings, _rare(unusuals)], tables_, plots, _NOTES)


_NOTES = (
    "Shapley values and leave-one-out: per global update, over subsets of its contributions, of the drop in test loss "
    "(2,000 "
    "samples) of the anchor plus the subset's mean; summed over the updates for each client.",
    "Gain: the mean reward of a cheating account in units of an honest client's. Sybil: one owner sends the same local "
    "gradients through two accounts; 2 accounts at a gain of 1 each double its pay.",
    "Unusual data: total variation distance between a client's label frequencies and those of all clients.",
)


def _cell(seed: int, preset: str, partition: str, part: str, world: tuple[str, ...]) -> Cell:
    labels = {"preset": preset, "partition": partition, "part": part}
    return Cell("rewards", labels, seed, (f"preset={preset}", f"partition={partition}", *world))


def _last(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["update"] == max(numbers(rows, "update"))]


def _low_for_malicious(cumulative: list[Row]) -> Finding:
    texts, holds = [], []
    for (preset, partition), own in grouped(cumulative, "preset", "partition").items():
        end = _last(own)
        good, bad = (mean_interval(numbers(where(end, kind=kind), "reward")) for kind in ("honest", "malicious"))
        holds.append(bad.estimate < 0.1 * good.estimate)
        texts.append(f"{preset}, {partition}: honest {good.text(1, 0)}, malicious {bad.text(1, 1)} tokens")
    claim = "Malicious clients end with minimal rewards (less than a tenth of an honest one's)."
    return Finding(claim, "; ".join(texts), Verdict.of(sum(holds), len(holds)))


def _all_honest_paid(cumulative: list[Row]) -> Finding:
    texts, holds = [], []
    for (preset, partition), own in grouped(cumulative, "preset", "partition").items():
        end = where(_last(own), kind="honest")
        paid = sum(number(row, "reward") > 0 for row in end)
        amounts = numbers(end, "reward")
        spread = (max(amounts) - min(amounts)) / (sum(amounts) / len(amounts)) if sum(amounts) else 0.0
        holds.append(paid == len(end) and spread > 0.01)
        texts.append(f"{preset}, {partition}: {paid} of {len(end)} paid, range {100 * spread:.0f} % of the mean")
    claim = "All honest clients are paid in the end, and differently."
    return Finding(claim, "; ".join(texts), Verdict.of(sum(holds), len(holds)))


def _deserved(worths: list[Row]) -> Finding:
    texts = []
    for (preset, partition), own in grouped(worths, "preset", "partition").items():
        shapley, alone = (
            mean_interval(numbers(own, name)) for name in ("shapley_correlation", "leave_one_out_correlation")
        )
        texts.append(f"{preset}, {partition}: {shapley.text()} with Shapley values, {alone.text()} with leave-one-out")
    question = "Rank correlation of honest clients' rewards with what their contributions are worth"
    return Finding(question, "; ".join(texts), Verdict.BEYOND)


def _cheating(gains: list[Row]) -> Finding:
    texts = []
    for (preset,), own in grouped(gains, "preset").items():
        parts = [f"{part} {_mean(rows, 'gain')}" for (part,), rows in grouped(own, "part").items()]
        texts.append(f"{preset}: {', '.join(parts)}")
    question = "What does a cheating account earn, in units of an honest client's reward?"
    return Finding(question, "; ".join(texts), Verdict.BEYOND)


def _rare(unusuals: list[Row]) -> Finding:
    texts = []
    for (preset, partition), own in grouped(unusuals, "preset", "partition").items():
        texts.append(
            f"{preset}, {partition}: accepted {_mean(own, 'unusual_acceptance', 100, 0)} % against "
            f"{_mean(own, 'usual_acceptance', 100, 0)} %, paid {_mean(own, 'unusual_pay')} against "
            f"{_mean(own, 'usual_pay')} tokens a contribution"
        )
    question = "Does discarding starve clients with unusual data (the most unusual fifth against the least)?"
    return Finding(question, "; ".join(texts), Verdict.BEYOND)


def _mean(rows: list[Row], column: str, scale: float = 1.0, digits: int = 2) -> str:
    known = numbers(rows, column)
    return mean_interval(known).text(scale, digits) if known else "–"


def _worth_table(worths: list[Row]) -> Table:
    lines = [
        (str(preset), str(partition), _mean(own, "shapley_correlation"), _mean(own, "leave_one_out_correlation"))
        for (preset, partition), own in grouped(worths, "preset", "partition").items()
    ]
    return Table("Rewards and worth: rank correlations", ("preset", "partition", "Shapley", "leave-one-out"), lines)


def _gain_table(gains: list[Row]) -> Table:
    lines = [
        (str(preset), str(partition), str(part), _mean(own, "gain"))
        for (preset, partition, part), own in grouped(gains, "preset", "partition", "part").items()
    ]
    return Table("Reward of a cheating account, honest client = 1", ("preset", "partition", "cheat", "gain"), lines)


def _unusual_table(unusuals: list[Row]) -> Table:
    lines = [
        (
            str(preset),
            str(partition),
            _mean(own, "acceptance_correlation"),
            _mean(own, "pay_correlation"),
            _mean(own, "usual_acceptance", 100, 0),
            _mean(own, "unusual_acceptance", 100, 0),
        )
        for (preset, partition), own in grouped(unusuals, "preset", "partition").items()
    ]
    heads = ("preset", "partition", "acceptance", "pay", "least unusual accepted [%]", "most unusual accepted [%]")
    return Table("How unusual data are treated: rank correlations, acceptance", heads, lines)


def _draw(cumulative: list[Row]) -> Callable[[Figure], None]:
    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, 2)
        partition = cumulative[0]["partition"]
        for axes, preset in zip(panels, PRESETS, strict=True):
            own = where(cumulative, preset=preset, partition=partition, seed=cumulative[0]["seed"])
            for (client,), rows in grouped(own, "client").items():
                bad = rows[0]["kind"] == "malicious"
                colour = COLOURS[3] if bad else COLOURS[0]
                line = "--" if bad else "-"
                updates, amounts = [0.0, *numbers(rows, "update")], [0.0, *numbers(rows, "reward")]
                axes.plot(updates, amounts, line, color=colour, lw=1.2)
                axes.annotate(f"{client}", (updates[-1], amounts[-1]), fontsize=7, color=colour)
            axes.set(title=f"{preset} preset", xlabel="global updates", ylabel="cumulative reward [tokens]")
            axes.plot([], [], "-", color=COLOURS[0], label="honest")
            axes.plot([], [], "--", color=COLOURS[3], label="malicious: 6, 8, 9")
            axes.legend()

    return draw
