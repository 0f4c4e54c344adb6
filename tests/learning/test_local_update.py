import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.errors import ConfigError, DataError
from bflmec.learning.local_update import LocalTask, LocalUpdateRules, local_update, local_updates
from bflmec.learning.models import create_model
from bflmec.learning.schedule import Schedule

MODEL = create_model("logistic", 12, 5)
RULES = LocalUpdateRules(learning_rate=0.1, epochs=2, batch_size=4)


def task(samples: int, seed: int) -> LocalTask:
    rng = np.random.default_rng(seed)
    base = rng.normal(0, 0.1, MODEL.spec.size).astype(np.float32)
    return LocalTask(base, rng.random((samples, 12), np.float32), rng.integers(0, 5, samples), rng)


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 50))
def test_every_epoch_visits_every_sample_once(samples: int, epochs: int, batch_size: int) -> None:
    schedule = Schedule.draw(np.random.default_rng(0), samples, epochs, batch_size)
    batches = list(schedule.batches(0))
    each = math.ceil(samples / batch_size)
    assert len(batches) == epochs * each
    for epoch in range(epochs):
        visited = batches[epoch * each : (epoch + 1) * each]
        assert sorted(np.concatenate(visited)) == list(range(samples))
        assert all(len(batch) == batch_size for batch in visited[:-1])


def test_epochs_and_clients_have_orders_of_their_own() -> None:
    rng = np.random.default_rng(0)
    orders = Schedule.stack([Schedule.draw(rng, 50, 3, 10) for _ in range(2)]).orders
    assert len({order.tobytes() for client in orders for order in client}) == 6


@pytest.mark.parametrize(("samples", "epochs", "batch_size"), [(0, 1, 1), (1, 0, 1), (1, 1, 0), (5, 1, -1)])
def test_impossible_schedules_are_refused(samples: int, epochs: int, batch_size: int) -> None:
    with pytest.raises(ConfigError):
        Schedule.draw(np.random.default_rng(0), samples, epochs, batch_size)


def test_only_schedules_alike_can_be_stacked() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="same epochs, samples and batch size"):
        Schedule.stack([Schedule.draw(rng, 5, 2, 2), Schedule.draw(rng, 6, 2, 2)])


def test_many_clients_with_different_numbers_of_samples_get_what_each_gets_alone() -> None:
    sizes = [9, 5, 9, 1] * 12
    together = local_updates(MODEL, [task(size, seed) for seed, size in enumerate(sizes)], RULES)
    alone = [local_update(MODEL, task(size, seed), RULES) for seed, size in enumerate(sizes)]
    assert len(together) == len(sizes)
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))


def test_no_client_no_update() -> None:
    assert local_updates(MODEL, [], RULES) == []


def test_the_update_depends_on_the_seed_of_the_client() -> None:
    one = task(9, seed=0)
    results = [
        local_update(MODEL, LocalTask(one.base, one.x, one.y, np.random.default_rng(seed)), RULES) for seed in (1, 1, 2)
    ]
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"learning_rate": -1.0},
        {"learning_rate": math.inf},
        {"learning_rate": math.nan},
        {"epochs": 0},
        {"batch_size": 0},
        {"proximal": -0.1},
        {"proximal": math.nan},
    ],
    ids=str,
)
def test_impossible_rules_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        LocalUpdateRules(**wrong)


GOOD = task(9, 0)


@pytest.mark.parametrize(
    ("base", "x", "y"),
    [
        (GOOD.base[:-1], GOOD.x, GOOD.y),
        (GOOD.base, GOOD.x[:, :-1], GOOD.y),
        (GOOD.base, GOOD.x[:-1], GOOD.y),
        (GOOD.base, GOOD.x[:0], GOOD.y[:0]),
        (GOOD.base, GOOD.x, np.full(9, 5)),
        (GOOD.base, GOOD.x, np.full(9, -1)),
    ],
    ids=["parameters", "features", "samples", "nothing", "label too large", "label too small"],
)
def test_samples_that_do_not_fit_the_model_are_refused(base: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(DataError):
        local_update(MODEL, LocalTask(base, x, y, np.random.default_rng(0)), RULES)
