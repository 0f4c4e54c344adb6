"""The global update as a whole: Algorithm 4, Eq. II.4 and their guards."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bflmec.errors import BlobError, ConfigError, GradientRejectedError
from bflmec.learning.clustering import clusterings
from bflmec.learning.contribution import Label, thetas
from bflmec.learning.fixed_point import quantise
from bflmec.learning.global_update import Contribution, GlobalUpdate, Outcome, global_update
from bflmec.learning.history import HistoryEntry, advance
from bflmec.learning.pipeline import Pipeline
from bflmec.learning.rules import DEFAULT_RULES, PAPER_RULES, AggregationRules

SIZE = 64
ANCHOR = np.random.default_rng(99).standard_normal(SIZE).astype(np.float32)
BASE = DEFAULT_RULES.base_reward
SEEDS = st.integers(0, 2**32)


def client(number: int) -> bytes:
    return number.to_bytes(20, "big")


def honest(seed: int, count: int, size: int = SIZE) -> np.ndarray:
    """Deltas that share a direction and a length, as those of one task do."""
    rng = np.random.default_rng(seed)
    common = np.random.default_rng(1).standard_normal(size)
    return ((common + 0.7 * rng.standard_normal((count, size))) * rng.uniform(0.8, 1.25, (count, 1))).astype(np.float32)


def update(
    deltas: Sequence[np.ndarray], history: Sequence[HistoryEntry] = (), rules: AggregationRules = DEFAULT_RULES
) -> GlobalUpdate:
    contributions = [Contribution(client(i), [delta]) for i, delta in enumerate(deltas)]
    return global_update(np.zeros(len(deltas[0]), np.float32), contributions, history, rules)


def history_of(deltas: Sequence[np.ndarray], accepted: bool = True) -> list[HistoryEntry]:
    return [HistoryEntry(client(100 + i), quantise(delta), accepted) for i, delta in enumerate(deltas)]


def hostile_inputs(seed: int) -> list[np.ndarray]:
    """Honest deltas and, in any number, scaled, flipped, zero, tiny and huge ones."""
    rng = np.random.default_rng(seed)
    deltas = honest(seed, int(rng.integers(1, 12)))
    scales = rng.choice([1, 1, 1, -1, -5, 3, 0, 1e-38, 1e30], len(deltas))
    return [(delta * scale).astype(np.float32) for delta, scale in zip(deltas, scales, strict=True)]


def all_rules() -> list[AggregationRules]:
    keep = replace(DEFAULT_RULES, strategy="keep")
    dbscan = replace(DEFAULT_RULES, clustering="dbscan")
    return [DEFAULT_RULES, PAPER_RULES, keep, dbscan, replace(PAPER_RULES, strategy="keep", theta="uniform")]


@pytest.mark.parametrize("rules", all_rules())
@settings(max_examples=30)
@given(seed=SEEDS)
def test_rewards_sum_to_exactly_the_base_reward_or_to_nothing(rules: AggregationRules, seed: int) -> None:
    result = update(hostile_inputs(seed), rules=rules)
    amounts = [amount for _, amount in result.rewards]
    assert sum(amounts) == (BASE if amounts else 0)
    assert all(amount > 0 for amount in amounts)


@pytest.mark.parametrize("rules", all_rules())
@settings(max_examples=30)
@given(seed=SEEDS)
def test_only_high_contributions_are_paid(rules: AggregationRules, seed: int) -> None:
    result = update(hostile_inputs(seed), rules=rules)
    high = {client(i) for i, label in enumerate(result.labels) if label is Label.HIGH}
    assert {who for who, _ in result.rewards} <= high
    assert result.outcome is Outcome.FAIR or not result.rewards


@pytest.mark.parametrize("rules", all_rules())
@settings(max_examples=30)
@given(seed=SEEDS)
def test_weights_stay_finite_whatever_arrives(rules: AggregationRules, seed: int) -> None:
    assert np.isfinite(update(hostile_inputs(seed), rules=rules).weights).all()


@settings(max_examples=50)
@given(seed=SEEDS)
def test_one_update_moves_the_model_at_most_by_the_clip_bound(seed: int) -> None:
    result = update(hostile_inputs(seed), history_of(honest(seed + 1, 40)))
    accepted = [entry.delta.norm for entry in result.entries if entry.accepted]
    accepted += [entry.delta.norm for entry in history_of(honest(seed + 1, 40))]
    if result.outcome is Outcome.FAIR:
        assert np.linalg.norm(result.weights) <= 1.5 * np.median(accepted) * 1.001


@settings(max_examples=40)
@given(seed=SEEDS, scale=st.sampled_from([-100.0, -5.0, 5.0, 0.1, 1e6, 0.0]), with_history=st.booleans())
def test_a_minority_of_far_contributions_is_low(seed: int, scale: float, with_history: bool) -> None:
    deltas = honest(seed, 10)
    deltas[[2, 5, 9]] *= np.float32(scale)
    result = update(deltas, history_of(honest(seed + 1, 60)) if with_history else ())
    low = {i for i, label in enumerate(result.labels) if label is Label.LOW}
    assert low == {2, 5, 9}


def test_one_huge_contribution_does_not_hide_the_others() -> None:
    deltas = honest(3, 10)
    deltas[0] *= np.float32(1e6)
    deltas[1:3] *= np.float32(-5)
    assert [i for i, label in enumerate(update(deltas).labels) if label is Label.LOW] == [0, 1, 2]


def test_history_outvotes_a_window_full_of_far_contributions() -> None:
    deltas = honest(4, 10)
    deltas[:7] *= np.float32(-5)
    labels = update(deltas, history_of(honest(5, 60))).labels
    assert labels == (Label.LOW,) * 7 + (Label.HIGH,) * 3


def assert_same(one: GlobalUpdate, other: GlobalUpdate) -> None:
    assert one.weights.tobytes() == other.weights.tobytes()
    assert one.diagnostics == other.diagnostics


def test_only_the_last_entries_of_the_history_count() -> None:
    deltas, recent = honest(6, 10), history_of(honest(7, 60))
    old = [replace(entry, client=client(500 + i)) for i, entry in enumerate(history_of(honest(8, 90) * np.float32(-9)))]
    assert_same(update(deltas, recent), update(deltas, [*old, *recent]))


def test_of_each_client_only_the_newest_entry_of_the_history_counts() -> None:
    deltas, recent = honest(6, 10), history_of(honest(7, 30))
    old = history_of(honest(8, 30) * np.float32(-9))
    assert_same(update(deltas, recent), update(deltas, [*old, *recent]))


def test_the_history_of_the_contributing_clients_does_not_count() -> None:
    deltas, recent = honest(6, 10), history_of(honest(7, 30))
    own = [HistoryEntry(client(i), quantise(-delta), True) for i, delta in enumerate(deltas)]
    assert_same(update(deltas, recent), update(deltas, [*recent, *own]))


def test_a_burst_of_uploads_by_a_minority_of_the_clients_does_not_take_over_the_history() -> None:
    history = advance((), history_of(honest(27, 60)), 60)
    burst = honest(28, 20) * np.float32(-5)
    for start in (0, 10, 0, 10, 0, 10, 0, 10):
        entries = history_of(burst[start : start + 10], accepted=False)
        history = advance(history, [replace(e, client=client(900 + start + i)) for i, e in enumerate(entries)], 60)
    assert set(update(honest(29, 10), history).labels) == {Label.HIGH}
    assert set(update(burst[:10], history).labels) == {Label.LOW}


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(0, 12), st.integers(0, 30))
def test_the_history_keeps_the_newest_entry_of_each_of_the_last_clients(who: list[int], limit: int, split: int) -> None:
    delta = quantise(np.ones(1, np.float32))
    entries = [HistoryEntry(client(number), delta, bool(i % 2)) for i, number in enumerate(who)]
    newest = sorted({number: i for i, number in enumerate(who)}.values())
    expected = tuple(entries[i] for i in newest[max(len(newest) - limit, 0) :])
    assert advance(entries, (), limit) == expected
    if split < len(entries) and limit >= 10:
        assert advance(advance(entries[:split], (), limit), entries[split:], limit) == expected


@settings(max_examples=30)
@given(seed=SEEDS, power=st.integers(-40, 40))
def test_scaling_all_deltas_by_a_power_of_two_scales_the_update_and_nothing_else(seed: int, power: int) -> None:
    deltas = hostile_inputs(seed)
    deltas = [delta for delta in deltas if 1e-6 < np.abs(delta).max() < 1e6] or list(honest(seed, 3))
    plain, scaled = update(deltas), update([np.ldexp(delta, power) for delta in deltas])
    assert (scaled.labels, scaled.thetas, scaled.rewards) == (plain.labels, plain.thetas, plain.rewards)
    assert np.array_equal(scaled.weights, np.ldexp(plain.weights, power))


@settings(max_examples=30)
@given(seed=SEEDS, order=st.permutations(range(9)))
def test_permuting_the_clients_permutes_the_result(seed: int, order: list[int]) -> None:
    deltas = honest(seed, 9)
    deltas[:3] *= np.float32(-3)
    plain, permuted = update(deltas), update(deltas[order])
    assert permuted.labels == tuple(plain.labels[i] for i in order)
    assert permuted.thetas == tuple(plain.thetas[i] for i in order)
    assert permuted.weights == pytest.approx(plain.weights, rel=1e-6, abs=1e-6)


def test_the_weights_are_eq_ii_4() -> None:
    deltas = honest(9, 5)
    result = global_update(ANCHOR, [Contribution(client(i), [d]) for i, d in enumerate(deltas)], (), DEFAULT_RULES)
    shares = np.array(result.thetas) / sum(result.thetas)
    assert set(result.labels) == {Label.HIGH}
    assert result.weights == pytest.approx(ANCHOR + shares @ deltas.astype(float), rel=1e-6)


def test_theta_is_half_of_one_plus_the_cosine_to_the_mean_of_the_kept() -> None:
    deltas = honest(10, 6)
    deltas[0] *= np.float32(-8)
    result = update(deltas)
    kept = deltas[1:].astype(float)
    cosines = kept @ kept.mean(0) / np.linalg.norm(kept, axis=1) / np.linalg.norm(kept.mean(0))
    assert result.thetas[0] == 0
    assert np.array(result.thetas[1:]) / 2**31 == pytest.approx((1 + cosines) / 2, abs=1e-4)


def test_a_client_counts_once_with_the_mean_of_its_local_gradients() -> None:
    deltas = honest(11, 5)
    parts = [Contribution(client(0), [deltas[0] * np.float32(2), np.zeros(SIZE, np.float32)])]
    parts += [Contribution(client(i), [deltas[i]]) for i in range(1, 5)]
    result = global_update(np.zeros(SIZE, np.float32), parts, (), DEFAULT_RULES)
    assert result.weights.tobytes() == update(deltas).weights.tobytes()
    assert len(result.entries) == 5


def test_entries_for_the_history_are_the_quantised_contributions_with_their_labels() -> None:
    deltas = honest(12, 6)
    deltas[1] *= np.float32(50)
    result = update(deltas)
    assert [entry.delta for entry in result.entries] == [quantise(delta) for delta in deltas]
    assert [entry.accepted for entry in result.entries] == [True, False, True, True, True, True]
    assert [entry.client for entry in result.entries] == [client(i) for i in range(6)]


@given(SEEDS, st.booleans())
def test_a_history_entry_decodes_to_what_was_encoded(seed: int, accepted: bool) -> None:
    entry = HistoryEntry(client(seed), quantise(honest(seed, 1)[0]), accepted)
    assert HistoryEntry.decode(entry.encode(), SIZE) == entry


@given(st.binary(max_size=27), st.integers(1, 2))
def test_any_bytes_decode_to_exactly_one_history_entry_or_raise_the_typed_error(data: bytes, size: int) -> None:
    try:
        entry = HistoryEntry.decode(data, size)
    except BlobError:
        return
    assert entry.encode() == data


def test_with_fewer_kept_clients_than_k_min_the_model_stays_and_nobody_is_paid() -> None:
    deltas = honest(13, 2)
    contributions = [Contribution(client(i), [delta]) for i, delta in enumerate(deltas)]
    result = global_update(ANCHOR, contributions, (), DEFAULT_RULES)
    assert result.outcome is Outcome.UNCHANGED
    assert result.weights.tobytes() == ANCHOR.tobytes()
    assert result.weights is not ANCHOR
    assert result.rewards == ()


def test_when_every_new_contribution_is_low_nothing_is_averaged() -> None:
    result = update(honest(14, 5) * np.float32(-5), history_of(honest(15, 60)), replace(DEFAULT_RULES, k_min=1))
    assert set(result.labels) == {Label.LOW}
    assert result.outcome is Outcome.UNCHANGED
    assert not result.weights.any()
    assert result.rewards == ()


def test_without_a_majority_all_are_averaged_with_bounded_norms_and_nobody_is_paid() -> None:
    deltas = honest(16, 7)
    deltas[0] *= np.float32(1e3)
    scattered = replace(DEFAULT_RULES, clustering="dbscan", eps=1e-9, min_samples=2)
    result = update(deltas, rules=scattered)
    assert result.outcome is Outcome.GUARDED
    assert set(result.labels) == {Label.LOW}
    assert result.rewards == ()
    assert np.linalg.norm(result.weights) <= 1.5 * np.median(np.linalg.norm(deltas, axis=1)) * 1.001
    factors = np.array(result.diagnostics.clip_factors)
    assert result.weights == pytest.approx((deltas * factors[:, None]).mean(0), rel=1e-5, abs=1e-6)


def test_the_keep_strategy_aggregates_all_and_pays_the_high_ones() -> None:
    deltas = honest(17, 8)
    deltas[0] *= np.float32(-4)
    result = update(deltas, rules=replace(DEFAULT_RULES, strategy="keep"))
    assert result.labels == (Label.LOW,) + (Label.HIGH,) * 7
    assert result.thetas[0] > 0
    assert [who for who, _ in result.rewards] == [client(i) for i in range(1, 8)]
    assert sum(amount for _, amount in result.rewards) == BASE


def test_rewards_follow_theta() -> None:
    result = update(honest(18, 6))
    for (_, amount), theta in zip(result.rewards, result.thetas, strict=True):
        assert abs(amount - BASE * theta / sum(result.thetas)) < 1e5


def test_the_paper_preset_weighs_by_cosine_distance_to_the_simple_average() -> None:
    weights = (ANCHOR + 0.02 * honest(19, 8)).astype(np.float32)
    result = update(weights, rules=replace(PAPER_RULES, eps=2.0))
    mean = weights.astype(float).mean(0)
    distances = 1 - weights @ mean / np.linalg.norm(weights, axis=1) / np.linalg.norm(mean)
    assert set(result.labels) == {Label.HIGH}
    assert np.array(result.thetas) / 2**30 == pytest.approx(distances, abs=1e-6)
    assert result.weights == pytest.approx(distances / distances.sum() @ weights, rel=1e-2, abs=1e-3)


def test_the_paper_preset_averages_all_and_pays_nobody_if_the_global_gradient_is_noise() -> None:
    weights = np.eye(6, SIZE, dtype=np.float32) * 9
    result = update(weights, rules=PAPER_RULES)
    assert result.outcome is Outcome.GUARDED
    assert set(result.labels) == {Label.LOW}
    assert result.rewards == ()
    assert result.weights == pytest.approx(weights.mean(0))


def test_in_the_paper_preset_equal_contributions_share_equally() -> None:
    weights = np.tile(ANCHOR, (6, 1))
    result = update(weights, rules=replace(PAPER_RULES, base_reward=100))
    assert result.thetas == (0,) * 6
    assert [amount for _, amount in result.rewards] == [17, 17, 17, 17, 16, 16]
    assert result.weights == pytest.approx(ANCHOR, rel=1e-6)


def test_a_base_reward_of_zero_pays_nobody() -> None:
    assert update(honest(20, 5), rules=replace(DEFAULT_RULES, base_reward=0)).rewards == ()


def test_diagnostics_have_one_value_for_each_contribution() -> None:
    deltas = honest(21, 6)
    deltas[3] *= np.float32(9)
    found = update(deltas, history_of(honest(22, 10))).diagnostics
    assert found.cluster_sizes == (15, 1)
    assert found.clusters == (0, 0, 0, 1, 0, 0, 0)
    assert found.distances[3] == max(found.distances)
    assert found.norms == pytest.approx(np.linalg.norm(deltas, axis=1), rel=1e-3)
    assert found.clip_factors[3] < 1
    assert len(found.cosines) == 6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_local_gradient_that_is_not_finite_is_refused(value: float) -> None:
    deltas = honest(23, 4)
    deltas[2, 5] = value
    with pytest.raises(BlobError):
        update(deltas)


@pytest.mark.parametrize(
    "vector", [np.zeros(SIZE + 1, np.float32), np.zeros(SIZE), np.zeros((1, SIZE), np.float32)], ids=str
)
def test_a_local_gradient_of_another_shape_or_type_is_refused(vector: np.ndarray) -> None:
    contributions = [Contribution(client(i), [delta]) for i, delta in enumerate([*honest(24, 3), vector])]
    with pytest.raises(BlobError, match="float32"):
        global_update(ANCHOR, contributions, (), DEFAULT_RULES)


def test_a_history_of_another_model_is_refused() -> None:
    with pytest.raises(BlobError, match="history"):
        update(honest(25, 4), history_of(honest(25, 4, SIZE + 1)))


def test_anchor_weights_of_another_type_are_refused() -> None:
    with pytest.raises(BlobError, match="anchor"):
        global_update(ANCHOR.astype(float), [Contribution(client(0), [ANCHOR])], (), DEFAULT_RULES)


def test_two_contributions_of_one_client_are_refused() -> None:
    with pytest.raises(GradientRejectedError, match="once"):
        global_update(ANCHOR, [Contribution(client(1), [ANCHOR])] * 2, (), DEFAULT_RULES)


@pytest.mark.parametrize("contributions", [[], [Contribution(bytes(20), [])]], ids=["nobody", "nothing"])
def test_an_update_without_local_gradients_is_refused(contributions: list[Contribution]) -> None:
    with pytest.raises(GradientRejectedError):
        global_update(ANCHOR, contributions, (), DEFAULT_RULES)


def test_a_clustering_from_outside_takes_part_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class EvenOnly:
        deterministic = False

        def __init__(self, rules: AggregationRules) -> None:
            self.modulus = rules.options["modulus"]

        def cluster(self, distances: object) -> np.ndarray:
            labels = np.arange(len(distances)) % self.modulus  # type: ignore[arg-type]
            labels[-1] = 0
            return labels

    monkeypatch.setattr(clusterings, "_items", {**clusterings._items, "even-only": EvenOnly})
    rules = replace(DEFAULT_RULES, clustering="even-only", options={"modulus": 2}, require_majority=False)
    assert update(honest(26, 4), rules=rules).labels == (Label.HIGH, Label.LOW, Label.HIGH, Label.LOW)
    with pytest.raises(ConfigError, match="EvenOnly"):
        Pipeline.of(rules).require_deterministic()


@pytest.mark.parametrize("name", ["mean-cosine", "reference-distance", "uniform"])
def test_theta_is_never_negative(name: str) -> None:
    assert name in thetas.names()
    rules = replace(DEFAULT_RULES, theta=name, strategy="keep")
    for seed in range(20):
        assert min(update(hostile_inputs(seed), rules=rules).thetas) >= 0


def test_attackers_of_yesterday_don_t_count_towards_a_majority_in_a_history_of_accepted_ones() -> None:
    """Five honest contributions, three that are five times as long, and the histories of two that were found before."""
    deltas = [*honest(3, 5), *(5 * delta for delta in honest(4, 3))]
    found_before = history_of([5 * delta for delta in honest(5, 2)], accepted=False)
    everybody = update(deltas, found_before)
    accepted = update(deltas, found_before, replace(DEFAULT_RULES, history_of="accepted"))
    assert set(everybody.labels) == {Label.HIGH}, "half of ten is no majority, so nobody is told apart"
    assert accepted.labels == (Label.HIGH,) * 5 + (Label.LOW,) * 3


def test_whose_history_counts_is_a_rule_of_its_own() -> None:
    assert "history_of" not in DEFAULT_RULES.canonical()
    assert replace(DEFAULT_RULES, history_of="accepted").canonical()["history_of"] == "accepted"
    assert DEFAULT_RULES.canonical()["eps"] == "none"
    with pytest.raises(ConfigError, match="history_of"):
        replace(DEFAULT_RULES, history_of="some")
