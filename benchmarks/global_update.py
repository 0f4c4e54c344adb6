"""CPU time of one global update, 10 new contributions and 60 of the history: `python benchmarks/global_update.py`.

Every edge node computes it once for each anchor. The last two columns are what its two large parts take alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

from bflmec.learning.fixed_point import quantise
from bflmec.learning.global_update import Contribution, global_update
from bflmec.learning.gram import gram
from bflmec.learning.history import HistoryEntry
from bflmec.learning.references import references
from bflmec.learning.rules import DEFAULT_RULES

MODELS = {"logistic": 7_850, "mlp-200": 159_010, "mlp-200-200": 199_210, "CNN": 1_663_370}
NEW, HISTORY = 10, DEFAULT_RULES.history


def milliseconds(run: Callable[[], object], repeats: int) -> float:
    """The median CPU time of all threads."""
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return 1e3 * float(np.median(times[1:]))


def measure(size: int, repeats: int) -> tuple[float, float, float]:
    rng = np.random.default_rng(0)
    common = rng.standard_normal(size, np.float32)

    def delta() -> np.ndarray:
        return (common + rng.standard_normal(size, np.float32)) * np.float32(0.01)

    contributions = [Contribution(i.to_bytes(20, "big"), [delta()]) for i in range(NEW)]
    history = [HistoryEntry(i.to_bytes(20, "big"), quantise(delta()), True) for i in range(HISTORY)]
    weights = np.zeros(size, np.float32)
    clustered = [*(quantise(c.vectors[0]) for c in contributions), *(entry.delta for entry in history)]
    reference = references.get("median")(DEFAULT_RULES)
    return (
        milliseconds(lambda: global_update(weights, contributions, history, DEFAULT_RULES), repeats),
        milliseconds(lambda: gram(clustered), repeats),
        milliseconds(lambda: reference.compute(clustered), repeats),
    )


def main(names: list[str]) -> None:
    print(f"{'model':12} {'parameters':>10} {'global update':>14} {'Gram matrix':>12} {'median':>9}   CPU ms")
    for name in names or MODELS:
        size = MODELS[name]
        whole, products, median = measure(size, 15 if size < 10**6 else 3)
        print(f"{name:12} {size:10,} {whole:14.1f} {products:12.1f} {median:9.1f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
