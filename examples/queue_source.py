"""Samples arrive on a queue, as from a sensor; a worker learns from them.

    python examples/queue_source.py WALLET [UPDATES]

The ledger's model has to take what arrives: here scikit-learn's handwritten digits, 64 features and 10 classes
(`dataset = "digits"` in the ledger's configuration).
"""

from __future__ import annotations

import queue
import sys
import threading

from sklearn.datasets import load_digits

from bflmec.client import Progress, QueueSource, Wallet, Worker


def sense(samples: queue.Queue, stopped: threading.Event, seed: int) -> None:
    """The device: another thread that measures, scales to [0, 1] and labels, until it is told to stop."""
    import numpy as np

    digits = load_digits()
    rng = np.random.default_rng(seed)
    while not stopped.is_set():
        index = rng.integers(len(digits.target))
        try:
            samples.put((digits.data[index] / 16, digits.target[index]), timeout=0.1)
        except queue.Full:
            continue  # the worker trains just now; a device that can't wait would drop the measurement here


def report(progress: Progress) -> None:
    if progress.filed is not None:
        print(f"edge node {progress.filed.edge_node} keeps {progress.filed.updates} local updates", flush=True)


def main(folder: str, updates: int = 10) -> None:
    samples: queue.Queue = queue.Queue(maxsize=256)  # bounded: what does not fit has to wait
    stopped = threading.Event()
    with Wallet.open(folder) as wallet:
        wallet.register()
        device = threading.Thread(target=sense, args=(samples, stopped, wallet.account[0]))
        device.start()
        try:
            Worker(wallet, updates=updates, report=report).run(QueueSource(samples))
        finally:
            stopped.set()
            device.join()
        print(f"earned {wallet.status().earned or 0} units so far")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))
