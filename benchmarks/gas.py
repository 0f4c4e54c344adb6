"""Gas for everything that a local gradient costs on the ledger, measured in real runs.

Certificate of two edge nodes, transaction set, reward list and global update included; contract deployment and
registration are not. Without the archive, as on a public network, and with it, as on the embedded chain.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

SMALL = ["dataset=digits", "clients=100", "samples_per_client=14", "data_threshold=10"]
SLOW = ["arrival_rate=0.02", "record_after=100000"]  # so that blocks hold phi local gradients, hardly ever more


def gas_per_gradient(threshold: int, archive: bool, aggregations: int) -> tuple[float, float]:
    """Mean gas of a local gradient and of a block, over a run."""
    settings = [*SMALL, *SLOW, f"aggregation_threshold={threshold}", f"archive={str(archive).lower()}"]
    settings.append(f"aggregations={aggregations}")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bflmec", "run", "--json", "--out", str(Path(folder) / "run")]
        command += [part for setting in settings for part in ("--set", setting)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    blocks = [line for line in map(json.loads, output.splitlines()) if line["kind"] == "block"]
    gas = sum(block["gas"] for block in blocks)
    return gas / sum(block["transactions"] for block in blocks), gas / len(blocks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aggregations", type=int, default=100, help="global updates a run (default: 100)")
    aggregations = parser.parse_args().aggregations
    print("phi  archive  gas a local gradient  gas a block")
    for archive in (False, True):
        for threshold in (10, 20):
            per_gradient, per_block = gas_per_gradient(threshold, archive, aggregations)
            print(
                f"{threshold:3d}  {'on' if archive else 'off':>7}  {per_gradient:20,.0f}  {per_block:11,.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
