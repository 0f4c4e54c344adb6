"""Average linkage on integers, against scipy and against its own definition."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from bflmec.learning.features import Distances, round_distances
from bflmec.learning.linkage import average_linkage, cut


def random_distances(seed: int, count: int) -> Distances:
    points = np.random.default_rng(seed).standard_normal((count, 3))
    return round_distances(np.sqrt(((points[:, None] - points) ** 2).sum(-1)))


@given(st.integers(0, 2**32), st.integers(2, 40))
def test_merges_equal_those_of_scipy(seed: int, count: int) -> None:
    distances = random_distances(seed, count)
    ours = average_linkage(distances)
    theirs = linkage(squareform(distances.values.astype(np.float64)), "average")
    assert [float(merge.height) for merge in ours] == pytest.approx(theirs[:, 2].tolist())
    assert [merge.size for merge in ours] == theirs[:, 3].tolist()


@given(st.integers(0, 2**32), st.integers(2, 25))
def test_heights_never_decrease(seed: int, count: int) -> None:
    heights = [merge.height for merge in average_linkage(random_distances(seed, count))]
    assert heights == sorted(heights)


@given(st.integers(0, 2**32), st.integers(2, 12), st.integers(0, 12))
def test_a_height_is_the_exact_mean_distance_between_the_two_clusters(seed: int, count: int, steps: int) -> None:
    distances = random_distances(seed, count)
    merges = average_linkage(distances)
    step = min(steps, len(merges) - 1)
    labels = cut(merges, step, count)
    merge = merges[step]
    first, second = (np.flatnonzero(labels == labels[i]) for i in (merge.first, merge.second))
    total = sum(int(distances.values[i, j]) for i in first for j in second)
    assert merge.height == Fraction(total, len(first) * len(second))
    assert merge.size == len(first) + len(second)


def test_among_equal_distances_the_lowest_members_merge_first() -> None:
    merges = average_linkage(Distances(np.ones((4, 4), np.int64) - np.eye(4, dtype=np.int64), 0))
    assert [(merge.first, merge.second) for merge in merges] == [(0, 1), (0, 2), (0, 3)]


def test_one_member_has_no_merges() -> None:
    assert average_linkage(Distances(np.zeros((1, 1), np.int64), 0)) == []


def test_clusters_are_numbered_by_their_lowest_member() -> None:
    values = np.array([[0, 9, 9, 1], [9, 0, 2, 9], [9, 2, 0, 9], [1, 9, 9, 0]], np.int64)
    merges = average_linkage(Distances(values, 0))
    assert cut(merges, 0, 4).tolist() == [0, 1, 2, 3]
    assert cut(merges, 1, 4).tolist() == [0, 1, 2, 0]
    assert cut(merges, 2, 4).tolist() == [0, 1, 1, 0]
    assert cut(merges, 3, 4).tolist() == [0, 0, 0, 0]
