"""Average-linkage clustering on integer distances, in one fixed order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from bflmec.learning.features import Distances
from bflmec.learning.fixed_point import Int64


@dataclass(frozen=True, slots=True)
class Merge:
    """Two clusters, each named by its lowest member, that became one. `height` is the mean of the distances between
    their members, in the unit of the distances, exactly; `size` counts the members of the new cluster."""

    first: int
    second: int
    height: Fraction
    size: int


def average_linkage(distances: Distances) -> list[Merge]:
    """The n − 1 merges of n members, nearest clusters first (UPGMA); among equally near ones those with the lowest
    members first. Means are compared as correctly rounded quotients of exact integers."""
    count = len(distances)
    sums = distances.values.copy()
    sizes = np.ones(count, np.int64)
    means = sums.astype(np.float64)
    np.fill_diagonal(means, np.inf)
    merges = []
    for _ in range(count - 1):
        first, second = divmod(int(means.argmin()), count)
        pairs = int(sizes[first] * sizes[second])
        sizes[first] += sizes[second]
        merges.append(Merge(first, second, Fraction(int(sums[first, second]), pairs), int(sizes[first])))
        sums[first] += sums[second]
        sums[:, first] = sums[first]
        means[second] = means[:, second] = np.inf
        row = np.where(np.isinf(means[first]), np.inf, sums[first] / (sizes[first] * sizes))
        means[first] = means[:, first] = row
    return merges


def cut(merges: Sequence[Merge], steps: int, count: int) -> Int64:
    """Labels of shape (count,) after the first `steps` merges; clusters are numbered by their lowest member."""
    lowest = np.arange(count)
    for merge in merges[:steps]:
        lowest[lowest == merge.second] = merge.first
    labels: Int64 = np.unique(lowest, return_inverse=True)[1].astype(np.int64)
    return labels
