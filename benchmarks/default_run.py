"""What the default run costs, what its trust costs, and what it reaches.

Alternates `bflmec run` with the same learning without chain, storage and signatures (bare_learning.py), each in a
process of its own on one thread, and prints CPU seconds, peak memory, their ratio and the accuracy for each seed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def run(*command: str) -> str:
    environment = os.environ | ONE_THREAD
    return subprocess.run(
        [sys.executable, *command], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def full(seed: int, settings: list[str]) -> dict[str, Any]:
    """The summary line of a default run."""
    with tempfile.TemporaryDirectory() as folder:
        changed = [part for setting in (f"seed={seed}", *settings) for part in ("--set", setting)]
        lines = run("-m", "bflmec", "run", "--json", "--out", str(Path(folder) / "run"), *changed).splitlines()
    summary: dict[str, Any] = json.loads(lines[-1])
    return summary


def bare(seed: int, settings: list[str]) -> dict[str, Any]:
    script = str(Path(__file__).with_name("bare_learning.py"))
    result: dict[str, Any] = json.loads(run(script, f"seed={seed}", *settings))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="seeds 1 to this one (default: 3)")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="configuration keys, as for bflmec run")
    arguments = parser.parse_args()
    ratios, costs = [], []
    print("seed  accuracy  clients   CPU s    MB   bare CPU s  bare accuracy  cost of trust")
    for seed in range(1, arguments.seeds + 1):
        done, reference = full(seed, arguments.settings), bare(seed, arguments.settings)
        costs.append(done["cpu_seconds"])
        ratios.append(done["cpu_seconds"] / reference["cpu_seconds"])
        print(
            f"{seed:4d}  {done['accuracy']:8.4f}  {done['client_accuracy']:7.4f}  {costs[-1]:6.1f}"
            f"  {done['peak_memory'] / 2**20:4.0f}  {reference['cpu_seconds']:10.1f}  {reference['accuracy']:13.4f}"
            f"  {ratios[-1]:13.2f}",
            flush=True,
        )
    print(f"median CPU {statistics.median(costs):.1f} s, median cost of trust {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
