"""The paper's quantities, measured in virtual time: latencies of §III, concurrency and delay of §II-E."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from statistics import fmean


class Latency(StrEnum):
    """The parts of the approximate performance (Figure 5), in seconds."""

    LOCAL = "T_local"
    SIGN = "T_sign"
    UPLOAD = "T_up"
    EXCHANGE = "T_ex"
    GLOBAL = "T_gl"
    BLOCK = "T_bl"


@dataclass(frozen=True)
class Asynchrony:
    """Concurrency and delay, both counted in recorded local gradients.

    A step is one recorded local gradient. A job is a local gradient from the start of its oldest local update, or from
    the sending of the client's previous one if that is later, until it is recorded; its delay is the number of steps in
    between, its own included. C_t are the jobs under way before step t. `concurrency` is the mean of |C_t|,
    `predicted_delay` what Theorem 1's relation makes of it: (T + 1) / (T + |C_T| - 1) * concurrency.
    """

    steps: int
    unfinished: int
    concurrency_max: int
    concurrency: float
    delay: float
    predicted_delay: float
    staleness: float
    """Mean number of global updates between a local gradient's anchor and the update that took it in."""


class Measurements:
    """Collects figures while a simulation runs."""

    def __init__(self) -> None:
        self._latencies: dict[Latency, list[float]] = defaultdict(list)
        self._steps = 0
        self._unsent: Counter[int] = Counter()
        self._started: dict[int, int] = {}
        self._sent: dict[bytes, int] = {}
        self._jobs = 0
        self._concurrency_sum = 0
        self._concurrency_max = 0
        self._delays = 0
        self._staleness: list[int] = []
        self.uploads_cut_off = 0
        self.uploads_failed = 0
        self.updates_averaged = 0

    def took(self, part: Latency, seconds: float) -> None:
        self._latencies[part].append(seconds)

    def training_started(self, client: int) -> None:
        self._unsent[client] += 1
        if self._unsent[client] == 1:
            self._started[client] = self._steps
            self._jobs += 1

    def acknowledged(self, client: int, gradient: bytes, updates: int) -> None:
        """A local gradient that averages the client's `updates` oldest local updates has its receipt."""
        self._sent[gradient] = self._started.pop(client)
        self._unsent[client] -= updates
        self.updates_averaged += updates - 1
        if self._unsent[client]:
            self._started[client] = self._steps
            self._jobs += 1

    def recorded(self, gradients: Iterable[bytes]) -> None:
        for gradient in gradients:
            self._concurrency_sum += self._jobs
            self._concurrency_max = max(self._concurrency_max, self._jobs)
            self._steps += 1
            self._jobs -= 1
            self._delays += self._steps - self._sent.pop(gradient)

    def aggregated(self, staleness: Iterable[int]) -> None:
        self._staleness.extend(staleness)

    def latencies(self) -> dict[str, float]:
        """Mean seconds of each part that happened at least once."""
        return {part.value: fmean(values) for part in Latency if (values := self._latencies.get(part))}

    def asynchrony(self) -> Asynchrony:
        waiting = [*self._started.values(), *self._sent.values()]
        pending = sum(self._steps - start for start in waiting)
        concurrency = self._concurrency_sum / (self._steps + 1)
        denominator = max(self._steps + self._jobs - 1, 1)
        return Asynchrony(
            steps=self._steps,
            unfinished=self._jobs,
            concurrency_max=self._concurrency_max,
            concurrency=concurrency,
            delay=(self._delays + pending) / denominator,
            predicted_delay=(self._steps + 1) / denominator * concurrency,
            staleness=fmean(self._staleness) if self._staleness else 0.0,
        )

    def summary(self) -> dict[str, object]:
        """Everything, as plain values for the metrics file."""
        return {
            "latencies": self.latencies(),
            "asynchrony": asdict(self.asynchrony()),
            "uploads_cut_off": self.uploads_cut_off,
            "uploads_failed": self.uploads_failed,
            "updates_averaged": self.updates_averaged,
        }
