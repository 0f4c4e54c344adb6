"""Three edge nodes: from the receipt that completes a global update to its block in the ledger.

    python benchmarks/edge_exchange.py
    python benchmarks/edge_exchange.py --updates 30 --difficulty 4096

Clients upload to all three in turn; the update falls due at whichever has heard of enough of them first. The time is
taken from the receipt of the local gradient that is the aggregation threshold's, over exchange, recomputation by all,
nonce search, approvals and the chain's own block, until a reader of the chain sees it. Then how fast local gradients
alone come around: from one edge node's receipt until all three hold it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from edge_network import Network, network

from bflmec.errors import NotHeldError
from bflmec.protocol.messages import Envelope, GradientHeader, decode
from bflmec.transport.edge_api import EdgeApi
from bflmec.transport.node_info import Recipient

EDGE_NODES = 3
THRESHOLD = 10
PATIENCE = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=15, help="global updates to time (default 15)")
    parser.add_argument("--difficulty", type=int, default=4096, help="of the ledger's blocks (default 4096)")
    args = parser.parse_args()
    settings = (
        "data.dataset=mnist",
        f"ledger.aggregation_threshold={THRESHOLD}",
        f"ledger.difficulty={args.difficulty}",
        "ledger.record_after=3600",
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        ExitStack() as stack,
        network(Path(folder), EDGE_NODES, 2 * THRESHOLD, *settings) as made,
    ):
        apis = [stack.enter_context(EdgeApi(server.url)) for server in made.edge_nodes]
        recipients = [made.recipient(number) for number in range(EDGE_NODES)]
        before = [server.cpu_seconds() for server in made.edge_nodes]
        blocks = [one_update(made, apis, recipients, number) for number in range(args.updates)]
        cpu = [server.cpu_seconds() - start for server, start in zip(made.edge_nodes, before, strict=True)]
        show("receipt that completes -> block", blocks)
        spent = ", ".join(f"{1000 * seconds / args.updates:.0f}" for seconds in cpu)
        print(f"{'':<36}{spent} CPU ms an update in the three edge nodes, nonce search aside")
        show(
            "receipt -> held by all three", [spread(made, apis, recipients, number) for number in range(THRESHOLD - 1)]
        )


def one_update(made: Network, apis: list[EdgeApi], recipients: list[Recipient], number: int) -> float:
    """Seconds until the ledger has one more anchor, once enough has been acknowledged."""
    anchor = made.ledger.latest_anchor()
    group = made.uploaders[THRESHOLD * (number % 2) :][:THRESHOLD]
    envelopes = [uploader.envelope(made, anchor.number, anchor.hash) for uploader in group]
    for index, envelope in enumerate(envelopes):
        apis[index % EDGE_NODES].upload(envelope, recipients[index % EDGE_NODES])
    began = time.perf_counter()
    while made.ledger.latest_anchor().number == anchor.number:
        if time.perf_counter() - began > PATIENCE:
            raise SystemExit("no block came; see the logs")
        time.sleep(0.005)
    return time.perf_counter() - began


def spread(made: Network, apis: list[EdgeApi], recipients: list[Recipient], number: int) -> float:
    """Seconds until every edge node knows a local gradient that one has acknowledged."""
    anchor = made.ledger.latest_anchor()
    envelope = made.uploaders[number].envelope(made, anchor.number, anchor.hash)
    digest = GradientHeader.decode(decode(Envelope, envelope).signed.header).digest
    apis[0].upload(envelope, recipients[0])
    began = time.perf_counter()
    while not all(knows(api, digest) for api in apis[1:]):
        if time.perf_counter() - began > PATIENCE:
            raise SystemExit("it never came around; see the logs")
    return time.perf_counter() - began


def knows(api: EdgeApi, digest: bytes) -> bool:
    try:
        return bool(api.gradient_state(digest))
    except NotHeldError:
        return False


def show(title: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    p50, p95, p99 = (1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)] for share in (0.5, 0.95, 0.99))
    print(f"{title:<36}p50 {p50:.0f} ms  p95 {p95:.0f} ms  p99 {p99:.0f} ms   ({len(ordered)} times)")


if __name__ == "__main__":
    main()
