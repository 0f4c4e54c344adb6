"""Faults by the hundred on a real devnet, and what the ledger says afterwards.

Processes are killed (SIGKILL) and frozen (SIGSTOP), links to edge nodes and to the chain are cut and slowed down.
Nobody helps. Afterwards every local gradient that an edge node gave a receipt for is on the ledger once, or waits in a
cache pool; every reward list sums to base or to nothing; global updates go on.

    python benchmarks/faults.py --faults 200 --minutes 20 --seed 1
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

import msgspec
from links import Link, Links

from bflmec.client import Wallet
from bflmec.client.audit import verify_audit_proof
from bflmec.devnet.observation import Observer
from bflmec.devnet.plan import CHAIN, DevnetDirectory, Plan
from bflmec.devnet.processes import ProcessRecord
from bflmec.errors import BFLMECError, NotHeldError
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import Deployment
from bflmec.ledger.network import connect, find_network
from bflmec.protocol.messages import GradientHeader
from bflmec.transport.edge_api import EdgeApi

COMMAND = (sys.executable, "-m", "bflmec", "devnet")
DEADLINE = 240.0
KINDS = ("kill", "kill", "kill", "freeze", "cut", "cut", "slow")


@dataclass
class Outcome:
    """What was done and found; `wrong` is empty if everything held."""

    faults: Counter[str] = field(default_factory=Counter)
    receipts: int = 0
    recorded: int = 0
    waiting: int = 0
    global_updates: int = 0
    paid: int = 0
    recovery: float = 0.0
    wrong: list[str] = field(default_factory=list)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + DEADLINE
    while True:
        try:
            if result := condition():
                return result
        except (BFLMECError, OSError) as error:
            last: object = error
        else:
            last = "no"
        if time.monotonic() > end:
            raise TimeoutError(f"{what} never came: {last}")
        time.sleep(0.25)


@contextmanager
def up(directory: DevnetDirectory, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`bflmec devnet up`, ended in order."""
    log = (directory.path.parent / "up.log").open("ab")
    process = subprocess.Popen(
        [*COMMAND, "up", "--dir", str(directory.path), *options], stdout=log, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE)
        log.close()


def made(folder: Path, edge_nodes: int, clients: int, rate: float) -> tuple[DevnetDirectory, list[Link]]:
    """A devnet that has had its first global update, rewired so that edge nodes and chain are reached by links."""
    directory = DevnetDirectory(folder / "net")
    size = ("--edge-nodes", str(edge_nodes), "--clients", str(clients), "--rate", str(rate))
    with up(directory, *size, "--set", "ledger.difficulty=256", "--aggregations", "1") as process:
        if process.wait(DEADLINE):
            raise RuntimeError((folder / "up.log").read_text())
    plan = directory.plan()
    chain = Link(CHAIN, free_port(), plan.chain_port)
    networks = directory.networks.read_text()
    directory.networks.write_text(networks.replace(f":{plan.chain_port}", f":{chain.listen}"))
    links = [chain]
    for name, port in zip(plan.edge_nodes, plan.edge_ports, strict=True):
        link = Link(name, port, free_port())
        settings = directory.member(name) / "edge.toml"
        settings.write_text(re.sub(r"port = \d+", f"port = {link.target}", settings.read_text()))
        links.append(link)
    return directory, links


class Faults:
    """One fault after the other, each of which passes by itself."""

    def __init__(self, directory: DevnetDirectory, plan: Plan, links: Links, rng: random.Random) -> None:
        self._directory, self._plan, self._links, self._rng = directory, plan, links, rng
        self._timers: list[Timer] = []

    def strike(self) -> str:
        kind = self._rng.choice(KINDS)
        if kind in ("kill", "freeze"):
            # The few that all depend on are hit as often as the many clients together.
            group = self._rng.choice([[CHAIN], self._plan.edge_nodes, self._plan.edge_nodes, self._plan.client_names])
            return self._hit(kind, self._rng.choice(group))
        link = self._rng.choice(self._links.names)
        if kind == "cut":
            self._links.cut(link)
        else:
            self._links.slow_down(link, 0.3)
        self._later(self._rng.uniform(1, 6), lambda: self._links.heal(link))
        return f"{kind} {_group(link)}"

    def _hit(self, kind: str, name: str) -> str:
        record = ProcessRecord.load(self._directory.pid_file(name))
        if record is None or not record.is_alive():
            return f"{kind} of a process that was down"
        if kind == "kill":
            record.kill()
        else:
            os.kill(record.pid, signal.SIGSTOP)
            self._later(self._rng.uniform(1, 6), lambda: record.is_alive() and os.kill(record.pid, signal.SIGCONT))
        return f"{kind} {_group(name)}"

    def _later(self, seconds: float, action: Callable[[], object]) -> None:
        timer = Timer(seconds, action)
        timer.start()
        self._timers.append(timer)

    def pass_by(self) -> None:
        for timer in self._timers:
            timer.join()


def _group(name: str) -> str:
    return name.split("-")[0]


def run(folder: Path, faults: int, seconds: float, seed: int, edge_nodes: int, clients: int, rate: float) -> Outcome:
    outcome = Outcome()
    directory, links_ = made(folder, edge_nodes, clients, rate)
    plan, rng = directory.plan(), random.Random(seed)
    with Links(links_) as links:
        with up(directory) as process:
            _strike(directory, plan, Faults(directory, plan, links, rng), (faults, seconds), outcome)
            if process.poll() is not None:
                outcome.wrong.append("the devnet ended by itself")
        directory.plan_file.write_bytes(msgspec.json.encode(msgspec.structs.replace(plan, clients=0)))
        with up(directory):
            ledger = wait_until(lambda: ledger_of(directory), "the chain")
            wait_until(lambda: _all_run(directory, directory.plan()), "the edge nodes")
            wait_until(lambda: _at_rest(directory, ledger), "an end of new blocks")
            _check(directory, plan, ledger, outcome)
    return outcome


def _strike(
    directory: DevnetDirectory, plan: Plan, striking: Faults, much: tuple[int, float], outcome: Outcome
) -> None:
    """So many faults in so many seconds, and how long it takes until all is as if nothing had been."""
    faults, seconds = much
    ledger = wait_until(lambda: ledger_of(directory), "the chain")
    wait_until(lambda: _all_run(directory, plan), "the start")
    for _ in range(faults):
        time.sleep(seconds / faults)
        outcome.faults[striking.strike()] += 1
    striking.pass_by()
    began, before = time.monotonic(), wait_until(ledger.anchor_count, "the chain")
    wait_until(lambda: ledger.anchor_count() >= before + 2, "two more global updates")
    wait_until(lambda: _all_run(directory, plan), "all processes")
    outcome.recovery = time.monotonic() - began


def ledger_of(directory: DevnetDirectory) -> LedgerClient:
    network = find_network("devnet", directory.networks)
    return LedgerClient(connect(network), Deployment.load(directory.deployment))


def _all_run(directory: DevnetDirectory, plan: Plan) -> bool:
    with Observer(directory, plan) as observer:
        seen = observer.observe()
    return all(process.pid for process in seen.processes) and len(seen.edge_nodes) == len(plan.edge_ports)


def _at_rest(directory: DevnetDirectory, ledger: LedgerClient) -> bool:
    """No block for ten seconds, and all edge nodes know the newest."""
    head = ledger.head_number()
    time.sleep(10)
    with Observer(directory, directory.plan()) as observer:
        heads = {state.head for state in observer.observe().edge_nodes.values()}
    return heads == {head} == {ledger.head_number()}


def _check(directory: DevnetDirectory, plan: Plan, ledger: LedgerClient, outcome: Outcome) -> None:
    blocks = [recorded.block for recorded in ledger.blocks(1, ledger.head_number())]
    recorded = Counter(entry.gradient for block in blocks for entry in block.transactions)
    outcome.wrong += [f"0x{digest.hex()} is recorded {times} times" for digest, times in recorded.items() if times > 1]
    base = ledger.parameters().base_reward
    for block in blocks:
        total = sum(reward.amount for reward in block.rewards)
        outcome.paid += total
        outcome.global_updates += block.header.is_global_update
        if total not in (0, base):
            outcome.wrong.append(f"block {block.header.number} pays {total}, not {base}")
    if outcome.paid != ledger.rewards()[1]:
        outcome.wrong.append(f"the blocks pay {outcome.paid}, the ledger says {ledger.rewards()[1]}")
    with ExitStack() as stack:
        apis = [stack.enter_context(EdgeApi(plan.endpoint(number + 1))) for number in range(len(plan.edge_ports))]
        for name in plan.client_names:
            with Wallet.open(directory.member(name)) as wallet:
                proof = wallet.audit_proof()
            if not verify_audit_proof(proof.encode()).holds:
                outcome.wrong.append(f"the audit proof of {name} does not hold")
            for gradient in proof.gradients:
                header = GradientHeader.decode(gradient.signed().header)
                outcome.receipts += 1
                if recorded[header.digest]:
                    outcome.recorded += 1
                elif any(_waits(api, header.digest) for api in apis):
                    outcome.waiting += 1
                else:
                    outcome.wrong.append(f"sequence {header.sequence} of {name} has a receipt and is lost")


def _waits(api: EdgeApi, digest: bytes) -> bool:
    try:
        return api.gradient_state(digest).state == "waiting"
    except NotHeldError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--edge-nodes", type=int, default=3)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--rate", type=float, default=10.0, help="samples a second and client")
    parser.add_argument("--dir", type=Path, help="new folder that is kept; default: a temporary one")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = chosen.dir or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        outcome = run(
            folder,
            chosen.faults,
            60 * chosen.minutes,
            chosen.seed,
            chosen.edge_nodes,
            chosen.clients,
            chosen.rate,
        )
    for fault, times in sorted(outcome.faults.items()):
        print(f"{times:5}  {fault}")
    print(f"{outcome.receipts} receipts: {outcome.recorded} recorded once, {outcome.waiting} still wait")
    print(f"{outcome.global_updates} global updates, {outcome.paid / 10**18:g} tokens paid")
    print(f"two more global updates and all processes up {outcome.recovery:.0f} s after the last fault")
    for wrong in outcome.wrong:
        print(f"WRONG: {wrong}")
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
