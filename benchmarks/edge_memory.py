"""The memory of an edge node over many submissions, which are recorded and aggregated meanwhile.

    python benchmarks/edge_memory.py
    python benchmarks/edge_memory.py --uploads 50000

The model is logistic regression on digits, 2.6 KB a local gradient, so that the chain keeps up. Prints the resident
memory after each tenth; what grows by design is a hash of 32 bytes for each block of the ledger.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from edge_load import run_load
from edge_network import Network, network

from bflmec.transport.sealing import seal

CLIENTS = 90
THRESHOLD = 900
PER_CLIENT = 20
SETTINGS = (
    "data.dataset=digits",
    f"experiment.clients={CLIENTS}",
    f"ledger.aggregation_threshold={THRESHOLD}",
    f"ledger.per_client={PER_CLIENT}",
    "ledger.max_transactions=200",
    "ledger.difficulty=64",
    "ledger.record_after=1",
    "ledger.archive=false",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploads", type=int, default=9000, help="local gradients to send (default 9000)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, network(Path(folder), 1, CLIENTS, *SETTINGS) as made:
        server, sent, done = made.edge_nodes[0], 0, 0
        start = server.resident_bytes()
        print(f"{'submitted':>10}{'resident':>12}{'blocks':>8}{'anchors':>9}")
        print(f"{0:>10}{start / 2**20:>9.1f} MB")
        share = -(-args.uploads // 10)
        while done < args.uploads:
            done += one_round(made)
            if done // share > sent:
                sent = done // share
                memory = server.resident_bytes() / 2**20
                print(
                    f"{done:>10}{memory:>9.1f} MB{made.ledger.head_number():>8}{made.ledger.anchor_count() - 1:>9}",
                    flush=True,
                )


def one_round(made: Network) -> int:
    """As many from each client as may wait, then until they are recorded; how many."""
    recipient, anchor = made.recipient(0), made.ledger.latest_anchor()
    envelopes = [
        uploader.envelope(made, anchor.number, anchor.hash)
        for _ in range(PER_CLIENT // 2)
        for uploader in made.uploaders
    ]
    bodies = [seal(envelope, recipient.encapsulation_key, recipient.binding) for envelope in envelopes]
    before = made.ledger.anchor_count()
    load = run_load([made.edge_nodes[0].url], bodies, 16)
    if load.refused:
        raise SystemExit(f"{load.refused} were refused")
    while made.ledger.anchor_count() == before:
        time.sleep(0.05)
    return len(bodies)


if __name__ == "__main__":
    main()
