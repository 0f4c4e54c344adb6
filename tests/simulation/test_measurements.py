"""Concurrency and delay (Definitions 1 and 2), against a count over the jobs' own histories."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.simulation.measurements import Latency, Measurements

CLIENTS = 4


@dataclass
class Job:
    """Steps before it began, and before and with its own recording."""

    began: int
    gradient: bytes = b""
    recorded: int | None = None


class Histories:
    """Plays random events into `Measurements` and keeps every job's history."""

    def __init__(self) -> None:
        self.measurements = Measurements()
        self.jobs: list[Job] = []
        self.open: dict[int, Job] = {}
        self.unsent = dict.fromkeys(range(CLIENTS), 0)
        self.steps = 0

    def begin(self, client: int) -> None:
        self.open[client] = Job(self.steps)
        self.jobs.append(self.open[client])

    def train(self, client: int) -> None:
        if not self.unsent[client]:
            self.begin(client)
        self.unsent[client] += 1
        self.measurements.training_started(client)

    def send(self, client: int, left: int) -> None:
        updates = self.unsent[client] - min(left, self.unsent[client] - 1)
        job = self.open.pop(client)
        job.gradient = len(self.jobs).to_bytes(4, "big") + bytes([client])
        self.measurements.acknowledged(client, job.gradient, updates)
        self.unsent[client] -= updates
        if self.unsent[client]:
            self.begin(client)

    def record(self, count: int) -> None:
        waiting = [job for job in self.jobs if job.gradient and job.recorded is None][:count]
        for job in waiting:
            self.steps += 1
            job.recorded = self.steps
        self.measurements.recorded(job.gradient for job in waiting)


events = st.lists(st.tuples(st.sampled_from("ttssr"), st.integers(0, CLIENTS - 1), st.integers(0, 2)), max_size=60)


@given(events)
def test_concurrency_and_delay_are_those_of_the_jobs(played: list[tuple[str, int, int]]) -> None:
    histories = Histories()
    for kind, client, amount in played:
        if kind == "t":
            histories.train(client)
        elif kind == "s" and histories.unsent[client]:
            histories.send(client, amount)
        elif kind == "r":
            histories.record(amount + 1)
    steps, jobs = histories.steps, histories.jobs
    under_way = [
        sum(job.began < step and (job.recorded is None or job.recorded >= step) for job in jobs)
        for step in range(1, steps + 1)
    ]
    unfinished = [job for job in jobs if job.recorded is None]
    delays = sum((steps if job.recorded is None else job.recorded) - job.began for job in jobs)
    measured = histories.measurements.asynchrony()
    assert (measured.steps, measured.unfinished) == (steps, len(unfinished))
    assert measured.concurrency_max == max(under_way, default=0)
    assert measured.concurrency == pytest.approx(sum(under_way) / (steps + 1), rel=1e-12)
    assert measured.delay == pytest.approx(delays / max(steps + len(unfinished) - 1, 1), rel=1e-12)
    assert measured.delay == pytest.approx(measured.predicted_delay, rel=1e-12)


def test_averaged_updates_are_counted() -> None:
    histories = Histories()
    for _ in range(3):
        histories.train(0)
    histories.send(0, 0)
    assert histories.measurements.updates_averaged == 2


def test_latencies_are_means_of_what_happened() -> None:
    measurements = Measurements()
    measurements.took(Latency.SIGN, 0.1)
    measurements.took(Latency.SIGN, 0.3)
    assert measurements.latencies() == {"T_sign": pytest.approx(0.2)}


def test_nothing_measured_is_nothing_to_divide_by() -> None:
    measured = Measurements().asynchrony()
    assert (measured.steps, measured.concurrency, measured.delay, measured.staleness) == (0, 0.0, 0.0, 0.0)


def test_staleness_is_a_mean() -> None:
    measurements = Measurements()
    measurements.aggregated([0, 1, 2])
    assert measurements.asynchrony().staleness == 1.0
