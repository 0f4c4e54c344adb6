"""What the embedded chain and the ledger client cost, in CPU time of one thread.

    OMP_NUM_THREADS=1 python benchmarks/devchain.py [--difficulty 1024] [--directory DIR]

Times are CPU seconds of the whole process: signing, JSON-RPC forms, execution, seal and SQLite together.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount
from rich.console import Console
from rich.table import Table
from web3 import Web3

from bflmec.crypto.seal import search
from bflmec.devchain import DevChain, DevChainProvider, Genesis
from bflmec.ledger.certificates import ECDSACertifier
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import DeploymentParameters, deploy
from bflmec.protocol.blocks import Header, Reward, SealedBlock, Transaction, transactions_hash
from bflmec.storage.cid import RAW, Cid

TRANSFERS = 200
APPENDS = 40
REGISTRATIONS = 100
LOCAL_GRADIENTS = 10
BASE_REWARD = 10**20
LEDGER_DIFFICULTY = 16

ACCOUNTS: list[LocalAccount] = [
    Account.from_key(sha256(b"benchmark %d" % index).digest()) for index in range(REGISTRATIONS)
]


def address(account: LocalAccount) -> bytes:
    return bytes.fromhex(account.address[2:])


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def import_seconds(module: str) -> float:
    script = f"import time; start = time.process_time(); import {module}; print(time.process_time() - start)"
    return float(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout)


class Bench:
    def __init__(self, path: Path, difficulty: int) -> None:
        balances = {address(account): 10**24 for account in ACCOUNTS}
        self.path = path
        self.chain = DevChain.create(
            path, Genesis(timestamp=int(time.time()), difficulty=difficulty, balances=balances)
        )
        self.w3 = Web3(DevChainProvider(self.chain))
        self.nonce = 0

    def transfer(self) -> bytes:
        fields = {
            "chainId": self.chain.chain_id,
            "nonce": self.nonce,
            "to": ACCOUNTS[1].address,
            "value": 1,
            "gas": 21_000,
            "maxFeePerGas": 10**10,
            "maxPriorityFeePerGas": 10**9,
        }
        self.nonce += 1
        return bytes(self.w3.eth.send_raw_transaction(ACCOUNTS[0].sign_transaction(fields).raw_transaction))

    def transfers_one_by_one(self) -> None:
        for _ in range(TRANSFERS):
            self.w3.eth.wait_for_transaction_receipt(self.transfer())  # type: ignore[arg-type]

    def transfers_in_one_block(self) -> None:
        self.chain.auto_mine = False
        hashes = [self.transfer() for _ in range(TRANSFERS)]
        self.chain.mine()
        for transaction_hash in hashes:
            self.w3.eth.get_transaction_receipt(transaction_hash)  # type: ignore[arg-type]
        self.chain.auto_mine = True

    def deploy(self) -> None:
        parameters = DeploymentParameters(
            difficulty=LEDGER_DIFFICULTY,
            aggregation_threshold=LOCAL_GRADIENTS,
            max_transactions=100,
            base_reward=BASE_REWARD,
            miner_reward=0,
            rules_digest=sha256(b"rules").digest(),
            genesis=Cid(RAW, sha256(b"genesis").digest()),
            open_registration=True,
        )
        self.deployment = deploy(self.w3, ACCOUNTS[0], parameters)
        self.client = LedgerClient(self.w3, self.deployment, ACCOUNTS[0])

    def admit(self) -> None:
        for account in ACCOUNTS[:2]:
            self.client.participants.admit_edge_node(address(account), bytes([1] * 32), bytes([2] * 32), "https://edge")
        self.certifiers = [ECDSACertifier(bytes(account.key)) for account in ACCOUNTS[:2]]

    def register(self) -> None:
        self.chain.auto_mine = False
        clients = [LedgerClient(self.w3, self.deployment, account) for account in ACCOUNTS]
        hashes = [client.participants.submit_registration(bytes([3] * 32)) for client in clients]
        self.chain.mine()
        for client, transaction_hash in zip(clients, hashes, strict=True):
            client.sender.confirm(transaction_hash)
        self.chain.auto_mine = True

    def block(self, index: int) -> SealedBlock:
        """A block of LOCAL_GRADIENTS transactions with a global update and a reward for each client."""
        head, (_, total) = self.client.head(), self.client.rewards()
        transactions = tuple(
            Transaction(address(account), 1, sha256(b"%d" % index).digest(), sha256(account.key).digest())
            for account in ACCOUNTS[:LOCAL_GRADIENTS]
        )
        header = Header(
            parent=head.hash,
            number=head.number + 1,
            anchor=head.number + 1,
            edge_node=address(ACCOUNTS[0]),
            transactions_hash=transactions_hash(transactions),
            transaction_count=LOCAL_GRADIENTS,
            body_digest=bytes([4] * 32),
            global_digest=bytes([5] * 32),
            global_codec=RAW,
            rewards_root=sha256(b"root %d" % index).digest(),
            rewards_total=total + BASE_REWARD,
        )
        rewards = tuple(Reward(one.client, BASE_REWARD // LOCAL_GRADIENTS) for one in transactions)
        nonce = search(header.hash, LEDGER_DIFFICULTY, 0, 1 << 20)
        assert nonce is not None
        return SealedBlock(header, nonce, transactions, rewards)

    def append(self) -> tuple[float, int]:
        """CPU seconds of one append, without making the block, and its gas."""
        spent, gas = 0.0, 0
        for index in range(APPENDS):
            block = self.block(index)
            entries = {certifier.account: certifier.sign(block.header.hash) for certifier in self.certifiers}
            certificate = self.certifiers[0].assemble(entries)
            start = time.process_time()
            gas = self.client.append(block, certificate).gas_used
            spent += time.process_time() - start
        return spent / APPENDS, gas

    def reopen(self) -> None:
        self.chain.close()
        self.chain = DevChain.open(self.path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--difficulty", type=int, default=1 << 10)
    parser.add_argument("--directory", type=Path, default=None, help="where the chain file is written")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        report(Bench(Path(directory) / "chain", arguments.difficulty))


def report(bench: Bench) -> None:
    table = Table("what", "CPU", "rate", title=f"Embedded chain, difficulty {bench.chain.genesis.difficulty}")

    def row(what: str, seconds: float, count: int, unit: str) -> None:
        table.add_row(what, f"{seconds * 1000 / count:.2f} ms", f"{count / seconds:.0f} {unit}/CPU-s")

    row("transfer, a block each", cpu_seconds(bench.transfers_one_by_one), TRANSFERS, "transactions")
    row(f"transfer, {TRANSFERS} in a block", cpu_seconds(bench.transfers_in_one_block), TRANSFERS, "transactions")
    row("deploy the four contracts", cpu_seconds(bench.deploy), 1, "deployments")
    row("admit an edge node", cpu_seconds(bench.admit), 2, "edge nodes")
    row(f"register a client, {REGISTRATIONS} in a block", cpu_seconds(bench.register), REGISTRATIONS, "clients")
    seconds, gas = bench.append()
    row(f"append {LOCAL_GRADIENTS} local gradients ({gas:,} gas)", seconds, 1, "blocks")
    row("read the head", cpu_seconds(lambda: [bench.client.head() for _ in range(100)]), 100, "reads")
    row("read a block's event", cpu_seconds(lambda: list(bench.client.blocks(1, APPENDS))), APPENDS, "blocks")
    height = bench.chain.head.number
    row("reopen: check a block of the file", cpu_seconds(bench.reopen), height, "blocks")
    row("verify: execute a block again", cpu_seconds(bench.chain.verify), height, "blocks")
    for module in ("bflmec.devchain", "bflmec.devchain.chain", "bflmec.ledger.client"):
        table.add_row(f"import {module}", f"{import_seconds(module) * 1000:.0f} ms", "")
    size = bench.path.stat().st_size
    table.add_row("chain file", f"{size / 1e6:.1f} MB", f"{size / height / 1000:.1f} kB/block")
    Console().print(table)


if __name__ == "__main__":
    main()
