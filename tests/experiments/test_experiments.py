"""Each experiment in a tiny form: its cells compute, and their rows come to findings, tables and figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import DIGITS, performed

from bflmec.experiments.attack_worlds import AWAY, FEW, HUNDRED, TEN
from bflmec.experiments.attack_worlds import DIGITS as DIGITS_WORLD
from bflmec.experiments.attacks import rates
from bflmec.experiments.baselines import tuned
from bflmec.experiments.catalogue import experiment
from bflmec.experiments.cells import Cell, Row
from bflmec.experiments.theorem1 import bound

SHORT = ("dataset=digits", "samples_per_client=70", "data_threshold=20", "aggregations=2")


def test_attacks(tmp_path: Path) -> None:
    kinds = ("default", "hdbscan", "geometric median", "FLTrust")

    def few(cell: Cell) -> bool:
        labels = cell.labels
        if labels["world"] == HUNDRED:
            return labels["attack"] == FEW[1] and labels["defence"] in kinds
        if labels["world"] == AWAY:
            return (labels["attack"], labels["defence"]) == ("reverse", "accepted history")
        if labels["world"] == DIGITS_WORLD:
            return (labels["attack"], labels["partition"]) == ("scale-down", "iid")
        return labels["world"] == TEN and labels["attack"] == "scale-up"

    section, watcher = performed(
        experiment("attacks"), tmp_path, few, (*SHORT, "clients=10", "aggregation_threshold=8")
    )
    assert len(watcher.computed) == 6 + 4 + 1 + 2
    assert [finding.claim[:8] for finding in section.findings[:2]] == ["With IID", "With non"]
    assert (tmp_path / "attacks" / "timeline.csv").exists()
    assert {cell.labels["world"] for cell in watcher.computed} == {TEN, HUNDRED, AWAY, DIGITS_WORLD}


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
        known = cell.labels["method"] in ("BFL-MEC", "FedAvg") and cell.labels["learning_rate"] == 0.01
        return known and cell.labels["stragglers"] == "weak" and cell.seed in (1, 101)

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
        small = int(str(cell.labels["size"])) in (5, 10, 10_000, 100_000)
        return cell.labels["axis"] != "clients" and cell.labels["preset"] == "default" and small

    section, _ = performed(experiment("scale"), tmp_path, few, ())
    assert "size^" in section.findings[0].measured


def test_privacy(tmp_path: Path) -> None:
    def few(cell: Cell) -> bool:
        return cell.labels["part"] not in ("noise", "active, keep") or cell.labels["noise"] == 0.1

    settings = ("dataset=digits", "samples_per_client=70", "aggregations=2", "aggregation_threshold=4", "k_min=2")
    settings = (*settings, "data_threshold=10", "batch_size=5")
    section, _ = performed(experiment("privacy"), tmp_path, few, settings)
    assert [table.title for table in section.tables] == ["By observer", "Noise at the client (clip 0.5)"]


def test_convergence(tmp_path: Path) -> None:
    def few(cell: Cell) -> bool:
        return cell.labels["upload"] in (0.05, 10.0)

    settings = ("dataset=digits", "samples_per_client=70", "clients=20", "aggregations=3", "data_threshold=20")
    section, _ = performed(experiment("convergence"), tmp_path, few, (*settings, "batch_size=20"))
    verdicts = {finding.claim[:7]: finding.verdict for finding in section.findings}
    assert verdicts["τ_avg ="] == "reproduced"
    assert verdicts["The mea"] == "reproduced"


def test_latency(tmp_path: Path) -> None:
    def few(cell: Cell) -> bool:
        virtual = cell.labels["stack"] == "virtual time"
        return cell.labels["value"] in ((50, 100) if virtual else ("logistic", 5, 10))

    settings = ("aggregations=2", "aggregation_threshold=5")
    section, _ = performed(experiment("latency"), tmp_path, few, settings)
    assert len(section.tables) == 2


def test_the_bound_is_that_of_the_proof() -> None:
    found = bound({"L": 2.0, "sigma2": 3.0, "zeta2": 5.0, "G2": 7.0}, step=0.01, steps=99, concurrency=4, fall=1.5)
    assert found["bound_start"] == pytest.approx(4 * 1.5 / (0.01 * 100))
    assert found["bound_noise"] == pytest.approx(3 * 2 * 0.01 * 3)
    assert found["bound_spread"] == pytest.approx(4 * 2 * 0.01 * 5)
    assert found["bound_delay"] == pytest.approx(2 * 4 * 0.0001 * 16 * 7)
    assert (found["lemma1"], found["lemma2"]) == (True, True)
    assert bound({"L": 2.0, "sigma2": 0, "zeta2": 0, "G2": 0}, 0.05, 9, 4, 0.0)["lemma2"] is False
