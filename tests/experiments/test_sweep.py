"""A sweep is one TOML file; what can't be run is refused before anything is."""

from pathlib import Path

import pytest
from tiny import DIGITS, Watcher

from bflmec.errors import ConfigError
from bflmec.experiments.catalogue import experiment
from bflmec.experiments.cells import Scope
from bflmec.experiments.session import perform

SETTINGS = "settings = [" + ", ".join(f'"{setting}"' for setting in DIGITS) + "]"


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_sweep_runs_all_combinations(tmp_path: Path) -> None:
    text = f'name = "mine"\n{SETTINGS}\n[vary]\nstrategy = ["keep", "discard"]\nk_min = [1, 3]\n'
    sweep = experiment(written(tmp_path / "s.toml", text))
    watcher = Watcher()
    (chapter,) = perform([sweep], Scope(seed_count=1), tmp_path / "out", 1, watcher, "")
    assert watcher.begun == [("mine", 0, 4)]
    (table,) = chapter.section.tables
    assert [tuple(row[:2]) for row in table.rows] == [("keep", "1"), ("keep", "3"), ("discard", "1"), ("discard", "3")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[vary]\nclusterign = ['none']", "clustering"),
        ("[vary]\nk_min = [3, 300]", "k_min"),
        ("[vary]\nk_min = 3", "vary"),
        ("[vary]", "vary"),
        ("seed = 3\n[vary]\nk_min = [1]", "seeds"),
        ("seeds = 0\n[vary]\nk_min = [1]", "seeds"),
        ("name = '../../up'\n[vary]\nk_min = [1]", "name"),
        ("settings = 'k_min=1'\n[vary]\nk_min = [1]", "settings"),
        ("= 1", "TOML"),
    ],
)
def test_what_is_no_sweep_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment(written(tmp_path / "s.toml", text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        experiment(str(tmp_path / "none.toml"))
