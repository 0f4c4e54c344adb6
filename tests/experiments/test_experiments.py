"""Each experiment in a tiny form: its cells compute, and their rows come to findings, tables and figures."""

from __future__ import annotations

from pathlib import Path

from tiny import DIGITS, performed

from bflmec.experiments.attacks import FEW, HUNDRED, TEN, rates
from bflmec.experiments.baselines import tuned
from bflmec.experiments.catalogue import experiment
from bflmec.experiments.cells import Cell, Row

SHORT = ("dataset=digits", "samples_per_client=70", "data_threshold=20", "aggregations=2")


def test_attacks(tmp_path: Path) -> None:
    def few(cell: Cell) -> bool:
        labels = cell.labels
        if labels["world"] == HUNDRED:
            return labels["attack"] == FEW[1] and labels["defence"] in ("default", "hdbscan", "geometric median")
        return labels["attack"] in ("reverse", "scale-up")

    section, watcher = performed(
        experiment("attacks"), tmp_path, few, (*SHORT, "clients=10", "aggregation_threshold=8")
    )
    assert len(watcher.computed) == 8 + 3
    assert [finding.claim[:8] for finding in section.findings[:2]] == ["With IID", "With non"]
    assert (tmp_path / "attacks" / "timeline.csv").exists()
    assert {cell.labels["world"] for cell in watcher.computed} == {TEN, HUNDRED}


def test_rates_count_events_over_seeds() -> None:
    rows: list[Row] = [
        {"seed": 1, "attacks": 4, "found": 4, "honest": 10, "false": 0},
        {"seed": 2, "attacks": 4, "found": 2, "honest": 10, "false": 1},
    ]
    found, false = rates(rows)
    assert found is not None
    assert false is not None
    assert (found.estimate, false.estimate) == (0.75, 0.05)


def test_baselines(tmp_path: Path) -> None:
    def few(cell: Cell) -> bool:
        return cell.labels["method"] in ("BFL-MEC", "FedAvg", "FedBuff") and cell.labels["stragglers"] == "weak"

    section, _ = performed(experiment("baselines"), tmp_path, few, DIGITS)
    assert section.tables[0].rows[0][0] == "BFL-MEC"
    assert section.findings[0].verdict != "not measured"


def test_learning_rates_are_chosen_by_other_seeds_than_those_reported() -> None:
    def row(rate: float, seed: int, area: float) -> Row:
        labels: Row = {"partition": "iid", "stragglers": "weak", "method": "m", "learning_rate": rate}
        return {**labels, "seed": seed, "area": area}

    rows = [row(0.1, 101, 0.9), row(0.2, 101, 0.8), row(0.1, 1, 0.1), row(0.2, 1, 0.7)]
    assert tuned(rows) == [row(0.1, 1, 0.1)]


def test_rewards(tmp_path: Path) -> None:
    def few(cell: Cell) -> bool:
        return cell.labels["part"] in ("figure 9b", "worth", "sybil", "unusual")

    settings = (*SHORT, "clients=10", "aggregation_threshold=8", "k_min=1")
    section, _ = performed(experiment("rewards"), tmp_path, few, settings)
    assert len(section.findings) == 5
    assert (tmp_path / "rewards" / "figure-9b.svg").exists()


def test_ablation(tmp_path: Path) -> None:
    def few(cell: Cell) -> bool:
        return cell.labels["change"] in ("as it is", "no history", "deltas")

    section, watcher = performed(experiment("ablation"), tmp_path, few, (*SHORT, "clients=20"))
    assert len(section.tables) == 2
    assert "no history" in section.findings[0].measured
    assert len(watcher.computed) == 4 + 2


def test_scale(tmp_path: Path) -> None:
    def few(cell: Cell) -> bool:
        return cell.labels["axis"] != "clients" and int(str(cell.labels["size"])) <= 100_000

    section, _ = performed(experiment("scale"), tmp_path, few, ())
    assert "size^" in section.findings[0].measured
