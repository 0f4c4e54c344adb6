"""What learning came to, global update by global update, and the figures that are read off such a curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bflmec.experiments.cells import Row
from bflmec.experiments.light_world import LightWorld
from bflmec.experiments.statistics import convergence, first_reaching
from bflmec.learning.contribution import Label
from bflmec.learning.global_update import Outcome

LAST = 5
"""Global updates whose accuracies are averaged to the final one."""
GOALS = (0.80, 0.85)
STORED = 25
"""So many points of a curve are stored, for the figures; all criteria are read off the whole curve."""
ENVELOPE = 4096
"""Bytes of an upload beside its blob, about: signature, public key and header."""


@dataclass(frozen=True, slots=True)
class Point:
    """After one global update: virtual time in seconds, samples and bytes that went into it and all before, accuracy of
    the global gradient on the test set, mean accuracy of the clients (the paper's Σ acc_i / n), contributions."""

    time: float
    samples: int
    sent: int
    accuracy: float
    client_accuracy: float
    high: int = 0
    low: int = 0
    paid: bool = False


def learn(world: LightWorld) -> list[Point]:
    """Runs the world to its end."""
    learning = world.config.learning
    per_update = learning.data_threshold + learning.strict_threshold
    upload = 4 * world.population.model.spec.size + ENVELOPE
    points = []
    for time, update in world.updates():
        measurements = world.simulation.measurements
        recorded = measurements.asynchrony().steps
        high = sum(label is Label.HIGH for label in update.labels)
        points.append(
            Point(
                time=time,
                samples=per_update * (recorded + measurements.updates_averaged),
                sent=upload * recorded,
                accuracy=world.population.global_accuracy(update.weights),
                client_accuracy=world.population.mean_client_accuracy(world.simulation.held_weights()),
                high=high,
                low=len(update.labels) - high,
                paid=update.outcome is Outcome.FAIR,
            )
        )
    return points


def summary(points: Sequence[Point]) -> Row:
    """Final figures (means of the last five), when the curve converged, and when it reached 80 and 85 %."""
    accuracies = [point.accuracy for point in points]
    calm = convergence(accuracies)
    last = points[-LAST:]
    row: Row = {
        "accuracy": sum(point.accuracy for point in last) / len(last),
        "client_accuracy": sum(point.client_accuracy for point in last) / len(last),
        "converged_at": calm,
        "convergence_time": points[calm - 1].time if calm else None,
        "accuracy_at_convergence": accuracies[calm - 1] if calm else None,
        "time": points[-1].time,
        "samples": points[-1].samples,
        "sent": points[-1].sent,
        "low_share": sum(point.low for point in points) / max(sum(point.high + point.low for point in points), 1),
        "unpaid_updates": sum(not point.paid for point in points),
    }
    for goal in GOALS:
        reached = first_reaching(accuracies, goal)
        row[f"time_to_{goal:.0%}"] = None if reached is None else points[reached].time
    return row


def rows(points: Sequence[Point]) -> list[Row]:
    """At most `STORED` points, evenly over the global updates, the last one included."""
    step = max(1, len(points) // STORED)
    return [
        {
            "update": index + 1,
            "time": point.time,
            "samples": point.samples,
            "sent": point.sent,
            "accuracy": point.accuracy,
            "client_accuracy": point.client_accuracy,
        }
        for index, point in enumerate(points)
        if (len(points) - 1 - index) % step == 0
    ]
