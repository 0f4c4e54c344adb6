"""Section IV-C: what stays private of a client's data, from whom, and what noise would cost."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from typing import TYPE_CHECKING

from bflmec.experiments import privacy_measured as measured
from bflmec.experiments.cells import Cell, Row, Scope, Tables
from bflmec.experiments.experiment import Finding, Plot, Section, Table, Verdict, experiments
from bflmec.experiments.observers import (
    OBSERVERS,
)
from bflmec.experiments.plots import COLOURS
from bflmec.experiments.statistics import mean_interval
from bflmec.experiments.tables import different, grouped, numbers, where

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WORLD = ("clients=10", "aggregation_threshold=10", "partition=dirichlet", "per_client=1")
SAMPLES = (1, 10, 75)
NOISE = (0.0, 0.001, 0.01, 0.1, 1.0)


@experiments.register("privacy")
class Privacy:
    """Reconstruction, inversion and membership inference, by what each observer sees."""

    name = "privacy"
    title = "Privacy (§IV-C)"
    paper = (
        "Since no local gradient is on the chain, nobody can run inference attacks on it as in vanilla BFL; clients "
        "who alter "
        "their own gradient and watch the global one are found and discarded."
    )
    timed = False

    def cells(self, scope: Scope) -> list[Cell]:
        seeds = scope.seeds(quick=2, full=10)
        cells = [_cell(seed, "exposure", samples, 0.0) for seed in seeds for samples in SAMPLES]
        cells += [_cell(seed, "noise", 75, noise) for seed in seeds for noise in NOISE]
        return cells + [
            _cell(seed, f"active, {s}", 75, 0.0, f"strategy={s}") for seed in seeds for s in ("discard", "keep")
        ]

    def measure(self, cell: Cell) -> Tables:
        part = str(cell.labels["part"])
        if part.startswith("active"):
            return {"active": [measured.active(cell)]}
        if part == "noise":
            return {"noise": [measured.noise(cell)]}
        return {"exposure": measured.exposure(cell)}

    def present(self, tables: Tables) -> Section:
        exposure, noise, active = tables["exposure"], tables["noise"], tables["active"]
        plot = Plot("exposure", "What each observer can do, by the samples of a local update.", _draw(exposure))
        findings = [_hidden(exposure), _collusion(exposure), _edge(exposure), _watching(active), _cost(noise)]
        return Section(findings, [_exposure_table(exposure), _noise_table(noise)], [plot], _NOTES)


_NOTES = (
    "Observers: the public sees global gradients and rewards; a curious client also its own delta; “all but one” are "
    "all "
    "other kept clients together; an edge node sees every delta; vanilla BFL puts every delta on its chain (positive "
    "control).",
    "Membership: area under the ROC curve of the alignment of a delta with a sample's own gradient, against samples "
    "that the "
    "same client held out; 0.5 is guessing. Inversion: the greatest correlation of a reconstructed image with a "
    "sample of "
    "the target. One epoch, logistic regression, MNIST.",
    "ε for δ = 1e-5 by Opacus' Rényi accountant, for one client's uploads in the run; a neighbouring data set differs "
    "in all "
    "samples of one upload. Noise is added by the client, so it protects from edge nodes too.",
)


def _cell(seed: int, part: str, samples: int, noise: float, *more: str) -> Cell:
    length = "aggregations=30" if part == "noise" else "aggregations=6"
    settings = (*WORLD, f"data_threshold={samples}", f"batch_size={min(samples, 10)}", length)
    epochs = () if part == "noise" else ("epochs=1",)
    return Cell("privacy", {"part": part, "samples": samples, "noise": noise}, seed, (*settings, *epochs, *more))


def _by(exposure: list[Row], column: str, samples: int) -> dict[str, str]:
    own = where(exposure, samples=samples)
    return {str(o): mean_interval(numbers(rows, column)).text() for (o,), rows in grouped(own, "observer").items()}


def _mean(rows: list[Row], column: str) -> float:
    return mean_interval(numbers(rows, column)).estimate


def _hidden(exposure: list[Row]) -> Finding:
    texts, holds = [], 0
    for samples in SAMPLES:
        area = _by(exposure, "membership", samples)
        public = _mean(where(exposure, samples=samples, observer="public"), "membership")
        control = _mean(where(exposure, samples=samples, observer="vanilla BFL"), "membership")
        holds += public < 0.6 and public < control - 0.05
        texts.append(f"N = {samples}: public {area['public']}, vanilla BFL {area['vanilla BFL']}")
    claim = "The public learns little about membership from BFL-MEC (AUC below 0.6), more from vanilla BFL."
    return Finding(claim, "; ".join(texts), Verdict.of(holds, len(SAMPLES)))


def _collusion(exposure: list[Row]) -> Finding:
    error = _by(exposure, "error", 75)
    text = "relative error of the estimated delta: " + ", ".join(f"{name} {value}" for name, value in error.items())
    question = "Can public rewards be solved for a client's delta (DESIGN: all kept clients but one together)?"
    return Finding(question.replace("DESIGN: ", ""), text, Verdict.BEYOND)


def _edge(exposure: list[Row]) -> Finding:
    texts = []
    for samples in SAMPLES:
        match, area = _by(exposure, "inversion", samples), _by(exposure, "membership", samples)
        texts.append(
            f"N = {samples}: inversion {match['edge node']} (public {match['public']}), membership {area['edge node']}"
        )
    question = "What can a curious edge node do with the deltas that it sees?"
    return Finding(question, "; ".join(texts), Verdict.BEYOND)


def _watching(active: list[Row]) -> Finding:
    texts, holds, cases = [], 0, 0
    for (part,), own in grouped(active, "part").items():
        passive, pushed = (mean_interval(numbers(own, name)) for name in ("passive", "active"))
        cases += 1
        holds += pushed.estimate < 0.6
        texts.append(f"{part}: AUC {passive.text()} by watching, {pushed.text()} by pushing")
    claim = "Altering one's own gradient and watching the global one tells little about membership (AUC below 0.6)."
    return Finding(claim, "; ".join(texts), Verdict.of(holds, cases))


def _cost(noise: list[Row]) -> Finding:
    texts = []
    for (level,), own in grouped(noise, "noise").items():
        spent = numbers(own, "epsilon")
        text = (
            f"{_mean(own, 'accuracy') * 100:.1f} %, ε = {fmean(spent):.3g}"
            if spent
            else f"{_mean(own, 'accuracy') * 100:.1f} %"
        )
        texts.append(f"noise {level}: {text}")
    return Finding("What does noise at the client cost, and what does it give?", "; ".join(texts), Verdict.BEYOND)


def _exposure_table(exposure: list[Row]) -> Table:
    heads = ["observer"]
    heads += [f"N = {n}: {what}" for n in SAMPLES for what in ("error of the delta", "membership AUC", "inversion")]
    lines = []
    for observer in different(exposure, "observer"):
        own = where(exposure, observer=observer)
        cells = [
            mean_interval(numbers(where(own, samples=n), column)).text()
            for n in SAMPLES
            for column in ("error", "membership", "inversion")
        ]
        lines.append([str(observer), *cells])
    return Table("By observer", heads, lines)


def _noise_table(noise: list[Row]) -> Table:
    lines = []
    for (level,), own in grouped(noise, "noise").items():
        spent = numbers(own, "epsilon")
        lines.append(
            (
                f"{level}",
                mean_interval(numbers(own, "accuracy")).text(100, 1),
                mean_interval(numbers(own, "membership")).text(),
                f"{_mean(own, 'uploads'):.0f}",
                f"{fmean(spent):.3g}" if spent else "∞",
            )
        )
    heads = ("noise / clip", "accuracy [%]", "edge node's membership AUC", "uploads of a client", "ε")
    return Table("Noise at the client (clip 0.5)", heads, lines)


def _draw(exposure: list[Row]) -> Callable[[Figure], None]:
    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, 3)
        titles = {"error": "error of the delta", "membership": "membership AUC", "inversion": "inversion match"}
        for axes, (column, title) in zip(panels, titles.items(), strict=True):
            for place, observer in enumerate(OBSERVERS):
                own = where(exposure, observer=observer)
                values = [_mean(where(own, samples=n), column) for n in SAMPLES]
                axes.plot(SAMPLES, values, "o-", color=COLOURS[place], label=observer)
            axes.set(xscale="log", title=title, xlabel="samples of a local update, N")
        panels[0].legend(fontsize=8)

    return draw
