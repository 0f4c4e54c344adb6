"""A run directory with metrics that look like those of a real run, made in milliseconds."""

from __future__ import annotations

import random
from hashlib import sha256
from pathlib import Path

from bflmec.configuration import load
from bflmec.configuration.sections import TOKEN
from bflmec.runs.directory import RunDirectory
from bflmec.runs.metrics import BlockMetrics, MetricsWriter, Summary, UpdateMetrics

MEASUREMENTS = {
    "latencies": {"T_local": 0.191, "T_sign": 0.085, "T_up": 0.28, "T_ex": 0.052, "T_gl": 0.03, "T_bl": 0.97},
    "asynchrony": {
        "steps": 1000,
        "unfinished": 12,
        "concurrency_max": 31,
        "concurrency": 9.5,
        "delay": 9.4,
        "predicted_delay": 9.41,
        "staleness": 0.8,
    },
    "uploads_cut_off": 7,
    "uploads_failed": 0,
    "updates_averaged": 40,
}


def sample_run(path: Path, *, clients: int = 100, updates: int = 100, finished: bool = True) -> RunDirectory:
    """A run of `clients` clients after `updates` global updates of ten local gradients, two blocks each."""
    directory = RunDirectory.create(path, load(settings=[f"clients={clients}", f"aggregations={max(updates, 1)}"]))
    chance = random.Random(7)
    accounts = [sha256(bytes([i // 256, i % 256])).digest()[:20].hex() for i in range(clients)]
    writer = MetricsWriter(directory.metrics_file)
    time = 60.0
    for number in range(1, 2 * updates + 1):
        time += chance.expovariate(1 / 12)
        update = _update(chance, accounts, number // 2) if number % 2 == 0 else None
        digest = sha256(number.to_bytes(4, "big")).hexdigest()
        writer.block(BlockMetrics(number, time, digest, 1 + number % 2, 5, 80_000 + number, update))
    if finished:
        writer.summary(
            Summary(
                aggregations=updates,
                blocks=2 * updates,
                local_gradients=10 * updates,
                time=time,
                accuracy=0.89,
                client_accuracy=0.87,
                rewards=str(updates * 100 * TOKEN),
                cpu_seconds=21.4,
                peak_memory=412 * 2**20,
                measurements=MEASUREMENTS,
            )
        )
    writer.close()
    directory.unlock()
    return directory


def _update(chance: random.Random, accounts: list[str], number: int) -> UpdateMetrics:
    honest = accounts[: len(accounts) - len(accounts) // 20]
    paid = chance.sample(honest, min(10, len(honest)))
    accuracy = 0.9 - 0.75 * 0.93**number + chance.gauss(0, 0.006)
    return UpdateMetrics(
        accuracy=accuracy,
        client_accuracy=accuracy - 0.03,
        outcome="fair aggregation",
        high=len(paid),
        low=1,
        rewards={account: str(100 * TOKEN // len(paid)) for account in paid},
    )
