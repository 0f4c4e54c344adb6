"""A global update is the same to the last bit whatever the machine does underneath."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bflmec
from bflmec.learning.global_update import Contribution, GlobalUpdate, global_update
from bflmec.learning.history import HistoryEntry
from bflmec.learning.rules import DEFAULT_RULES, PAPER_RULES

SIZE = 20_000
RULES = {
    "default": DEFAULT_RULES,
    "keep": replace(DEFAULT_RULES, strategy="keep"),
    "dbscan": replace(DEFAULT_RULES, clustering="dbscan"),
    "paper": replace(PAPER_RULES, eps=3.0),
}

GOLDEN = {
    "default": "207e3cd9ccc954ddcbe177c35cdcc8eecd8859d4df9b8a079888b20da534d782",
    "keep": "f821120fb26c8c311fb9cf5fe2eeb3c477363b2c780d5da4e7d6ea0d4bac5367",
    "dbscan": "69510e7c2143a5bd9c80216625fec80b01a26cbc12214f2d6f65be898dfb5477",
    "paper": "d7d3a4ba21c5034fddf6dac382b53adbd6b1fa9964ae09c99ff5206f1bae66b6",
}


def deltas(seed: int, count: int) -> np.ndarray:
    """Float32 vectors with a common part, made of integers and powers of two so that every machine makes the same."""
    rng = np.random.default_rng(seed)
    common = np.random.default_rng(7).integers(-(2**16), 2**16, SIZE)
    vectors = (common + rng.integers(-(2**16), 2**16, (count, SIZE))).astype(np.float32) / np.float32(2**22)
    vectors[:2] *= np.float32(-3)
    return vectors


def history() -> list[HistoryEntry]:
    past = [Contribution(i.to_bytes(20, "big"), [vector]) for i, vector in enumerate(deltas(1, 30), start=100)]
    return list(global_update(np.zeros(SIZE, np.float32), past, (), DEFAULT_RULES).entries)


def inputs() -> tuple[np.ndarray, list[Contribution]]:
    vectors = deltas(2, 12)
    pairs = [Contribution(i.to_bytes(20, "big"), [vectors[i], vectors[i + 1]]) for i in (0, 2)]
    return deltas(3, 3)[2], pairs + [Contribution(i.to_bytes(20, "big"), [vectors[i]]) for i in range(4, 12)]


def digest(update: GlobalUpdate) -> str:
    content = hashlib.sha256(update.weights.tobytes())
    content.update(repr((update.outcome, update.labels, update.thetas, update.rewards, update.diagnostics)).encode())
    for entry in update.entries:
        content.update(entry.client + entry.delta.encode() + bytes([entry.accepted]))
    return content.hexdigest()


def digests() -> dict[str, str]:
    anchor, contributions = inputs()
    past = history()
    return {name: digest(global_update(anchor, contributions, past, rules)) for name, rules in RULES.items()}


def test_the_result_is_the_committed_one() -> None:
    assert digests() == GOLDEN


@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"},
        {"OPENBLAS_CORETYPE": "Nehalem"},
        {"OPENBLAS_CORETYPE": "Haswell"},
        {"NPY_DISABLE_CPU_FEATURES": "dispatched"},
    ],
    ids=lambda environment: " ".join(f"{name}={value}" for name, value in environment.items()),
)
def test_threads_blas_kernels_and_numpy_dispatch_change_no_bit(environment: dict[str, str]) -> None:
    if "NPY_DISABLE_CPU_FEATURES" in environment:
        environment = {"NPY_DISABLE_CPU_FEATURES": " ".join(dispatched_features())}
    paths = [str(Path(__file__).parent), str(Path(bflmec.__file__).parents[1])]
    result = subprocess.run(
        [sys.executable, "-c", "import test_bit_exact as t; print(t.digests())"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == str(GOLDEN)


def dispatched_features() -> list[str]:
    """What numpy found on this processor beyond its baseline."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return [feature for feature in __cpu_dispatch__ if __cpu_features__.get(feature)]


@pytest.mark.parametrize("columns", [1000, 4096, 1 << 20])
def test_the_number_of_columns_at_a_time_changes_no_bit(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bflmec.learning.references.COLUMNS", columns)
    monkeypatch.setattr("bflmec.learning.gram.gram.__kwdefaults__", {"columns": columns}, raising=False)
    assert digests() == GOLDEN


def test_strides_and_alignment_of_the_input_change_no_bit() -> None:
    anchor, contributions = inputs()
    spread = [
        Contribution(
            contribution.client,
            [odd(vector) if k % 2 else np.repeat(vector, 2)[::2] for vector in contribution.vectors],
        )
        for k, contribution in enumerate(contributions)
    ]
    assert digest(global_update(odd(anchor), spread, history(), DEFAULT_RULES)) == GOLDEN["default"]


def odd(vector: np.ndarray) -> np.ndarray:
    """The same values at an address that is no multiple of the alignment of vector instructions."""
    return np.concatenate([np.zeros(1, np.float32), vector])[1:]


def test_the_surrounding_rounding_and_error_settings_change_no_bit() -> None:
    import decimal

    with decimal.localcontext(prec=4, rounding=decimal.ROUND_UP), np.errstate(all="ignore"):
        assert digests() == GOLDEN
