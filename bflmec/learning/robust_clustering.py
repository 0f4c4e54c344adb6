"""Selections and clusterings from elsewhere, to compare with: Krum, Multi-Krum, k-means, agglomerative, HDBSCAN."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bflmec.errors import ConfigError
from bflmec.learning.clustering import NOISE, clusterings
from bflmec.learning.combinations import byzantine_count
from bflmec.learning.features import Distances
from bflmec.learning.fixed_point import Int64
from bflmec.learning.linkage import average_linkage, cut
from bflmec.learning.rules import AggregationRules

Exact = NDArray[np.object_]
"""Python integers: squares of distances are too large for 64 bits."""


def _squares(distances: Distances) -> Exact:
    exact = distances.values.astype(object)
    squares: Exact = exact * exact
    return squares


def krum_scores(squares: Exact, hostile: int) -> list[int]:
    """Each member's sum of squared distances to its n − f − 2 nearest others, at least one (Blanchard et al. 2017)."""
    near = max(len(squares) - hostile - 2, 1)
    return [sum(sorted(int(d) for j, d in enumerate(row) if j != i)[:near]) for i, row in enumerate(squares)]


class _Chosen:
    """The members with the lowest Krum scores are one cluster with the global gradient, the others noise."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        self._rules = rules

    def count(self, members: int, hostile: int) -> int:
        raise NotImplementedError

    def cluster(self, distances: Distances) -> Int64:
        members = len(distances) - 1
        hostile = byzantine_count(self._rules, members)
        scores = krum_scores(_squares(distances)[:-1, :-1], hostile)
        order = sorted(range(members), key=lambda member: (scores[member], member))
        labels = np.full(len(distances), NOISE, np.int64)
        labels[[*order[: self.count(members, hostile)], members]] = 0
        return labels


@clusterings.register("krum")
class Krum(_Chosen):
    """The one member that is nearest to its neighbours (Blanchard et al. 2017). Asks for `features = "euclidean"`, no
    history, no majority and k_min 1."""

    def count(self, members: int, hostile: int) -> int:
        return 1


@clusterings.register("multi-krum")
class MultiKrum(_Chosen):
    """The n − f members with the lowest Krum scores (Blanchard et al. 2017); takes the same settings as `krum`."""

    def count(self, members: int, hostile: int) -> int:
        return members - hostile


@clusterings.register("agglomerative")
class Agglomerative:
    """Average linkage, merged until the option `clusters` (2) are left."""

    deterministic = True

    def __init__(self, rules: AggregationRules) -> None:
        self.clusters = _clusters(rules)

    def cluster(self, distances: Distances) -> Int64:
        count = len(distances)
        return cut(average_linkage(distances), max(count - self.clusters, 0), count)


@clusterings.register("k-means")
class KMeans:
    """Lloyd's algorithm on the distances, read as Euclidean ones, with the option `clusters` (2). It starts from the
    member nearest to all others, then the ones farthest from what is chosen, in exact integers throughout."""

    deterministic = True

    ROUNDS = 100

    def __init__(self, rules: AggregationRules) -> None:
        self.clusters = _clusters(rules)

    def cluster(self, distances: Distances) -> Int64:
        squares = _squares(distances)
        labels = self._nearest(squares[:, self._seeds(squares)])
        for _ in range(self.ROUNDS):
            following = self._nearest(_to_means(squares, labels, self.clusters))
            if np.array_equal(following, labels):
                break
            labels = following
        return labels

    def _seeds(self, squares: Exact) -> list[int]:
        sums = squares.sum(axis=1)
        seeds = [min(range(len(squares)), key=lambda member: (sums[member], member))]
        while len(seeds) < min(self.clusters, len(squares)):
            nearest = squares[:, seeds].min(axis=1)
            seeds.append(max(range(len(squares)), key=lambda member: (nearest[member], -member)))
        return seeds

    @staticmethod
    def _nearest(to_centres: Exact) -> Int64:
        return np.array([min(range(len(row)), key=lambda c: (row[c], c)) for row in to_centres], np.int64)


def _to_means(squares: Exact, labels: Int64, clusters: int) -> Exact:
    """Squared distances to the cluster means, times a common factor that keeps them whole:
    ‖x − mean‖² = Σ_j d²(x, j) / c − Σ_jk d²(j, k) / 2c². An empty cluster is farther than anything."""
    sizes = [int((labels == cluster).sum()) for cluster in range(clusters)]
    common = 2
    for size in sizes:
        common *= max(size, 1) ** 2
    columns = []
    for cluster, size in enumerate(sizes):
        own = labels == cluster
        if not size:
            columns.append(np.array([common * (1 << 80)] * len(labels), object))
            continue
        within = int(squares[np.ix_(own, own)].sum())
        columns.append(squares[:, own].sum(axis=1) * (common // size) - within * (common // (2 * size * size)))
    return np.stack(columns, axis=1)


@clusterings.register("hdbscan")
class Hdbscan:
    """HDBSCAN of scikit-learn (Campello et al. 2013) on the distances; a cluster has more than a third of the members,
    or as many as `min_samples` says."""

    deterministic = False  # it sorts by floating-point keys with a sort that is free to order ties as it likes

    def __init__(self, rules: AggregationRules) -> None:
        self.min_samples = rules.min_samples

    def cluster(self, distances: Distances) -> Int64:
        from sklearn.cluster import HDBSCAN  # imported here: half a second that most commands don't need

        size = max(2, self.min_samples or len(distances) // 3 + 1)
        found = HDBSCAN(
            min_cluster_size=size, min_samples=2, metric="precomputed", allow_single_cluster=True, copy=True
        )
        labels: Int64 = found.fit_predict(distances.values.astype(np.float64)).astype(np.int64)
        return labels


def _clusters(rules: AggregationRules) -> int:
    clusters = rules.options.get("clusters", 2)
    if not isinstance(clusters, int) or clusters < 1:
        raise ConfigError(f"the option clusters must be a whole number of at least 1, not {clusters!r}")
    return clusters
