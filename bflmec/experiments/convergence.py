"""Theorem 1: its constants measured, its conditions checked, its bound beside the gradients that were measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bflmec.experiments.cells import Cell, Row, Scope, Tables
from bflmec.experiments.experiment import Finding, Plot, Section, Table, Verdict, experiments
from bflmec.experiments.library import dataset_of
from bflmec.experiments.light_world import LightWorld
from bflmec.experiments.plots import COLOURS
from bflmec.experiments.statistics import growth_exponent, mean_interval
from bflmec.experiments.tables import grouped, number, numbers, where
from bflmec.experiments.theorem1 import BATCH, Problem, bound

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N = BATCH
RATES = (0.001, 0.01, 0.1)
DELAYS = (0.05, 10.0, 40.0, 160.0)
"""Seconds that an upload takes: the slower, the more local gradients are under way at a time."""
EPSILON = 0.25
"""Mean squared gradient norm whose time is compared over delays: a share of the first one."""

# One SGD step on N fresh samples, averaged plainly: the algorithm that the theorem speaks of.
PLAIN = (
    "epochs=1",
    f"batch_size={N}",
    f"data_threshold={N}",
    "clustering=none",
    "theta=uniform",
    "history=0",
    "clip=none",
    "k_min=1",
    "require_majority=false",
    "aggregation_threshold=10",
    "clients=100",
)


@experiments.register("convergence")
class Convergence:
    """Asynchronous SGD through the whole protocol, over learning rates and delays."""

    name = "convergence"
    title = "Convergence (Theorem 1)"
    paper = (
        "The mean squared gradient norm falls below ε after O(σ²/ε² + ζ²/ε² + τ_avg·G/ε^1.5 + τ_avg/ε) global "
        "aggregations, for η ≤ 1/(4·L·τ_C), whatever the data distribution."
    )
    timed = False

    def cells(self, scope: Scope) -> list[Cell]:
        length = "aggregations=60" if scope.quick else "aggregations=300"
        return [
            Cell(
                "convergence",
                {"partition": partition, "learning_rate": rate, "upload": delay},
                seed,
                (
                    *PLAIN,
                    length,
                    f"partition={partition}",
                    f"learning_rate={rate}",
                    f"upload_latency={delay}",
                    "mobility=static",
                ),
            )
            for seed in scope.seeds(quick=1, full=10)
            for partition in (("dirichlet",) if scope.quick else ("dirichlet", "iid", "shard"))
            for rate in RATES
            for delay in DELAYS
        ]

    def measure(self, cell: Cell) -> Tables:
        config = cell.config()
        world = LightWorld.of(config, dataset_of(config))
        problem = Problem.of(world, config.experiment.seed)
        path = [world.population.initial, *(update.weights for _, update in world.updates())]
        norms = [problem.squared_norm(weights) for weights in path]
        asynchrony = world.simulation.measurements.asynchrony()
        constants = problem.constants([path[0], path[len(path) // 2], path[-1]])
        step = config.learning.learning_rate / config.ledger.aggregation_threshold
        fall = problem.loss(path[0]) - problem.loss(path[-1])
        reached = next((index for index, value in enumerate(norms) if value <= EPSILON * norms[0]), None)
        row: Row = {
            **constants,
            "step": step,
            "steps": asynchrony.steps,
            "concurrency_max": asynchrony.concurrency_max,
            "concurrency": asynchrony.concurrency,
            "delay": asynchrony.delay,
            "predicted_delay": asynchrony.predicted_delay,
            "mean_squared_norm": sum(norms) / len(norms),
            "first_squared_norm": norms[0],
            "loss_fall": fall,
            "updates_to_epsilon": reached,
            **bound(constants, step, asynchrony.steps, asynchrony.concurrency_max, fall),
        }
        curve: list[Row] = [{"update": index, "squared_norm": value} for index, value in enumerate(norms)]
        return {"runs": [row], "norms": curve[:: max(1, len(curve) // 30)]}

    def present(self, tables: Tables) -> Section:
        runs = tables["runs"]
        plot = Plot("norms", "Squared gradient norms over global updates.", _draw(tables["norms"]), (11, 3.8))
        findings = [_converges(runs), _conditions(runs), _bound_holds(runs), _identity(runs), _growth(runs)]
        return Section(findings, [_table(runs)], [plot], _NOTES)


_NOTES = (
    "Logistic regression on MNIST; each local update is one SGD step on 75 fresh samples, and 10 of them are "
    "averaged, so a "
    "recorded local gradient moves the model by η/10: the step size of the theorem's sequence, in which every "
    "gradient is "
    "one step. L is the bound λmax(E[x xᵀ])/2 of the softmax loss; σ², ζ², G² are measured at the start, middle and "
    "end of "
    "each run, and the largest is used.",
    "The proof never uses Assumption 2 (strong convexity), so no regulariser was added. Equation A.1's sum runs over "
    "the "
    "gradients under way, which are at most τ_C. The relation between τ_avg and average concurrency is an identity of "
    "the "
    "bookkeeping; it says nothing about convergence.",
)


def _table(runs: list[Row]) -> Table:
    heads = (
        "data",
        "η",
        "upload [s]",
        "τ_C",
        "τ_avg",
        "L",
        "σ²",
        "ζ²",
        "G²",
        "η/φ ≤ 1/4Lτ_C",
        "mean ‖∇f‖²",
        "bound",
        "delay term",
    )
    lines = []
    for (partition, rate, delay), own in grouped(runs, "partition", "learning_rate", "upload").items():
        figures = [mean_interval(numbers(own, name)).estimate for name in _COLUMNS]
        tau_c, tau, L, sigma, zeta, G, measured, limit, delayed = figures
        lines.append(
            (
                str(partition),
                str(rate),
                str(delay),
                f"{tau_c:.0f}",
                f"{tau:.1f}",
                *(f"{value:.3g}" for value in (L, sigma, zeta, G)),
                "yes" if all(row["lemma2"] for row in own) else "no",
                f"{measured:.3g}",
                f"{limit:.3g}",
                f"{delayed:.3g}",
            )
        )
    return Table("Constants, conditions and the bound", heads, lines)


_COLUMNS = ("concurrency_max", "delay", "L", "sigma2", "zeta2", "G2", "mean_squared_norm", "bound", "bound_delay")


def _converges(runs: list[Row]) -> Finding:
    fell = [row for row in runs if row["updates_to_epsilon"] is not None]
    texts = []
    for (rate,), own in grouped(runs, "learning_rate").items():
        done = [row for row in own if row["updates_to_epsilon"] is not None]
        texts.append(f"η = {rate}: {len(done)} of {len(own)}")
    claim = "The squared gradient norm falls to a quarter despite delays, with non-IID data."
    return Finding(claim, "runs in which it did: " + ", ".join(texts), Verdict.of(len(fell), len(runs)))


def _conditions(runs: list[Row]) -> Finding:
    texts = []
    for (rate,), own in grouped(runs, "learning_rate").items():
        one, two = (sum(bool(row[name]) for row in own) for name in ("lemma1", "lemma2"))
        texts.append(f"η = {rate}: Lemma 1 in {one}, Lemma 2 in {two} of {len(own)} runs")
    paper = where(runs, learning_rate=0.01)
    holds = sum(bool(row["lemma2"]) for row in paper)
    claim = "The paper's η = 0.01 meets the step-size conditions η ≤ 1/4L and η ≤ 1/(4Lτ_C)."
    return Finding(claim, "; ".join(texts), Verdict.of(holds, len(paper)))


def _bound_holds(runs: list[Row]) -> Finding:
    good = [row for row in runs if row["lemma2"]]
    holds = sum(number(row, "mean_squared_norm") <= number(row, "bound") for row in good)
    ratios = [number(row, "bound") / number(row, "mean_squared_norm") for row in good]
    others = [row for row in runs if not row["lemma2"]]
    beyond = sum(number(row, "mean_squared_norm") <= number(row, "bound") for row in others)
    text = f"where the conditions hold: {holds} of {len(good)} runs"
    if ratios:
        text += f", the bound is {min(ratios):.1f} to {max(ratios):.1f} times the measured mean"
    text += f"; where they don't: {beyond} of {len(others)}"
    claim = "The mean squared gradient norm stays below the bound of the proof."
    return Finding(claim, text, Verdict.of(holds, len(good)))


def _identity(runs: list[Row]) -> Finding:
    gap = max(abs(number(row, "delay") / number(row, "predicted_delay") - 1) for row in runs)
    claim = "τ_avg = (T + 1)/(T + |C_T| − 1) · average concurrency."
    return Finding(claim, f"greatest relative gap {gap:.1e}", Verdict.of(int(gap < 1e-9), 1))


def _growth(runs: list[Row]) -> Finding:
    texts, holds, cases = [], 0, 0
    for (partition, rate), own in grouped(runs, "partition", "learning_rate").items():
        points = [
            (
                mean_interval(numbers(rows, "delay")).estimate,
                mean_interval(numbers(rows, "updates_to_epsilon")).estimate,
            )
            for rows in grouped(own, "upload").values()
            if numbers(rows, "updates_to_epsilon")
        ]
        if len(points) >= 2:
            exponent = growth_exponent(*zip(*points, strict=True))
            cases += 1
            holds += exponent <= 1.1
            texts.append(f"{partition}, η = {rate}: updates grow like τ_avg^{exponent:.2f}")
    claim = "The number of aggregations grows at most linearly in τ_avg."
    return Finding(claim, "; ".join(texts), Verdict.of(holds, cases))


def _draw(norms: list[Row]) -> Callable[[Figure], None]:
    def draw(figure: Figure) -> None:
        rates = list(grouped(norms, "learning_rate"))
        panels = figure.subplots(1, len(rates), sharey=True, squeeze=False)[0]
        for axes, (rate,) in zip(panels, rates, strict=True):
            for place, (delay,) in enumerate(grouped(norms, "upload")):
                own = where(
                    norms, learning_rate=rate, upload=delay, seed=norms[0]["seed"], partition=norms[0]["partition"]
                )
                label = f"uploads of {delay:g} s" if isinstance(delay, float) else str(delay)
                axes.plot(numbers(own, "update"), numbers(own, "squared_norm"), color=COLOURS[place], label=label)
            axes.set(yscale="log", title=f"η = {rate}", xlabel="global updates")
        panels[0].set_ylabel("‖∇f‖²")
        panels[0].legend(fontsize=8)

    return draw
