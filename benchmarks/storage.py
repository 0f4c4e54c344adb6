"""Throughput of the embedded blob store, beside what the disk gives without it.

    python benchmarks/storage.py [--size-mib 50] [--rounds 5] [--folder DIR]

Each round writes fresh random bytes, so that nothing is stored before. Targets for 50 MiB: put 100 MB/s, get 300 MB/s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bflmec.files import write_atomically
from bflmec.storage import BlobStore


def seconds(action: Callable[[], object]) -> tuple[float, float]:
    """Elapsed and CPU seconds; the latter stay comparable on a busy machine."""
    start, start_cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - start, time.process_time() - start_cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size-mib", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where the temporary store goes")
    arguments = parser.parse_args()
    size = arguments.size_mib << 20
    rows: dict[str, list[tuple[float, float]]] = {"one file, fsync": [], "put": [], "put again": [], "get": []}
    for _ in range(arguments.rounds):
        data = os.urandom(size)
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            store = BlobStore(Path(name, "store"))
            rows["one file, fsync"].append(
                seconds(lambda data=data, name=name: write_atomically(Path(name, "f"), data))
            )
            rows["put"].append(seconds(lambda data=data, store=store: store.put(data)))
            rows["put again"].append(seconds(lambda data=data, store=store: store.put(data)))
            cid = store.put(data)
            rows["get"].append(seconds(lambda cid=cid, store=store: store.get(cid, size)))
    print(f"{'':16} MB/s   MB per CPU second   (medians of {arguments.rounds})")
    for what, times in rows.items():
        elapsed, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{what:16} {size / 1e6 / elapsed:4.0f} {size / 1e6 / cpu:10.0f}")


if __name__ == "__main__":
    main()
