"""The global update (Algorithm 3, lines 19-24) as one pure function that every edge node recomputes to the last bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from bflmec.errors import BlobError, GradientRejectedError
from bflmec.learning.aggregation import applied, clip_factors, weights_of
from bflmec.learning.clustering import NOISE
from bflmec.learning.contribution import Identification, Label, identify
from bflmec.learning.features import Distances, round_distances
from bflmec.learning.fixed_point import Float32, Int64, Quantised, mean, quantise, require_subnormals
from bflmec.learning.gram import UNIT, Gram, gram
from bflmec.learning.history import HistoryEntry, of_others
from bflmec.learning.pipeline import Pipeline
from bflmec.learning.rewards import apportion
from bflmec.learning.rules import AggregationRules


@dataclass(frozen=True, eq=False, slots=True)
class Contribution:
    """All local gradients of one client since the anchor, float32 of shape (P,) each, in ledger order; it counts once,
    with their mean. `client` is the client's account, 20 bytes."""

    client: bytes
    vectors: Sequence[Float32]


class Outcome(StrEnum):
    """How a global update came to its weights."""

    FAIR = "fair aggregation"
    GUARDED = "guarded average"
    """No cluster to trust: all are averaged, nobody is paid."""
    UNCHANGED = "unchanged"
    """Too few clients kept, or a sum out of range: the model stays as it is, nobody is paid."""


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Figures for reports; nothing is computed from them. Tuples have one value for each contribution."""

    clusters: tuple[int, ...]
    """Cluster of each new contribution, -1 for noise, then that of the global gradient of the clustered set."""
    cluster_sizes: tuple[int, ...]
    """Members of each cluster of the clustered set, the global gradient not counted."""
    distances: tuple[float, ...]
    """Distance to the global gradient of the clustered set."""
    cosines: tuple[float, ...]
    """Cosine to the global gradient of the clustered set."""
    norms: tuple[float, ...]
    clip_factors: tuple[float, ...]


@dataclass(frozen=True, eq=False, slots=True)
class GlobalUpdate:
    """TX_1 of a block, before it is encoded. Tuples have one value for each contribution, in the order given."""

    outcome: Outcome
    weights: Float32 = field(repr=False)
    """The new global gradient, float32 of shape (P,)."""
    labels: tuple[Label, ...]
    thetas: tuple[int, ...]
    """Integer θ of what was aggregated, 0 for the others."""
    rewards: tuple[tuple[bytes, int], ...]
    """The reward list: amounts > 0 that sum to exactly the base reward, or nothing."""
    entries: tuple[HistoryEntry, ...]
    """To be appended to the history."""
    diagnostics: Diagnostics


def global_update(
    anchor_weights: Float32,
    contributions: Sequence[Contribution],
    history: Sequence[HistoryEntry],
    rules: AggregationRules,
) -> GlobalUpdate:
    """Contribution identification and fair aggregation of everything recorded since the anchor.

    `anchor_weights` is the newest global gradient, float32 of shape (P,). `contributions` are in ledger order, one for
    each client. Of `history`, the newest entry of each other client counts, at most `rules.history` of them,
    and, if `rules.history_of` says so, only an accepted one. The result is the same to the last bit on every machine,
    with every BLAS and number of threads, if the plug-ins that `rules` name are deterministic.

    Raises BlobError if a vector is not finite float32 of shape (P,), GradientRejectedError without contributions or
    with two of one client, ConfigError for an unknown name in `rules`, RecomputationError if this process rounds
    subnormal numbers to zero.
    """
    pipeline = Pipeline.of(rules)
    require_subnormals()
    if rules.history_of == "accepted":
        history = [entry for entry in history if entry.accepted]
    recent = of_others(history, [contribution.client for contribution in contributions], rules.history)
    _check(anchor_weights, contributions, recent)

    count = len(contributions)
    vectors = [mean(contribution.vectors) for contribution in contributions]
    new = [quantise(vector) for vector in vectors]
    clustered = [*new, *(entry.delta for entry in recent)]
    products = gram([*clustered, pipeline.reference.compute(clustered)])
    distances = round_distances(pipeline.features.distances(products))
    clusters = pipeline.clusterer.cluster(distances)
    found = identify(clusters, count, rules)

    kept, thetas = _weigh(pipeline, products, found)
    factors = clip_factors([delta.norm for delta in new], _accepted_norms(new, found, recent), rules.clip)
    weights = None
    if len(kept) >= rules.k_min:
        shares = weights_of(thetas)
        scales = [float(share) * factors[i] for i, share in zip(kept, shares, strict=True)]
        combined = pipeline.combination.combine([vectors[i] for i in kept], scales, [factors[i] for i in kept])
        weights = applied(anchor_weights, combined, rules.mode)

    theta_of = dict(zip(kept, thetas, strict=True))
    return GlobalUpdate(
        outcome=Outcome.UNCHANGED if weights is None else Outcome.FAIR if found.accepted else Outcome.GUARDED,
        weights=anchor_weights.copy() if weights is None else weights,
        labels=found.labels,
        thetas=tuple(theta_of.get(i, 0) for i in range(count)),
        rewards=() if weights is None else _rewards(contributions, found, theta_of, rules.base_reward),
        entries=tuple(
            HistoryEntry(contribution.client, delta, label is Label.HIGH)
            for contribution, delta, label in zip(contributions, new, found.labels, strict=True)
        ),
        diagnostics=_diagnose(new, products, distances, clusters, factors),
    )


def _weigh(pipeline: Pipeline, products: Gram, found: Identification) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices of the contributions that are aggregated, and their θ: all alike if there is no cluster to trust."""
    if not found.accepted:
        everyone = tuple(range(len(found.labels)))
        return everyone, (1,) * len(everyone)
    kept = pipeline.strategy.keep(found.labels)
    return kept, pipeline.theta.weigh(products, kept) if kept else ()


def _accepted_norms(
    new: Sequence[Quantised], found: Identification, history: Sequence[HistoryEntry]
) -> tuple[float, ...]:
    """Norms of the high contributions, or of all new ones if there is no cluster to trust, and those of the history."""
    now = [delta for delta, label in zip(new, found.labels, strict=True) if label is Label.HIGH or not found.accepted]
    before = [entry.delta for entry in history if entry.accepted]
    return tuple(delta.norm for delta in (*now, *before))


def _rewards(
    contributions: Sequence[Contribution], found: Identification, theta_of: Mapping[int, int], base_reward: int
) -> tuple[tuple[bytes, int], ...]:
    high = [i for i in theta_of if found.labels[i] is Label.HIGH]
    amounts = apportion(base_reward, weights_of([theta_of[i] for i in high])) if high else ()
    return tuple((contributions[i].client, amount) for i, amount in zip(high, amounts, strict=True) if amount)


def _diagnose(
    new: Sequence[Quantised], products: Gram, distances: Distances, clusters: Int64, factors: tuple[float, ...]
) -> Diagnostics:
    count, members = len(new), clusters[:-1]
    to_reference = np.ldexp(distances.values[:count, -1].astype(np.float64), distances.exponent)
    return Diagnostics(
        clusters=(*members[:count].tolist(), int(clusters[-1])),
        cluster_sizes=tuple(np.bincount(members[members != NOISE]).tolist()),
        distances=tuple(to_reference.tolist()),
        cosines=tuple((products.cosines[:count, -1] / UNIT).tolist()),
        norms=tuple(delta.norm for delta in new),
        clip_factors=factors,
    )


def _check(anchor_weights: Float32, contributions: Sequence[Contribution], history: Sequence[HistoryEntry]) -> None:
    shape = anchor_weights.shape
    if anchor_weights.dtype != np.float32 or len(shape) != 1:
        raise BlobError(f"the anchor's weights must be a float32 vector, not {anchor_weights.dtype} of shape {shape}")
    if not contributions:
        raise GradientRejectedError("a global update needs local gradients; there are none since the anchor")
    if len({contribution.client for contribution in contributions}) < len(contributions):
        raise GradientRejectedError("a client counts once in a global update; put its local gradients together")
    for contribution in contributions:
        if not contribution.vectors:
            raise GradientRejectedError(f"client 0x{contribution.client.hex()} contributes no local gradient")
        for vector in contribution.vectors:
            if vector.dtype != np.float32 or vector.shape != shape:
                raise BlobError(
                    f"a local gradient of client 0x{contribution.client.hex()} is {vector.dtype} of shape "
                    f"{vector.shape}; the model needs float32 of shape {shape}"
                )
    for entry in history:
        if entry.delta.size != shape[0]:
            raise BlobError(f"a history entry has {entry.delta.size} values; the model has {shape[0]}")
