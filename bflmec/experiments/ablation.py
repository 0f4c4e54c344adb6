"""One choice at a time: what each of the default's rules, and each of the paper's, does by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bflmec.experiments.attacked_world import NOBODY, attacked_run, harm
from bflmec.experiments.attacks import rates
from bflmec.experiments.cells import Cell, Row, Scope, Tables
from bflmec.experiments.experiment import Finding, Plot, Section, Table, Verdict, experiments
from bflmec.experiments.library import dataset_of
from bflmec.experiments.statistics import mean_interval, paired_difference
from bflmec.experiments.tables import different, grouped, numbers, paired, where
from bflmec.runs.figures import BLUE, VERMILION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FROM_DEFAULT = {
    "as it is": (),
    "weights in place of deltas": ("mode=weights", "clip=none"),
    "θ = 1 − cos to the reference": ("theta=reference-distance",),
    "θ uniform": ("theta=uniform",),
    "Euclidean distance": ("features=euclidean",),
    "cosine distance": ("features=cosine",),
    "DBSCAN": ("clustering=dbscan",),
    "no clustering": ("clustering=none",),
    "mean as reference": ("reference=mean",),
    "no majority asked for": ("require_majority=false",),
    "no history": ("history=0",),
    "history of 30": ("history=30",),
    "history of 90": ("history=90",),
    "history of accepted ones": ("history_of=accepted",),
    "no norm cap": ("norm_cap=none",),
    "no clip": ("clip=none",),
    "clip at the median": ("clip=1.0",),
    "k_min 1": ("k_min=1",),
    "keep low contributions": ("strategy=keep",),
    "one gradient per client and update": ("per_client=1",),
    "samples accumulate": ("after_training=accumulate",),
    "starts from its own weights": ("start_from=own",),
    "strict thresholds": ("strict_threshold=true",),
}
FROM_PAPER = {
    "as it is": (),
    "deltas": ("mode=delta",),
    "θ = (1 + cos)/2 to the mean": ("theta=mean-cosine",),
    "θ uniform": ("theta=uniform",),
    "direction and norm": ("features=direction-and-norm",),
    "linkage gap": ("clustering=linkage-gap",),
    "DBSCAN that adapts its radius": ("eps=none", "min_samples=none"),
    "median as reference": ("reference=median",),
    "majority asked for": ("require_majority=true",),
    "history of 60": ("history=60",),
    "k_min 3": ("k_min=3",),
    "keep low contributions": ("strategy=keep",),
    "samples are consumed": ("after_training=consume",),
    "starts from the anchor": ("start_from=anchor",),
    "thresholds not strict": ("strict_threshold=false",),
}
PRESETS = {"default": FROM_DEFAULT, "paper": FROM_PAPER}
ATTACKS = (NOBODY, "reverse", "sign-flip")
WORLD = ("clients=100", "aggregation_threshold=10")


@experiments.register("ablation")
class Ablation:
    """From the default and from the paper preset, one row of the table of choices at a time."""

    name = "ablation"
    title = "One choice at a time"
    paper = "nothing of this kind."
    timed = False

    def cells(self, scope: Scope) -> list[Cell]:
        partitions = ("dirichlet",) if scope.quick else ("dirichlet", "shard", "iid")
        length = "aggregations=40" if scope.quick else "aggregations=100"
        return [
            Cell(
                "ablation",
                {"partition": partition, "preset": preset, "change": change, "attack": attack},
                seed,
                (f"preset={preset}", f"partition={partition}", *WORLD, length, *settings),
            )
            for seed in scope.seeds(quick=1, full=10)
            for partition in partitions
            for preset, changes in PRESETS.items()
            for change, settings in changes.items()
            for attack in ATTACKS
            if not (scope.quick and (attack == "sign-flip" or (preset, attack) == ("paper", "reverse")))
        ]

    def measure(self, cell: Cell) -> Tables:
        config = cell.config()
        world, adversary, outcome = attacked_run(config, dataset_of(config), str(cell.labels["attack"]), moves=False)
        paid = sum(amount for amount in outcome.rewards.values() if amount)
        row: Row = {**outcome.total().row(), **harm(world.population, outcome.weights, adversary.attackers)}
        row["paid_share"] = paid / (config.aggregation.base_reward * len(outcome.updates))
        return {"runs": [row]}

    def present(self, tables: Tables) -> Section:
        runs = tables["runs"]
        tables_, plots = [], []
        for (partition, preset), own in grouped(runs, "partition", "preset").items():
            tables_.append(_table(f"from the {preset} preset, {partition} partition", own))
            caption = f"Accuracy after one change, {preset} preset, {partition} partition; without and under attack."
            plots.append(Plot(f"changes-{preset}-{partition}", caption, _draw(own), (10, 6)))
        return Section(_findings(runs), tables_, plots, _NOTES)


_NOTES = ("100 clients, φ = 10; under attack 30 of them send their delta times −5 (reverse) or −1 (sign-flip).",)


def _table(title: str, own: list[Row]) -> Table:
    attacks = [str(attack) for attack in different(own, "attack")]
    heads = ["change"]
    for attack in attacks:
        heads += [f"{attack}: accuracy [%]", "found [%]" if attack != NOBODY else "", "false [%]"]
    lines = []
    for (change,), rows in grouped(own, "change").items():
        line = [str(change)]
        for attack in attacks:
            here = where(rows, attack=attack)
            if not here:
                line += ["", "", ""]
                continue
            found, false = rates(here)
            line.append(mean_interval(numbers(here, "accuracy")).text(100, 1))
            line.append("" if found is None else found.text(100, 0))
            line.append("" if false is None else false.text(100, 0))
        lines.append(line)
    return Table(title, heads, lines)


def _findings(runs: list[Row]) -> list[Finding]:
    findings = []
    for (partition, preset), own in grouped(runs, "partition", "preset").items():
        texts = []
        for attack in different(own, "attack"):
            here = where(own, attack=attack)
            effects = []
            for (change,), rows in grouped(here, "change").items():
                pairs = paired(rows, where(here, change="as it is"), "accuracy")
                effect = paired_difference(*pairs).interval.estimate
                effects.append((effect, str(change)))
            low, high = min(effects), max(effects)
            texts.append(
                f"{attack}: most harmful {low[1]} ({100 * low[0]:+.1f} points), most helpful {high[1]} "
                f"({100 * high[0]:+.1f})"
            )
        question = f"Which single change matters most, from the {preset} preset ({partition})?"
        findings.append(Finding(question, "; ".join(texts), Verdict.BEYOND))
    return findings


def _draw(own: list[Row]) -> Callable[[Figure], None]:
    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        changes = [str(change) for change in different(own, "change")]
        for place, (attack, colour) in enumerate(((NOBODY, BLUE), ("reverse", VERMILION))):
            rows = where(own, attack=attack)
            if rows:
                means = [mean_interval(numbers(where(rows, change=change), "accuracy")) for change in changes]
                y = [index + 0.35 * place for index in range(len(changes))]
                axes.barh(y, [100 * mean.estimate for mean in means], 0.33, color=colour, label=attack)
        axes.set_yticks([index + 0.17 for index in range(len(changes))], changes, fontsize=8)
        axes.invert_yaxis()
        axes.set_xlabel("accuracy [%]")
        axes.legend()

    return draw
