"""Configurations that are unusual and must work, and impossible ones that end before anything begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from endtoend_tools import TINY, global_digests, metrics, result, run, verify

ONE_UPDATE = TINY | {"aggregations": "1"}

WORKING = {
    "one edge node, DBSCAN, no archive": {"edge_nodes": "1", "clustering": "dbscan", "archive": "false"},
    "three edge nodes, ML-DSA-65, Dirichlet, walking to the newest anchor": {
        "edge_nodes": "3",
        "scheme": "ML-DSA-65",
        "partition": "dirichlet",
        "anchor_search": "walk",
        "aggregations": "2",
    },
    "five edge nodes, ML-DSA-87, shards, open registration, a reward for the miner": {
        "edge_nodes": "5",
        "scheme": "ML-DSA-87",
        "partition": "shard",
        "registration": "open",
        "miner_reward": "1",
    },
    "the paper's reading": {"preset": "paper", "data_threshold": "30"},
    "weights of a hidden layer, low contributions kept": {
        "model": "mlp-200",
        "mode": "weights",
        "clip": "none",
        "strategy": "keep",
    },
    "a convolutional model": {"model": "cnn-small"},
    "a sliding window, radios that fail, one local gradient a block": {
        "after_training": "sliding",
        "outage_interval": "20",
        "outage_length": "10",
        "max_transactions": "1",
        "aggregations": "2",
    },
    "certificates of one-time keys, three edge nodes": {
        "certificates": "xmss",
        "tree_height": "5",
        "edge_nodes": "3",
        "aggregations": "2",
    },
    "samples that stay, clients that stand still, no rewards": {
        "after_training": "accumulate",
        "mobility": "static",
        "base_reward": "0",
        "aggregations": "2",
    },
    "one client, holes in the coverage, hardly any work": {
        "clients": "1",
        "aggregation_threshold": "2",
        "k_min": "1",
        "coverage": "400",
        "ledger.difficulty": "1",
        "chain.difficulty": "1",
    },
}


@pytest.mark.parametrize("settings", WORKING.values(), ids=WORKING)
def test_an_unusual_configuration_runs_and_holds(settings: Mapping[str, str], tmp_path: Path) -> None:
    path = tmp_path / "run"
    outcome = run(path, ONE_UPDATE | settings)
    assert outcome.code == 0, outcome.err
    assert len(list(metrics(path).updates)) >= 1
    audit = verify(path)
    assert audit.code == 0, audit.out


def test_a_recorded_trace_gives_the_same_run(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert run(path, TINY | {"world.trace": str(finished / "trace.jsonl")}).code == 0
    assert result(path) == result(finished)
    assert global_digests(path) == global_digests(finished)
    assert (path / "trace.jsonl").read_bytes() == (finished / "trace.jsonl").read_bytes()


IMPOSSIBLE = {
    "an unknown key": ({"client": "5"}, "clients"),
    "an unknown section": ({"leger.difficulty": "5"}, "ledger"),
    "a word for a number": ({"clients": "many"}, "clients"),
    "a fraction of a client": ({"clients": "1.5"}, "clients"),
    "nobody": ({"clients": "0"}, "clients"),
    "no edge node": ({"edge_nodes": "0"}, "edge_nodes"),
    "a batch of none": ({"batch_size": "0"}, "batch_size"),
    "a batch above the data threshold": ({"batch_size": "40"}, "data_threshold"),
    "a data threshold that no client reaches": ({"data_threshold": "60"}, "data_threshold"),
    "k_min above phi": ({"k_min": "5"}, "k_min"),
    "k_min above the number of clients": ({"k_min": "5", "clients": "4", "aggregation_threshold": "8"}, "k_min"),
    "a threshold that so few never reach": ({"clients": "1", "k_min": "1"}, "aggregation_threshold"),
    "more samples than the data set has": ({"samples_per_client": "600"}, "samples"),
    "not a number": ({"learning_rate": "nan"}, "learning_rate"),
    "endless learning": ({"learning_rate": "inf"}, "learning_rate"),
    "a negative seed": ({"seed": "-1"}, "seed"),
    "an unknown data set": ({"dataset": "minst"}, "mnist"),
    "an unknown model": ({"model": "mlp-20x"}, "mlp"),
    "an unknown partition": ({"partition": "idd"}, "iid"),
    "an unknown clustering": ({"clustering": "dbscam"}, "dbscan"),
    "an unknown scheme": ({"scheme": "ML-DSA-45"}, "ML-DSA"),
    "an unknown backend": ({"signatures.backend": "openssl"}, "ML-DSA-44"),
    "an unknown preset": ({"preset": "papr"}, "paper"),
    "an unknown registration": ({"registration": "closed"}, "allow-list"),
    "a clip of weights": ({"mode": "weights"}, "clip"),
    "speeds that cross": ({"speed_least": "30"}, "speed_most"),
    "a chain of unbounded work": ({"chain.difficulty": str(2**64)}, "difficulty"),
}


@pytest.mark.parametrize(("settings", "named"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_an_impossible_configuration_ends_with_one_line(
    settings: Mapping[str, str], named: str, tmp_path: Path
) -> None:
    outcome = run(tmp_path / "run", TINY | settings)
    assert outcome.code == 10, outcome.err
    assert named in outcome.error
    assert not list(tmp_path.iterdir())


def test_a_world_in_which_nothing_can_happen_ends_at_its_horizon(tmp_path: Path) -> None:
    outcome = run(tmp_path / "run", TINY | {"arrival_rate": "0.0001", "horizon": "100"})
    assert outcome.code == 10
    assert "within 100 seconds of virtual time" in outcome.error
