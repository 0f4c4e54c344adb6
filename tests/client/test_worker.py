"""A worker: samples arrive, updates are trained, what was learned is sent when it can be."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from client_world import ClientWorld
from numpy.typing import NDArray

from bflmec.client import ArraySource, AsyncWallet, AsyncWorker, LoaderSource, Progress, QueueSource, Worker
from bflmec.client.filing import Filed
from bflmec.client.sources import share_of
from bflmec.errors import ConfigError, DataError, NoEdgeNodeError
from bflmec.learning.datasets import load_dataset

DEADLINE = 60.0


@pytest.fixture(scope="module")
def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    dataset = load_dataset("digits")
    return dataset.train_x[:100], dataset.train_y[:100]


Digits = tuple[NDArray[np.float32], NDArray[np.int64]]


def updates_of(world: ClientWorld) -> int:
    """Local updates in the cache pools, each local gradient once."""
    headers = {item.gradient.digest: item.gradient.header for edge in world.edges for item in edge.node.pool}
    return sum(header.updates for header in headers.values())


def test_a_worker_trains_whenever_enough_samples_have_come(world: ClientWorld, digits: Digits) -> None:
    events: list[Progress] = []
    wallet = world.wallet()
    x, y = digits
    Worker(wallet, report=events.append).run(ArraySource(x[:59], y[:59], repeat=False))
    assert [event.number for event in events if event.event == "trained"] == [1, 2]
    assert wallet.status().pending == 0
    assert updates_of(world) == 2


def test_what_is_trained_lowers_the_loss(world: ClientWorld, digits: Digits) -> None:
    from bflmec.learning.evaluation import accuracy

    wallet = world.wallet()
    Worker(wallet, updates=1).run(ArraySource(*digits))
    (item,) = [item for edge in world.edges for item in edge.node.pool]
    weights = world.genesis.initial + item.gradient.vector
    x, y = digits[0][:20], digits[1][:20]
    assert accuracy(world.genesis.model, weights, x, y) > accuracy(world.genesis.model, world.genesis.initial, x, y)


def test_without_a_connection_it_trains_on_and_sends_the_average(world: ClientWorld, digits: Digits) -> None:
    wallet = world.wallet()
    wallet.latest_global_gradient()
    for edge in world.edges:
        edge.down = True
    trained: list[int] = []

    def back_in_reach(progress: Progress) -> None:
        if progress.event == "trained":
            trained.append(progress.number)
            if len(trained) == 3:
                for edge in world.edges:
                    edge.down = False

    Worker(wallet, updates=3, report=back_in_reach).run(ArraySource(*digits))
    (gradient,) = wallet._store.filed()
    assert (gradient.header.sequence, gradient.header.updates) == (1, 3)


def test_a_worker_that_is_stopped_leaves_what_is_pending_to_the_next(world: ClientWorld, digits: Digits) -> None:
    wallet = world.wallet()
    wallet.latest_global_gradient()
    for edge in world.edges:
        edge.down = True
    worker = Worker(wallet, report=lambda progress: worker.stop() if progress.event == "trained" else None)
    worker.run(ArraySource(*digits))
    assert wallet.status().pending == 1
    for edge in world.edges:
        edge.down = False
    Worker(wallet).run([])
    assert wallet.status().pending == 0
    assert updates_of(world) == 1


def test_what_is_trained_while_it_looks_for_something_to_send_does_not_stay_behind(
    world: ClientWorld, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    wallet = world.wallet()
    looked, ended = threading.Event(), threading.Event()
    send_pending = wallet.send_pending

    def slow_look() -> Filed | None:
        found = send_pending()
        if not looked.is_set():  # nothing was pending; now the last update is trained
            looked.set()
            assert ended.wait(DEADLINE)
        return found

    def samples() -> Iterator[tuple[object, object]]:
        assert looked.wait(DEADLINE)
        yield from ArraySource(*digits)

    monkeypatch.setattr(wallet, "send_pending", slow_look)
    worker = Worker(wallet, updates=1)
    monkeypatch.setattr(worker._learned, "set", lambda: (threading.Event.set(worker._learned), ended.set()))
    worker.run(samples())
    assert wallet.status().pending == 0
    assert updates_of(world) == 1


def test_a_newer_global_gradient_is_read_before_training(world: ClientWorld, digits: Digits) -> None:
    others = [world.wallet(f"wallet-{number}") for number in range(3)]
    for salt, other in enumerate(others):
        other.submit(weights=world.weights(other, salt=salt))
    world.mine()
    wallet = world.wallet()
    Worker(wallet, updates=1).run(ArraySource(*digits))
    (gradient,) = wallet._store.filed()
    assert gradient.header.anchor == 1


def test_a_local_update_that_diverged_is_dropped(world: ClientWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    wallet = world.wallet()
    failures: list[Progress] = []
    monkeypatch.setattr("bflmec.client.worker.local_update", lambda model, task, rules: np.full_like(task.base, np.nan))
    Worker(wallet, updates=1, report=failures.append).run(ArraySource(np.zeros((20, 64)), np.zeros(20, int)))
    assert "diverged" in str(failures[-1].error)
    assert wallet.status().pending == 0


@pytest.mark.parametrize(
    "sample",
    [([0.0] * 63, 1), ([float("nan")] * 64, 1), ([0.0] * 64, 10), ([0.0] * 64, 0.5), ("text", 1)],
    ids=["features", "not finite", "class", "no class", "no numbers"],
)
def test_a_sample_that_does_not_fit_ends_the_worker(world: ClientWorld, sample: tuple[object, object]) -> None:
    with pytest.raises(DataError):
        Worker(world.wallet()).run([sample])


def test_what_the_source_raises_ends_the_worker_in_order(world: ClientWorld, digits: Digits) -> None:
    def broken() -> Iterator[tuple[object, object]]:
        yield from zip(digits[0][:20], digits[1][:20], strict=True)
        raise OSError("the sensor is gone")

    wallet = world.wallet()
    with pytest.raises(OSError, match="sensor"):
        Worker(wallet).run(broken())
    assert wallet.state._client.updates == 1
    assert threading.active_count() < 50


# ---------------------------------------------------------------- sources


def test_a_queue_is_a_source(world: ClientWorld, digits: Digits) -> None:
    samples: queue.Queue[tuple[object, object] | None] = queue.Queue(maxsize=5)

    def device() -> None:
        for sample in zip(*digits, strict=True):
            samples.put(sample)
        samples.put(None)

    thread = threading.Thread(target=device)
    thread.start()
    Worker(world.wallet()).run(QueueSource(samples))
    thread.join()
    assert updates_of(world) == 5


def test_batches_are_taken_apart(digits: Digits) -> None:
    x, y = digits
    batches = [(x[:3], y[:3]), (x[3:5], y[3:5])]
    single = list(LoaderSource(batches, epochs=2))
    assert [int(label) for _, label in single] == [*y[:5], *y[:5]]
    np.testing.assert_array_equal(single[3][0], x[3])


def test_shares_of_clients_have_no_sample_in_common(world: ClientWorld) -> None:
    dataset = load_dataset("digits")
    shares = [share_of(world.config, dataset, number, 4) for number in range(1, 5)]
    rows = [row.tobytes() + bytes([label]) for x, y in shares for row, label in zip(x, y, strict=True)]
    assert len(rows) == 4 * world.config.data.samples_per_client
    with pytest.raises(ConfigError):
        share_of(world.config, dataset, 5, 4)


# ---------------------------------------------------------------- asyncio


async def arriving(digits: Digits, count: int) -> AsyncIterator[tuple[object, object]]:
    for index in range(count):
        await asyncio.sleep(0)
        yield digits[0][index % len(digits[1])], digits[1][index % len(digits[1])]


def test_an_asynchronous_source_is_worked_through(world: ClientWorld, digits: Digits) -> None:
    wallet = world.wallet()
    asyncio.run(AsyncWorker(wallet).run(arriving(digits, 130)))
    assert wallet.state._client.updates == 6
    assert wallet.status().pending == 0


def test_an_asynchronous_worker_ends_after_its_updates(world: ClientWorld, digits: Digits) -> None:
    wallet = world.wallet()
    asyncio.run(AsyncWorker(wallet, updates=1).run(arriving(digits, 10_000_000)))
    assert wallet.state._client.updates == 1


def test_a_cancelled_worker_ends_in_order(world: ClientWorld, digits: Digits) -> None:
    wallet = world.wallet()

    async def cancelled() -> None:
        trained = asyncio.Event()
        loop = asyncio.get_running_loop()
        worker = AsyncWorker(wallet, report=lambda progress: loop.call_soon_threadsafe(trained.set))
        running = asyncio.create_task(worker.run(arriving(digits, 10_000_000)))
        await asyncio.wait_for(trained.wait(), DEADLINE)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancelled())
    assert not [thread for thread in threading.enumerate() if thread.name == "bflmec-upload"]


def test_what_an_asynchronous_source_raises_ends_the_worker(world: ClientWorld) -> None:
    async def broken() -> AsyncIterator[tuple[object, object]]:
        yield [0.0] * 64, 1
        raise OSError("the sensor is gone")

    with pytest.raises(OSError, match="sensor"):
        asyncio.run(AsyncWorker(world.wallet()).run(broken()))


def test_the_asynchronous_wallet_does_what_the_wallet_does(world: ClientWorld) -> None:
    others = [world.wallet(f"wallet-{number}") for number in range(2)]
    wallet = world.wallet()
    for salt, other in enumerate(others):
        other.submit(weights=world.weights(other, salt=salt))

    async def take_part() -> int:
        async with AsyncWallet(wallet) as own:
            world.wallets.remove(wallet)
            assert not await own.register()
            gradient = await own.latest_global_gradient()
            filed = await own.submit(delta=world.weights(wallet, salt=2) - gradient.weights)
            assert filed.sequence == 1
            await asyncio.to_thread(world.mine)
            assert await own.watch() == []
            assert await own.send_pending() is None
            owed = await own.claimable()
            assert await own.claim() == owed == await own.balance()
            proof = await own.audit_proof()
            assert len(proof.gradients) == (await own.status()).recorded == 1
            return owed

    assert asyncio.run(take_part()) > 0


def test_an_asynchronous_submission_that_fails_stays_pending(world: ClientWorld) -> None:
    wallet = world.wallet()
    weights = world.weights(wallet)
    for edge in world.edges:
        edge.down = True

    async def submit() -> None:
        with pytest.raises(NoEdgeNodeError):
            await AsyncWallet(wallet).submit(weights=weights)

    asyncio.run(submit())
    assert wallet.status().pending == 1
