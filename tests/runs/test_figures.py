"""The pictures of a run: drawn at any time, from metrics alone, the same bytes for the same metrics."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_run import sample_run

from bflmec.configuration.sections import TOKEN
from bflmec.errors import RunDirectoryError
from bflmec.runs.figures import PICTURES, cumulative_rewards, draw
from bflmec.runs.metrics import BlockMetrics, Metrics, UpdateMetrics, read_metrics

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(("clients", "updates"), [(5, 1), (10, 3), (40, 6)])
def test_every_picture_is_a_png_of_readable_width(tmp_path: Path, clients: int, updates: int) -> None:
    pictures = draw(sample_run(tmp_path / "run", clients=clients, updates=updates))
    assert tuple(path.name for path in pictures) == PICTURES
    for path in pictures:
        data = path.read_bytes()
        assert data.startswith(PNG)
        assert 1000 <= int.from_bytes(data[16:20], "big") <= 2000


def test_the_same_metrics_give_the_same_bytes(tmp_path: Path) -> None:
    first = draw(sample_run(tmp_path / "one", clients=10, updates=3))
    again = draw(sample_run(tmp_path / "two", clients=10, updates=3))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_the_users_own_matplotlib_settings_change_nothing(tmp_path: Path) -> None:
    import matplotlib

    directory = sample_run(tmp_path / "run", clients=10, updates=3)
    first = [path.read_bytes() for path in draw(directory)]
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 30}):
        assert [path.read_bytes() for path in draw(directory)] == first


def test_a_run_without_a_block_is_drawn(tmp_path: Path) -> None:
    assert len(draw(sample_run(tmp_path / "run", updates=0, finished=False))) == 3


def test_an_interrupted_run_is_drawn(tmp_path: Path) -> None:
    assert len(draw(sample_run(tmp_path / "run", updates=3, finished=False))) == 3


def test_a_run_that_paid_nobody_is_drawn(tmp_path: Path) -> None:
    directory = sample_run(tmp_path / "run", updates=0, finished=False)
    directory.metrics_file.write_text(
        '{"kind":"block","number":1,"time":9.5,"hash":"00","edge_node":1,"transactions":10,"gas":1,"update":'
        '{"accuracy":0.5,"client_accuracy":0.5,"outcome":"guarded average","high":0,"low":10,"rewards":{}}}\n'
    )
    assert len(draw(directory)) == 3


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        '{"kind":"summary"}',
        '{"kind":"block","number":1,"time":9.5,"hash":"00","edge_node":1,"transactions":10,"gas":1,"update":'
        '{"accuracy":0.5,"client_accuracy":0.5,"outcome":"","high":0,"low":10,"rewards":{"aa":"ten"}}}',
    ],
)
def test_damaged_metrics_are_refused_by_name(tmp_path: Path, line: str) -> None:
    directory = sample_run(tmp_path / "run", updates=0, finished=False)
    directory.metrics_file.write_text(line + "\n")
    with pytest.raises(RunDirectoryError, match=r"metrics\.jsonl"):
        draw(directory)


def test_damaged_measurements_are_refused_by_name(tmp_path: Path) -> None:
    directory = sample_run(tmp_path / "run", updates=1)
    text = directory.metrics_file.read_text()
    directory.metrics_file.write_text(text.replace('"T_sign":0.085', '"T_sign":"quick"'))
    with pytest.raises(RunDirectoryError, match=r"latencies.*delete the file and resume"):
        draw(directory)


def test_a_full_disk_is_reported_and_leaves_no_half_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = sample_run(tmp_path / "run", clients=5, updates=1)
    before = set(directory.path.iterdir())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("bflmec.files.write_all", full)
    with pytest.raises(RunDirectoryError, match=r"accuracy\.png: No space left"):
        draw(directory)
    assert set(directory.path.iterdir()) == before


def test_cumulative_rewards_end_at_what_was_paid(tmp_path: Path) -> None:
    metrics = read_metrics(sample_run(tmp_path / "run", clients=30, updates=9).metrics_file)
    accounts, rewards = cumulative_rewards(metrics, 30)
    assert accounts == sorted(accounts)
    assert rewards.shape == (10, 30)
    assert rewards[-1].sum() == pytest.approx(900)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    paid=st.lists(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**30), max_size=6), max_size=6),
    clients=st.integers(1, 8),
)
def test_cumulative_rewards_never_fall_and_lose_nobody(paid: list[dict[str, int]], clients: int) -> None:
    blocks = tuple(
        BlockMetrics(n, float(n), "00", 1, 1, 1, UpdateMetrics(0.5, 0.5, "", 1, 0, {a: str(v) for a, v in r.items()}))
        for n, r in enumerate(paid, start=1)
    )
    accounts, rewards = cumulative_rewards(Metrics(blocks, None), clients)
    assert (rewards[1:] >= rewards[:-1]).all()
    for index, account in enumerate(accounts):
        assert rewards[-1, index] == pytest.approx(sum(r.get(account, 0) for r in paid) / TOKEN)
