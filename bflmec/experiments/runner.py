"""Computes cells: those that are stored already are read, the others are spread over worker processes."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Protocol

from bflmec.experiments.cells import Cell, Tables
from bflmec.experiments.experiment import Experiment
from bflmec.experiments.library import dataset_of
from bflmec.experiments.store import CellResult, CellStore


class Watcher(Protocol):
    """Told what happens."""

    def begin(self, experiment: str, stored: int, missing: int) -> None: ...

    def done(self, cell: Cell, cpu_seconds: float) -> None: ...


def compute(
    experiment: Experiment, cells: Sequence[Cell], store: CellStore, workers: int, watcher: Watcher
) -> list[CellResult]:
    """The results of all cells, in their order. Each is stored as soon as it is there, so that whatever ends this loses
    only the cells that were being computed. Raises BFLMECError."""
    results = {cell.digest: result for cell in cells if (result := store.read(cell)) is not None}
    missing = [cell for cell in cells if cell.digest not in results]
    watcher.begin(experiment.name, len(cells) - len(missing), len(missing))
    for config in {cell.settings: cell.config() for cell in missing}.values():
        dataset_of(config)
    count = 1 if experiment.timed else min(workers, max(len(missing), 1))
    with _computations(experiment, missing, count) as computed:
        for cell, (seconds, tables) in computed:
            results[cell.digest] = store.write(cell, seconds, tables)
            watcher.done(cell, seconds)
    return [results[cell.digest] for cell in cells]


_Computed = tuple[Cell, tuple[float, Tables]]


@contextmanager
def _computations(experiment: Experiment, cells: Sequence[Cell], workers: int) -> Iterator[Iterator[_Computed]]:
    if workers == 1:
        yield ((cell, _measure(experiment.measure, cell)) for cell in cells)
        return
    # Forked, so that the data sets that are loaded already are shared.
    pool = ProcessPoolExecutor(workers, get_context("fork"), initializer=_ignore_interrupt)
    try:
        yield _spread(experiment, cells, pool, 2 * workers)
    except BaseException:
        _kill(pool)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _spread(
    experiment: Experiment, cells: Sequence[Cell], pool: ProcessPoolExecutor, ahead: int
) -> Iterator[_Computed]:
    waiting: dict[Future[tuple[float, Tables]], Cell] = {}
    queue = iter(cells)
    while True:
        while len(waiting) < ahead and (cell := next(queue, None)) is not None:
            waiting[pool.submit(_measure, experiment.measure, cell)] = cell
        if not waiting:
            return
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            yield waiting.pop(future), future.result()


def _measure(measure: Callable[[Cell], Tables], cell: Cell) -> tuple[float, Tables]:
    start = _cpu_seconds()
    tables = measure(cell)
    return _cpu_seconds() - start, tables


def _cpu_seconds() -> float:
    """Of this process and the children that it waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _ignore_interrupt() -> None:
    """The parent decides what Ctrl-C means; it reaches the whole process group."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ["OMP_NUM_THREADS"] = "1"


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.terminate()
