"""Distances between local gradients, the clusterings on them and the global gradient in their midst."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.errors import ConfigError
from bflmec.learning.clustering import Dbscan, LinkageGap, NoClustering, clusterings
from bflmec.learning.features import Distances, features, round_distances
from bflmec.learning.fixed_point import quantise
from bflmec.learning.gram import gram
from bflmec.learning.references import references
from bflmec.learning.rules import DEFAULT_RULES, PAPER_RULES


def line(*places: float) -> Distances:
    """Members at places on a line, the last of them the global gradient."""
    points = np.array(places, np.float64)
    return round_distances(np.abs(points[:, None] - points))


def distances_of(matrix: np.ndarray, name: str, **changes: object) -> np.ndarray:
    rules = replace(DEFAULT_RULES, **changes)
    return features.get(name)(rules).distances(gram([quantise(row) for row in matrix.astype(np.float32)]))


def random_rows(seed: int, count: int = 6, size: int = 50) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, size)) * rng.choice([0.1, 1, 5], (count, 1))


@pytest.mark.parametrize("name", ["direction-and-norm", "euclidean", "cosine"])
@given(seed=st.integers(0, 2**32))
def test_distances_are_symmetric_with_a_zero_diagonal(name: str, seed: int) -> None:
    distances = distances_of(random_rows(seed), name)
    assert np.array_equal(distances, distances.T)
    assert not distances.diagonal().any()
    assert np.all(distances >= 0)


@given(st.integers(0, 2**32))
def test_direction_and_norm_is_the_formula_of_the_documentation(seed: int) -> None:
    rows = random_rows(seed)
    lengths = np.linalg.norm(rows, axis=1)
    cosines = rows @ rows.T / lengths[:, None] / lengths
    logs = np.log(lengths)
    expected = np.sqrt(np.maximum(1 - cosines, 0) + 4 * (logs[:, None] - logs) ** 2)
    np.fill_diagonal(expected, 0)
    assert distances_of(rows, "direction-and-norm", norm_cap=None) == pytest.approx(expected, abs=1e-3)


def test_norm_ratios_beyond_the_cap_are_all_equally_far() -> None:
    rows = np.array([[1.0, 0], [3, 0], [1e6, 0], [1e-6, 0], [0, 0]])
    first = distances_of(rows, "direction-and-norm", norm_cap=1.0)[0]
    assert first.tolist() == [0, 2, 2, 2, math.sqrt(5)]


@given(st.integers(0, 2**32))
def test_euclidean_is_the_distance_of_the_vectors(seed: int) -> None:
    rows = random_rows(seed)
    expected = np.linalg.norm(rows[:, None] - rows, axis=2)
    assert distances_of(rows, "euclidean") == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_distances_of_any_magnitude_become_integers_below_2_to_the_33() -> None:
    for scale in (1e-30, 1.0, 1e30):
        distances = round_distances(np.array([[0, scale], [scale, 0]]))
        assert 2**31 <= distances.values.max() < 2**33
        assert math.ldexp(float(distances.values[0, 1]), distances.exponent) == pytest.approx(scale)


def test_more_members_than_exact_sums_allow_are_refused() -> None:
    with pytest.raises(ConfigError, match="history"):
        round_distances(np.zeros((2049, 2049)))


def test_linkage_gap_cuts_off_a_far_minority() -> None:
    labels = LinkageGap(DEFAULT_RULES).cluster(line(0, 1, 2.1, 3, 50, 51, 1.5))
    assert labels.tolist() == [0, 0, 0, 0, 1, 1, 0]


def test_linkage_gap_leaves_members_without_a_gap_together() -> None:
    equal = Distances(np.ones((6, 6), np.int64) - np.eye(6, dtype=np.int64), 0)
    assert LinkageGap(DEFAULT_RULES).cluster(equal).tolist() == [0] * 6


def test_linkage_gap_never_cuts_so_that_no_majority_remains() -> None:
    assert LinkageGap(DEFAULT_RULES).cluster(line(0, 0.1, 50, 50.1, 0.05)).tolist() == [0] * 5


def test_the_gap_has_to_exceed_the_factor_of_the_rules() -> None:
    values = np.array([[0, 10, 12, 10], [10, 0, 12, 10], [12, 12, 0, 12], [10, 10, 12, 0]], np.int64)
    assert LinkageGap(DEFAULT_RULES).cluster(Distances(values, 0)).tolist() == [0, 0, 0, 0]
    assert LinkageGap(replace(DEFAULT_RULES, gap=1.19)).cluster(Distances(values, 0)).tolist() == [0, 0, 1, 0]


def test_linkage_gap_separates_identical_members_from_any_other() -> None:
    assert LinkageGap(DEFAULT_RULES).cluster(line(1, 1, 1, 1.5, 1)).tolist() == [0, 0, 0, 1, 0]


def test_dbscan_of_the_paper_uses_its_radius_and_neighbours() -> None:
    places = [0, 0.1, 0.2, 0.3, 5, 0.15]
    assert Dbscan(PAPER_RULES).cluster(line(*places)).tolist() == [0, 0, 0, 0, -1, 0]
    assert Dbscan(replace(PAPER_RULES, eps=0.04)).cluster(line(*places)).tolist() == [-1] * 6
    assert Dbscan(replace(PAPER_RULES, min_samples=6)).cluster(line(*places)).tolist() == [-1] * 6


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_dbscan_without_a_radius_takes_it_from_the_distances(scale: float) -> None:
    places = [place * scale for place in (0, 1, 2, 3, 90, 1.5)]
    assert Dbscan(replace(DEFAULT_RULES, eps=None)).cluster(line(*places)).tolist() == [0, 0, 0, 0, -1, 0]


def test_without_clustering_all_are_one_cluster() -> None:
    assert NoClustering(DEFAULT_RULES).cluster(line(0, 1, 99)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ["linkage-gap", "dbscan", "none"])
def test_a_clustering_copes_with_two_members_at_one_place(name: str) -> None:
    assert clusterings.get(name)(DEFAULT_RULES).cluster(line(0, 0)).tolist() == [0, 0]


@given(st.integers(0, 2**32), st.integers(1, 9))
def test_the_median_reference_is_the_clipped_coordinate_median_at_the_median_norm(seed: int, count: int) -> None:
    rows = random_rows(seed, count).astype(np.float32)
    reference = references.get("median")(DEFAULT_RULES).compute([quantise(row) for row in rows])
    lengths = np.linalg.norm(rows, axis=1)
    direction = np.median(rows * np.minimum(1, np.median(lengths) / lengths)[:, None], axis=0)
    expected = direction / np.linalg.norm(direction) * np.median(lengths)
    assert np.ldexp(reference.values.astype(float), reference.exponent) == pytest.approx(
        expected, abs=1e-3 * float(np.median(lengths))
    )


def test_a_minority_of_huge_members_does_not_move_the_median_reference_far() -> None:
    rng = np.random.default_rng(0)
    honest = np.ones(100) + 0.3 * rng.standard_normal((6, 100))
    hostile = np.full((5, 100), -1e6)
    members = [quantise(row.astype(np.float32)) for row in (*honest, *hostile)]
    reference = references.get("median")(DEFAULT_RULES).compute(members)
    value = np.ldexp(reference.values.astype(float), reference.exponent)
    assert value @ np.ones(100) / np.linalg.norm(value) / 10 > 0.9


@pytest.mark.parametrize("name", ["median", "mean"])
def test_the_reference_of_zero_vectors_is_zero(name: str) -> None:
    zero = quantise(np.zeros(4, np.float32))
    assert references.get(name)(DEFAULT_RULES).compute([zero, zero, zero]) == zero


def test_the_mean_reference_is_the_simple_average() -> None:
    members = [quantise(np.array(row, np.float32)) for row in ([1, 2], [3, -4], [2, 8])]
    reference = references.get("mean")(DEFAULT_RULES).compute(members)
    assert np.ldexp(reference.values.astype(float), reference.exponent).tolist() == [2, 2]


@pytest.mark.parametrize("name", ["median", "mean"])
def test_a_reference_computed_in_slices_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [quantise(row.astype(np.float32)) for row in random_rows(3, 7, 101)]
    whole = references.get(name)(DEFAULT_RULES).compute(members)
    monkeypatch.setattr("bflmec.learning.references.COLUMNS", 10)
    assert references.get(name)(DEFAULT_RULES).compute(members) == whole
