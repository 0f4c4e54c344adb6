import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from bflmec.errors import ConfigError
from bflmec.learning.partition import Dirichlet, Iid, Partition, Shard, create_partition, hold_out, partitions

DIGITS = load_digits().target
EVERY_PARTITION = st.one_of(st.just(Iid()), st.floats(1e-4, 1e3).map(Dirichlet), st.integers(1, 4).map(Shard))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Partition, np.ndarray, int, int]:
    labels = np.array(draw(st.lists(st.integers(0, 9), min_size=4, max_size=120)))
    per_client = draw(st.integers(4, len(labels)))
    return draw(EVERY_PARTITION), labels, draw(st.integers(1, len(labels) // per_client)), per_client


@given(cases(), st.integers(0, 5))
def test_every_client_gets_as_many_samples_as_asked_and_no_sample_twice(case: tuple, seed: int) -> None:
    partition, labels, clients, per_client = case
    parts = partition(np.random.default_rng(seed), labels, clients, per_client)
    assert [len(own) for own in parts] == [per_client] * clients
    owned = np.concatenate(parts)
    assert len(set(owned.tolist())) == len(owned)
    assert set(owned.tolist()) <= set(range(len(labels)))


@given(cases(), st.integers(0, 5))
def test_the_same_seed_gives_the_same_partition(case: tuple, seed: int) -> None:
    partition, labels, clients, per_client = case
    first, second = (partition(np.random.default_rng(seed), labels, clients, per_client) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_another_seed_gives_another_partition() -> None:
    first, second = (np.concatenate(Iid()(np.random.default_rng(seed), DIGITS, 10, 100)) for seed in (0, 1))
    assert not np.array_equal(first, second)


def purity(parts: list[np.ndarray]) -> float:
    """The mean share of the commonest label among a client's."""
    return float(np.mean([np.bincount(DIGITS[own]).max() / len(own) for own in parts]))


def test_a_smaller_alpha_gives_purer_clients() -> None:
    shares = [purity(Dirichlet(alpha)(np.random.default_rng(0), DIGITS, 20, 50)) for alpha in (100.0, 1.0, 0.1)]
    assert shares == sorted(shares)
    assert shares[0] < 0.25
    assert shares[-1] > 0.6


@pytest.mark.parametrize("alpha", [1e-300, 1e-9, 1e300])
def test_an_extreme_alpha_still_fills_every_client(alpha: float) -> None:
    parts = Dirichlet(alpha)(np.random.default_rng(0), DIGITS, 17, 105)
    assert [len(own) for own in parts] == [105] * 17


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_shard_client_sees_about_k_classes(k: int) -> None:
    parts = Shard(k)(np.random.default_rng(0), DIGITS, 20, 60)
    classes = [len(set(DIGITS[own])) for own in parts]
    assert np.mean(classes) <= k + 0.8
    assert max(classes) <= 2 * k


def test_few_shard_clients_cover_all_classes() -> None:
    parts = Shard(2)(np.random.default_rng(0), DIGITS, 10, 60)
    assert set(DIGITS[np.concatenate(parts)]) == set(range(10))


def test_iid_clients_see_every_class() -> None:
    parts = Iid()(np.random.default_rng(0), DIGITS, 10, 150)
    assert all(set(DIGITS[own]) == set(range(10)) for own in parts)


@pytest.mark.parametrize("name", partitions.names())
@pytest.mark.parametrize(("clients", "per_client"), [(0, 10), (10, 0), (-1, 10), (100, 18)])
def test_impossible_sizes_are_refused(name: str, clients: int, per_client: int) -> None:
    with pytest.raises(ConfigError):
        create_partition(name)(np.random.default_rng(0), DIGITS, clients, per_client)


def test_too_many_samples_per_client_names_the_most_that_is_possible() -> None:
    with pytest.raises(ConfigError, match="at most 17 samples per client"):
        Iid()(np.random.default_rng(0), DIGITS, 100, 600)


def test_more_shards_than_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match="can't be made of 6 shards"):
        Shard(6)(np.random.default_rng(0), DIGITS, 10, 5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dirichlt", {}, "did you mean 'dirichlet'"),
        ("dirichlet", {"alfa": 1.0}, "did you mean 'alpha'"),
        ("iid", {"alpha": 1.0}, "it has none"),
        ("dirichlet", {"alpha": 0.0}, "above 0"),
        ("dirichlet", {"alpha": float("nan")}, "above 0"),
        ("dirichlet", {"alpha": "much"}, "above 0"),
        ("shard", {"k": 0}, "at least 1"),
        ("shard", {"k": 2.5}, "whole number"),
    ],
)
def test_bad_names_and_options_are_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_partition(name, options)


@given(st.integers(2, 300), st.floats(0.001, 0.999), st.integers(0, 5))
def test_hold_out_splits_without_loss_and_leaves_both_sides_something(size: int, fraction: float, seed: int) -> None:
    own = np.random.default_rng(seed).permutation(1000)[:size]
    split = hold_out(np.random.default_rng(seed), own, fraction)
    assert sorted([*split.train, *split.held_out]) == sorted(own)
    assert min(len(split.train), len(split.held_out)) >= 1
    assert abs(len(split.held_out) - fraction * size) <= 1


def test_hold_out_keeps_the_order_of_what_is_left() -> None:
    split = hold_out(np.random.default_rng(0), np.arange(100))
    assert len(split.held_out) == 10
    assert (np.diff(split.train) > 0).all()


@pytest.mark.parametrize(("size", "fraction"), [(1, 0.1), (0, 0.1), (10, 0.0), (10, 1.0), (10, float("nan"))])
def test_impossible_hold_outs_are_refused(size: int, fraction: float) -> None:
    with pytest.raises(ConfigError):
        hold_out(np.random.default_rng(0), np.arange(size), fraction)
