"""The measurements in a summary line, as typed values."""

from __future__ import annotations

import msgspec

from bflmec.errors import RunDirectoryError
from bflmec.runs.metrics import Metrics
from bflmec.simulation.measurements import Asynchrony


class Measured(msgspec.Struct, frozen=True):
    """What `bflmec.simulation.measurements.Measurements.summary` wrote: latencies in seconds by the paper's symbols."""

    latencies: dict[str, float]
    asynchrony: Asynchrony
    uploads_cut_off: int
    uploads_failed: int
    updates_averaged: int


def measured(metrics: Metrics) -> Measured | None:
    """The measurements of a finished run, None while there is no summary. Raises RunDirectoryError if they are not of
    their types."""
    if metrics.summary is None:
        return None
    try:
        return msgspec.convert(metrics.summary.measurements, Measured)
    except msgspec.ValidationError as error:
        raise RunDirectoryError(
            f"the summary in metrics.jsonl is damaged: {error}; delete the file and resume the run"
        ) from error
