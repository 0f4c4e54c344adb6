"""What following a ledger's blocks costs, at a node in a process of its own.

    OMP_NUM_THREADS=1 python benchmarks/follower.py [--events 100000] [--transactions 1]

anvil (`npm ci`) is the node, over HTTP. Appending so many blocks for real would take hours of seals and certificates:
instead, a contract of a few bytes stands at the ledger's address and emits the events that it is given. The blocks in
them are well formed and each names the hash of the one before it, so the follower reads and checks what it would read
from a ledger. A transaction emits 100 of them, and 19 empty host blocks come after it.

Seconds are CPU time of this process; "bare" asks for the same logs in the same ranges and only parses the JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import requests
from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from rich.console import Console
from rich.table import Table
from web3 import Web3

from bflmec.devchain.service.accounts import dev_accounts
from bflmec.ledger.deployment import Deployment, DeploymentParameters, abi_digest
from bflmec.ledger.events import HOST_BLOCKS_PER_QUERY
from bflmec.ledger.follower import BlockAdded, BlockRemoved, Follower
from bflmec.ledger.interface import event_topic
from bflmec.protocol.blocks import (
    ZERO_DIGEST,
    Header,
    Transaction,
    encode_transactions,
    genesis_parent,
    transactions_hash,
)
from bflmec.storage.cid import RAW, Cid

ANVIL = Path(__file__).parents[1] / "node_modules" / ".bin" / "anvil"
EVENTS_PER_TRANSACTION = 100
EMPTY_BLOCKS = 19
REORGANISED = 64
GAS = 29_000_000
SENDER = to_checksum_address(dev_accounts(1)[0].address)

# Calldata: records of the data's length, four topics and the data. Each becomes a log4.
EMITTER = bytes.fromhex(
    "60005b36811060" + "0a57005b"  # i = 0; while i < calldatasize:
    "8035808260a001600037"  # n = calldata[i]; calldatacopy(0, i + 160, n)
    "816080013582606001358360400135846020013584"  # topics 4 to 1, n
    "6000a4"  # log4(0, n, …)
    "0160a001600256"  # i += n + 160
)


@dataclass
class Cost:
    seconds: float
    wall: float

    @classmethod
    def of(cls, work: Callable[[], Any]) -> Cost:
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        return cls(time.process_time() - cpu, time.perf_counter() - wall)


class Node:
    """JSON-RPC without a library, so that filling the node takes little."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()

    def ask(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._session.post(self.url, json=body).json()
        if "error" in answer:
            raise SystemExit(f"anvil refused {method}: {answer['error']}")
        return answer["result"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--transactions", type=int, default=1, help="local gradients in each block")
    options = parser.parse_args()
    with anvil() as node:
        start = time.perf_counter()
        deployment = fill(node, options.events, options.transactions)
        filled = time.perf_counter() - start
        report(node, deployment, options.events, filled)


def report(node: Node, deployment: Deployment, events: int, filled: float) -> None:
    w3 = Web3(Web3.HTTPProvider(node.url, request_kwargs={"timeout": 60}))
    memory = peak_memory()
    follower = Follower(w3, deployment)
    found: list[Any] = []
    whole = Cost.of(lambda: found.append(follow(follower)))
    bare = Cost.of(lambda: bare_logs(node, deployment))
    idle = Cost.of(lambda: [follower.poll() for _ in range(100)])
    restarted = Cost.of(lambda: found.append(follow(Follower(w3, deployment, follower.checkpoint))))
    assert found == [events, 0]

    table = Table(title=f"{events:,} blocks in {int(node.ask('eth_blockNumber'), 16):,} host blocks")
    for column in ("", "CPU s", "wall s", "µs CPU a block"):
        table.add_column(column, justify="left" if not column else "right")
    for name, cost in (("follower, from the first block", whole), ("bare eth_getLogs", bare)):
        table.add_row(name, f"{cost.seconds:.1f}", f"{cost.wall:.1f}", f"{cost.seconds / events * 1e6:.0f}")
    table.add_row("from the newest checkpoint", f"{restarted.seconds:.3f}", f"{restarted.wall:.3f}", "")
    table.add_row("one poll without news", f"{idle.seconds / 100:.4f}", f"{idle.wall / 100:.4f}", "")
    undone, cost = reorganise(node, deployment, follower)
    table.add_row(f"{undone} blocks taken back", f"{cost.seconds:.3f}", f"{cost.wall:.3f}", "")
    Console().print(table)
    print(f"peak memory grew by {(peak_memory() - memory) / 2**20:.0f} MB; the node was filled in {filled:.0f} s")


def follow(follower: Follower) -> int:
    """Until nothing comes any more; how many blocks that were."""
    count = 0
    while changes := follower.poll():
        assert all(isinstance(change, BlockAdded) for change in changes)
        count += len(changes)
    return count


def bare_logs(node: Node, deployment: Deployment) -> None:
    newest = int(node.ask("eth_blockNumber"), 16)
    place = {"address": to_checksum_address(deployment.ledger), "topics": [topic()]}
    for first in range(deployment.block, newest + 1, HOST_BLOCKS_PER_QUERY):
        last = min(first + HOST_BLOCKS_PER_QUERY - 1, newest)
        node.ask("eth_getLogs", place | {"fromBlock": hex(first), "toBlock": hex(last)})


def reorganise(node: Node, deployment: Deployment, follower: Follower) -> tuple[int, Cost]:
    """One block of the ledger in each of the newest host blocks, and then another chain."""
    assert follower.checkpoint is not None
    for record in records(deployment, REORGANISED, 1, follower.checkpoint.number, follower.checkpoint.hash):
        emit(node, deployment, record)
    assert follow(follower) == REORGANISED
    node.ask("anvil_reorg", REORGANISED, [])
    changes: list[Any] = []
    cost = Cost.of(lambda: changes.extend(follower.poll()))
    assert all(isinstance(change, BlockRemoved) for change in changes)
    return len(changes), cost


def fill(node: Node, events: int, transactions: int) -> Deployment:
    ledger = sha256(b"ledger").digest()[:20]
    node.ask("anvil_setCode", to_checksum_address(ledger), "0x" + EMITTER.hex())
    other = {name: bytes(20) for name in ("participants", "certificates", "token", "government")}
    parameters = DeploymentParameters(
        difficulty=1,
        aggregation_threshold=5,
        max_transactions=100,
        base_reward=0,
        miner_reward=0,
        rules_digest=bytes(32),
        genesis=Cid(RAW, bytes(32)),
    )
    chain_id = int(node.ask("eth_chainId"), 16)
    deployment = Deployment(
        chain_id=chain_id, block=0, ledger=ledger, abi_digest=abi_digest(), parameters=parameters, **other
    )
    batch = b""
    for index, record in enumerate(records(deployment, events, transactions), 1):
        batch += record
        if index % EVENTS_PER_TRANSACTION == 0 or index == events:
            emit(node, deployment, batch)
            node.ask("anvil_mine", hex(EMPTY_BLOCKS))
            batch = b""
    return deployment


def emit(node: Node, deployment: Deployment, data: bytes) -> None:
    transaction = {"from": SENDER, "to": to_checksum_address(deployment.ledger), "data": "0x" + data.hex()}
    sent = node.ask("eth_sendTransaction", transaction | {"gas": hex(GAS)})
    while (receipt := node.ask("eth_getTransactionReceipt", sent)) is None:
        time.sleep(0.001)
    assert receipt["status"] == "0x1"


def records(
    deployment: Deployment, count: int, transactions: int, number: int = 0, parent: bytes | None = None
) -> Iterator[bytes]:
    """What the emitter takes for each of `count` blocks after block `number`."""
    content = [Transaction(bytes([index]) * 20, 1, bytes(32), bytes(32)) for index in range(transactions)]
    packed = encode_transactions(content)
    header = Header(
        parent=parent or genesis_parent(deployment.chain_id, deployment.ledger),
        number=number,
        anchor=0,
        edge_node=b"\x01" * 20,
        transactions_hash=transactions_hash(content),
        transaction_count=transactions,
        body_digest=sha256(b"body").digest(),
        global_digest=ZERO_DIGEST,
        global_codec=0,
        rewards_root=ZERO_DIGEST,
        rewards_total=0,
    )
    tail = encode(["bytes32"] * 11 + ["uint64", "bytes", "bytes"], [ZERO_DIGEST] * 11 + [7, packed, b""])[352:]
    for _ in range(count):
        header = replace(header, number=header.number + 1)
        data, hash_ = header.encode() + tail, header.hash
        yield b"".join(
            (
                len(data).to_bytes(32, "big"),
                bytes.fromhex(topic()[2:]),
                header.number.to_bytes(32, "big"),
                hash_,
                header.edge_node.rjust(32, b"\0"),
                data,
            )
        )
        header = replace(header, parent=hash_)


def topic() -> str:
    return "0x" + event_topic("BFLLedger", "BlockAppended").hex()


def peak_memory() -> int:
    """Bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def anvil() -> Iterator[Node]:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(ANVIL), "--port", str(port), "--silent", "--gas-limit", "1000000000", "--no-request-size-limit"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    node = Node(f"http://127.0.0.1:{port}")
    try:
        for _ in range(200):
            try:
                node.ask("eth_chainId")
                break
            except (requests.ConnectionError, json.JSONDecodeError):
                time.sleep(0.05)
        yield node
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
