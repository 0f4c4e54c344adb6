"""Robust combinations and clusterers against their definitions, and against scikit-learn's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans

from bflmec.errors import ConfigError
from bflmec.learning.clustering import NOISE, clusterings
from bflmec.learning.combinations import byzantine_count, combinations
from bflmec.learning.features import Distances, round_distances
from bflmec.learning.fixed_point import quantise
from bflmec.learning.global_update import Contribution, Outcome, global_update
from bflmec.learning.gram import gram
from bflmec.learning.pipeline import Pipeline
from bflmec.learning.rules import DEFAULT_RULES, AggregationRules
from bflmec.protocol.rules import Rules

seeds = st.integers(0, 2**32)


def points(seed: int, count: int = 12) -> np.ndarray:
    """Two clouds in the plane."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 2)) + np.where(np.arange(count)[:, None] % 3, 0, 8)


def euclidean(vectors: np.ndarray) -> Distances:
    return round_distances(np.sqrt(np.square(vectors[:, None] - vectors).sum(-1)))


def same_partition(first: np.ndarray, second: np.ndarray) -> bool:
    return np.array_equal(first[:, None] == first, second[:, None] == second)


def combined(name: str, vectors: np.ndarray, rules: AggregationRules = DEFAULT_RULES) -> np.ndarray:
    count = len(vectors)
    return combinations.get(name)(rules).combine(list(vectors), [1 / count] * count, [1.0] * count)


# ---------------------------------------------------------------- combinations


@pytest.mark.parametrize("count", [1, 4, 5])
def test_coordinate_median_is_numpys(count: int) -> None:
    vectors = np.random.default_rng(count).normal(size=(count, 7)).astype(np.float32)
    assert np.allclose(
        combined("coordinate-median", vectors), np.median(vectors.astype(float), axis=0), rtol=0, atol=1e-15
    )


def test_trimmed_mean_leaves_out_the_ends_of_each_coordinate() -> None:
    vectors = np.array([[1, 50], [2, 40], [3, 30], [100, 20], [4, -1000]], np.float32)
    rules = replace(DEFAULT_RULES, options={"byzantine": 0.2})
    assert combined("trimmed-mean", vectors, rules).tolist() == [3, 30]


def test_geometric_median_of_a_line_is_the_middle_and_of_a_triangle_sees_all_sides_alike() -> None:
    assert combined("geometric-median", np.array([[0.0], [1.0], [100.0]])) == pytest.approx([1.0], abs=1e-3)
    triangle = np.array([[0.0, 0.0], [1.0, 0.0], [0.3, 0.9]])
    centre = combined("geometric-median", triangle)
    pull = (triangle - centre) / np.linalg.norm(triangle - centre, axis=1)[:, None]
    assert pull.sum(axis=0) == pytest.approx([0, 0], abs=1e-4)


def test_geometric_median_of_equal_vectors_is_that_vector() -> None:
    assert combined("geometric-median", np.ones((3, 2))).tolist() == [1, 1]


@pytest.mark.parametrize("name", ["coordinate-median", "trimmed-mean", "geometric-median"])
@given(seed=seeds)
def test_a_minority_cannot_move_a_robust_combination_far(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    honest = rng.normal(size=(8, 5)).astype(np.float32)
    hostile = np.full((3, 5), 1e6, np.float32)
    moved = combined(name, np.concatenate([honest, hostile])) - honest.mean(axis=0)
    assert np.abs(moved).max() < 10


def test_clip_factors_reach_the_robust_combinations() -> None:
    rule = combinations.get("coordinate-median")(DEFAULT_RULES)
    assert rule.combine([np.array([8.0])], [1.0], [0.25]).tolist() == [2.0]


@pytest.mark.parametrize("share", [0.5, -0.1, "many"])
def test_an_impossible_share_of_hostile_clients_is_refused(share: float | str) -> None:
    with pytest.raises(ConfigError, match="byzantine"):
        byzantine_count(replace(DEFAULT_RULES, options={"byzantine": share}), 10)


def test_another_combination_is_another_rule_and_the_default_keeps_the_digest_of_old_ledgers() -> None:
    assert "combination" not in DEFAULT_RULES.canonical()
    assert replace(DEFAULT_RULES, combination="trimmed-mean").canonical()["combination"] == "trimmed-mean"


# ---------------------------------------------------------------- Krum


def krum_by_definition(vectors: np.ndarray, hostile: int) -> np.ndarray:
    squares = np.square(vectors[:, None] - vectors).sum(-1)
    return np.sort(squares, axis=1)[:, 1 : len(vectors) - hostile - 1].sum(axis=1)


KRUM = replace(
    DEFAULT_RULES, features="euclidean", history=0, require_majority=False, k_min=1, clip=None, theta="uniform"
)


@given(seed=seeds)
def test_krum_takes_the_one_with_the_lowest_score_and_multi_krum_the_lowest_ones(seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(10, 3))
    order = np.argsort(krum_by_definition(vectors, 3))
    distances = euclidean(np.concatenate([vectors, vectors.mean(axis=0, keepdims=True)]))
    one, many = (clusterings.get(name)(KRUM).cluster(distances) for name in ("krum", "multi-krum"))
    assert np.flatnonzero(one == 0).tolist() == [order[0], 10]
    assert set(np.flatnonzero(many == 0)) == {*order[:7], 10}
    assert set(many) == {0, NOISE}


def test_krum_makes_a_global_update_of_one_contribution() -> None:
    rng = np.random.default_rng(5)
    vectors = [rng.normal(1, 0.1, 4).astype(np.float32) for _ in range(6)] + [np.full(4, -50, np.float32)]
    contributions = [Contribution(bytes([i]) * 20, [vector]) for i, vector in enumerate(vectors)]
    update = global_update(np.zeros(4, np.float32), contributions, (), replace(KRUM, clustering="krum"))
    assert update.outcome is Outcome.FAIR
    assert any(np.array_equal(update.weights, vector) for vector in vectors[:6])


# ---------------------------------------------------------------- clusterers


@given(seed=seeds)
def test_agglomerative_clustering_is_scikit_learns(seed: int) -> None:
    distances = euclidean(points(seed))
    ours = clusterings.get("agglomerative")(DEFAULT_RULES).cluster(distances)
    theirs = AgglomerativeClustering(2, metric="precomputed", linkage="average").fit_predict(distances.values)
    assert same_partition(ours, theirs)


@given(seed=seeds)
def test_k_means_ends_where_scikit_learns_stays(seed: int) -> None:
    vectors = points(seed)
    ours = clusterings.get("k-means")(DEFAULT_RULES).cluster(euclidean(vectors))
    centres = np.stack([vectors[ours == label].mean(axis=0) for label in np.unique(ours)])
    theirs = KMeans(len(centres), init=centres, n_init=1).fit_predict(vectors)
    assert same_partition(ours, theirs)


@given(seed=seeds)
def test_hdbscan_is_scikit_learns_on_the_same_distances(seed: int) -> None:
    vectors = points(seed)
    ours = clusterings.get("hdbscan")(DEFAULT_RULES).cluster(euclidean(vectors))
    theirs = HDBSCAN(min_cluster_size=5, min_samples=2, allow_single_cluster=True, copy=True).fit_predict(vectors)
    assert same_partition(ours, theirs)


def test_k_means_works_in_angles_as_well_and_with_equal_members() -> None:
    same = [quantise(np.ones(3, np.float32))] * 5
    rules = replace(DEFAULT_RULES, features="cosine")
    distances = round_distances(Pipeline.of(rules).features.distances(gram(same)))
    assert set(clusterings.get("k-means")(rules).cluster(distances)) == {0}


@pytest.mark.parametrize("name", ["k-means", "agglomerative"])
def test_an_impossible_number_of_clusters_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="clusters"):
        clusterings.get(name)(replace(DEFAULT_RULES, options={"clusters": 0}))


def test_a_quorum_refuses_what_other_machines_may_compute_differently() -> None:
    rules = replace(DEFAULT_RULES, clustering="hdbscan")
    with pytest.raises(ConfigError, match="Hdbscan"):
        Rules(model="logistic", parameters=10, aggregation=rules)
    assert Rules(model="logistic", parameters=10, aggregation=rules, quorum=False)
