"""Finished runs that many tests look at or damage a copy of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from endtoend_tools import DETERMINISTIC, TINY, edit_config, run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that ended by itself; not to be changed."""
    path = tmp_path_factory.mktemp("finished") / "run"
    assert run(path, TINY).code == 0
    return path


@pytest.fixture(scope="session")
def deterministic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with deterministic signatures; not to be changed."""
    path = tmp_path_factory.mktemp("deterministic") / "run"
    assert run(path, DETERMINISTIC).code == 0
    return path


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """A copy of a run directory that a test may damage."""

    def copy(path: Path) -> Path:
        return Path(shutil.copytree(path, tmp_path / "copy"))

    return copy


@pytest.fixture(scope="session")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two of its three global updates; not to be changed."""
    path = tmp_path_factory.mktemp("unfinished") / "run"
    assert run(path, TINY | {"aggregations": "2"}).code == 0
    edit_config(path, "aggregations", 3)
    return path
