"""Cells are computed once, whoever computes them, and come to tables, figures and a report."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from tiny import DIGITS, Tiny, Watcher, performed

from bflmec.errors import ConfigError, RunDirectoryError
from bflmec.experiments.catalogue import ORDER, experiment
from bflmec.experiments.cells import Cell, Scope, Tables
from bflmec.experiments.experiment import Finding, Section, Verdict
from bflmec.experiments.session import perform
from bflmec.learning.attacks import attacks
from bflmec.simulation.servers import servers


class Counting:
    """Counts to the cell's limit; fails where it is told to."""

    name, title, paper, timed = "counting", "Counting", "Numbers follow each other.", False

    def __init__(self, fail_at: int | None = None) -> None:
        self.fail_at = fail_at

    def cells(self, scope: Scope) -> list[Cell]:
        return [Cell("counting", {"limit": limit}, seed) for seed in scope.seeds(1, 2) for limit in (1, 2, 3)]

    def measure(self, cell: Cell) -> Tables:
        limit = cell.labels["limit"]
        if limit == self.fail_at:
            raise KeyboardInterrupt
        assert isinstance(limit, int)
        return {"numbers": [{"number": number, "half": number / 2} for number in range(limit)]}

    def present(self, tables: Tables) -> Section:
        return Section([Finding("There are <numbers>.", f"{len(tables['numbers'])} rows", Verdict.REPRODUCED)])


def test_rows_carry_the_labels_and_the_seed_of_their_cell(tmp_path: Path) -> None:
    perform([Counting()], Scope(quick=True), tmp_path, 1, Watcher(), "a command")
    rows = list(csv.DictReader((tmp_path / "counting" / "numbers.csv").open()))
    assert len(rows) == 6
    assert rows[-1] == {"limit": "3", "seed": "1", "number": "2", "half": "1"}


def test_what_is_stored_is_not_computed_again(tmp_path: Path) -> None:
    perform([Counting()], Scope(quick=True), tmp_path, 1, Watcher(), "")
    watcher = Watcher()
    perform([Counting()], Scope(), tmp_path, 1, watcher, "")
    assert watcher.begun == [("counting", 3, 3)]
    assert {cell.seed for cell in watcher.computed} == {2}


def test_an_interruption_loses_only_the_cell_that_was_being_computed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        perform([Counting(fail_at=3)], Scope(quick=True), tmp_path, 1, Watcher(), "")
    watcher = Watcher()
    perform([Counting()], Scope(quick=True), tmp_path, 1, watcher, "")
    assert [cell.labels["limit"] for cell in watcher.computed] == [3]


def test_worker_processes_give_the_same_files(tmp_path: Path) -> None:
    perform([Counting()], Scope(), tmp_path / "one", 1, Watcher(), "")
    perform([Counting()], Scope(), tmp_path / "two", 2, Watcher(), "")
    one, two = ((tmp_path / name / "counting" / "numbers.csv").read_bytes() for name in ("one", "two"))
    assert one == two


def test_another_seed_setting_or_revision_is_another_cell() -> None:
    cells = [
        Cell("a", {"x": 1}, 1),
        Cell("b", {"x": 1}, 1),
        Cell("a", {"x": 2}, 1),
        Cell("a", {"x": 1}, 2),
        Cell("a", {"x": 1}, 1, ("clients=20",)),
        Cell("a", {"x": 1}, 1, revision=2),
    ]
    assert len({cell.digest for cell in cells}) == len(cells)
    assert Cell("a", {"x": 1}, 1, ("clients=100",)).digest == cells[0].digest, "100 is the default"


def test_a_damaged_cell_is_refused_by_its_name(tmp_path: Path) -> None:
    perform([Counting()], Scope(quick=True), tmp_path, 1, Watcher(), "")
    path = next((tmp_path / "cells" / "counting").iterdir())
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(RunDirectoryError, match=path.name):
        perform([Counting()], Scope(quick=True), tmp_path, 1, Watcher(), "")


def test_the_report_stands_alone_and_escapes_what_it_shows(tmp_path: Path) -> None:
    perform([Counting()], Scope(quick=True), tmp_path, 1, Watcher(), "bflmec <experiment>")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "There are &lt;numbers&gt;." in page
    assert "bflmec &lt;experiment&gt;" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert (tmp_path / "README.md").read_text("utf-8").startswith("# Results")


def test_an_unknown_experiment_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="thresholds"):
        experiment("treshholds")


@pytest.mark.parametrize("name", ORDER)
def test_every_experiment_has_cells_that_can_be_configured_and_told_apart(name: str) -> None:
    for quick in (True, False):
        cells = experiment(name).cells(Scope(quick=quick))
        assert {cell.experiment for cell in cells} == {name}
        some = cells[:: max(1, len(cells) // 40)]
        assert len({cell.digest for cell in some}) == len(some)
        assert all(cell.labels.keys() == cells[0].labels.keys() for cell in cells)


def test_thresholds_in_tiny_form(tmp_path: Path) -> None:
    def corner(cell: Cell) -> bool:
        return cell.labels["phi"] in (5, 20)

    section, _ = performed(experiment("thresholds"), tmp_path, corner, (*DIGITS, "aggregations=2"))
    assert len(section.findings) == 4
    assert len(section.tables) == 2
    assert (tmp_path / "thresholds" / "grid-default-logistic-shard.svg").exists()


def test_signatures_in_tiny_form(tmp_path: Path) -> None:
    def few(cell: Cell) -> bool:
        return cell.labels["payload"] == "logistic" and cell.labels["library"] in ("cryptography", "py-fn-dsa")

    experiment_ = experiment("table2")
    tiny = Tiny(experiment_, few, ())
    (cell, *_) = tiny.cells(Scope(quick=True))
    rows = tiny.measure(cell)["times"]
    assert [row["operation"] for row in rows] == ["keygen", "sign", "verify"]


def test_the_how_to_names_every_experiment_and_the_plug_in_page_every_attack_and_server() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs" / "how-to"
    experiments_page, plug_ins = ((docs / name).read_text("utf-8") for name in ("experiments.md", "plug-ins.md"))
    assert [name for name in ORDER if f"| `{name}` |" not in experiments_page] == []
    assert [name for name in (*attacks.names(), *servers.names()) if f"`{name}`" not in plug_ins] == []
