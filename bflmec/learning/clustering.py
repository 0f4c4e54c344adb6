"""Clustering(model name, W^k) of Algorithm 4, line 1: the registry `clusterings`."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Protocol

import numpy as np

from bflmec.learning.features import Distances
from bflmec.learning.fixed_point import Int64
from bflmec.learning.linkage import Merge, average_linkage, cut
from bflmec.learning.rules import AggregationRules
from bflmec.registry import Registry

NOISE = -1


class Clusterer(Protocol):
    """A clustering algorithm.

    `deterministic` says that equal distances give equal labels on every machine; only such a one may serve a quorum.
    """

    deterministic: bool

    def cluster(self, distances: Distances) -> Int64:
        """A label ≥ 0 for each of n members, -1 for one that belongs to no cluster: int64 of shape (n,). The last
        member is the global gradient of the clustered set."""
        ...


clusterings: Registry[Callable[[AggregationRules], Clusterer]] = Registry("clusterings")


@clusterings.register("linkage-gap")
class LinkageGap:
    """Average linkage, cut at the widest relative gap between successive merge heights that exceeds `gap` and leaves a
    cluster of more than half of the others beside the global gradient. Without such a gap all are one cluster."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        self.gap = Fraction(repr(float(rules.gap)))

    def cluster(self, distances: Distances) -> Int64:
        merges = average_linkage(distances)
        return cut(merges, self._steps(merges, len(distances)), len(distances))

    def _steps(self, merges: list[Merge], count: int) -> int:
        best_steps, best_ratio = len(merges), self.gap
        largest = 1
        for steps, (merge, following) in enumerate(pairwise(merges), start=1):
            largest = max(largest, merge.size)
            if 2 * largest <= count + 1:  # the global gradient doesn't count towards the majority
                continue
            if following.height > best_ratio * merge.height:
                if merge.height == 0:
                    return steps
                best_steps, best_ratio = steps, following.height / merge.height
        return best_steps


@clusterings.register("dbscan")
class Dbscan:
    """DBSCAN of scikit-learn on the distances, the paper's choice.

    Without `eps` the radius is 1.3 times the median over members of the distance to their (n // 2)-th neighbour;
    without `min_samples` a core member has more than half of the others in reach.
    """

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        self.eps = rules.eps
        self.min_samples = rules.min_samples

    def cluster(self, distances: Distances) -> Int64:
        from sklearn.cluster import DBSCAN  # imported here: half a second that most commands don't need

        half = len(distances) // 2
        if self.eps is None:
            reach = np.sort(distances.values, axis=1)[:, half]
            radius = int(np.sort(reach)[len(reach) // 2]) * 13 // 10
        else:
            radius = math.floor(Fraction(self.eps) / Fraction(2) ** distances.exponent)
        labels: Int64 = (
            DBSCAN(eps=max(radius, 0.5), min_samples=self.min_samples or half + 1, metric="precomputed")
            .fit_predict(distances.values.astype(np.float64))
            .astype(np.int64)
        )
        return labels


@clusterings.register("none")
class NoClustering:
    """All members are one cluster: every contribution is high, as in federated averaging."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        pass

    def cluster(self, distances: Distances) -> Int64:
        return np.zeros(len(distances), np.int64)
