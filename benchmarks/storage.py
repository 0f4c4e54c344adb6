"""Puts and gets of blobs: what they cost each storage, beside the bare SHA-256 that none can do without.

    python benchmarks/storage.py
    python benchmarks/storage.py --daemon http://127.0.0.1:5001

CPU milliseconds of this process for one blob, and milliseconds that pass, disk and daemon included; medians. The
storages take turns. What was put into a daemon is not pinned: its next garbage collection removes it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from statistics import median

from bflmec.storage import BlobStorage, BlobStore, MemoryStore, storages

SIZES = {"logistic regression": 31_400, "1 MiB": 1 << 20, "CNN of 1.66 M": 6_653_480, "32 MiB": 32 << 20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--daemon", help="address of an IPFS daemon to measure, too")
    parser.add_argument("--repeats", type=int, default=7, help="blobs of each size (default 7)")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        stores: dict[str, BlobStorage] = {"memory": MemoryStore(), "embedded": BlobStore(folder)}
        if args.daemon:
            stores |= {name: storages.get(name)(args.daemon) for name in ("ipfs", "ipfs-http-client")}
        print(f"{'blob':<22}{'storage':<18}{'put CPU ms':>12}{'ms':>9}{'get CPU ms':>12}{'ms':>9}")
        for title, size in SIZES.items():
            blobs = [os.urandom(size) for _ in range(args.repeats)]
            hashing = median(timed(lambda blob=blob: sha256(blob))[0] for blob in blobs)
            print(f"{title:<22}{'SHA-256 alone':<18}{hashing:>12.2f}")
            rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in stores}
            for blob in blobs:
                for name, store in stores.items():
                    rows[name].append(put_and_get(store, blob))
            for name, taken in rows.items():
                put_cpu, put_ms, get_cpu, get_ms = (median(column) for column in zip(*taken, strict=True))
                print(f"{'':<22}{name:<18}{put_cpu:>12.2f}{put_ms:>9.2f}{get_cpu:>12.2f}{get_ms:>9.2f}")


def put_and_get(store: BlobStorage, blob: bytes) -> tuple[float, ...]:
    put = timed(lambda: store.put(blob))
    cid = store.put(blob)
    return *put, *timed(lambda: store.get(cid, len(blob)))


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """CPU milliseconds of this process, and milliseconds that pass."""
    cpu, wall = time.process_time(), time.perf_counter()
    call()
    return 1000 * (time.process_time() - cpu), 1000 * (time.perf_counter() - wall)


if __name__ == "__main__":
    main()
