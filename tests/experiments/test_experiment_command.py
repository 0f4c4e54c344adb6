"""`bflmec experiment`: what it prints and leaves, and that Ctrl-C loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import DIGITS
from typer.testing import CliRunner

from bflmec.cli.main import app

SETTINGS = "settings = [" + ", ".join(f'"{setting}"' for setting in DIGITS) + "]"
SWEEP = f'name = "mine"\nseeds = 1\n{SETTINGS}\n[vary]\nk_min = [1, 2, 3, 4]\n'


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.toml"
    path.write_text(SWEEP)
    return path


def stored(out: Path) -> int:
    return len(list((out / "cells").rglob("*.json")))


def test_it_leaves_tables_figures_and_a_report(sweep: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["experiment", str(sweep), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "mine: 4/4" in result.output
    names = {path.name for path in (out / "mine").iterdir()}
    assert names == {"summary.csv", "curves.csv", "curves.png", "curves.svg"}
    assert f"bflmec experiment {sweep}" in (out / "report.html").read_text("utf-8")


def start(sweep: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    def default_interrupt() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    command = [sys.executable, "-m", "bflmec", "experiment", str(sweep), "--out", str(out), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=default_interrupt,
        start_new_session=True,
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interrupted_command_goes_on_where_it_was(sweep: Path, tmp_path: Path, workers: str) -> None:
    sweep.write_text(SWEEP.replace("aggregations=3", "aggregations=12").replace("seeds = 1", "seeds = 6"))
    out = tmp_path / "out"
    process = start(sweep, out, "--workers", workers)
    deadline = time.monotonic() + 120
    while stored(out) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    before = stored(out)
    assert 2 <= before < 24
    sweep.write_text(SWEEP.replace("aggregations=3", "aggregations=12"))
    result = CliRunner().invoke(app, ["experiment", str(sweep), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert f"{before if before < 4 else 4} stored" in result.output


def test_what_does_not_exist_ends_with_the_exit_code_of_a_wrong_configuration(tmp_path: Path) -> None:
    process = start(tmp_path / "none.toml", tmp_path / "out")
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output.count("\n")) == (10, 1)
