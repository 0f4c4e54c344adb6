"""What the tests of the embedded chain share: funded accounts, small transactions, and a chain file to tamper with."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import rlp
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address

from bflmec.devchain import DevChain, Genesis
from bflmec.devchain.blocks import Block
from bflmec.devchain.consensus import seal
from bflmec.devchain.database import StoredBlock

START = 1_700_000_000
CHAIN_ID = 1337
ACCOUNTS: list[LocalAccount] = [Account.from_key(bytes([index] * 32)) for index in range(1, 6)]
ALICE, BOB = ACCOUNTS[:2]
RECIPIENT = b"\x11" * 20
PROBE: dict[str, Any] = json.loads(Path(__file__).with_name("probe.json").read_text("utf-8"))


def address(account: LocalAccount) -> bytes:
    return bytes.fromhex(account.address[2:])


PROBE_ADDRESS = to_checksum_address(
    keccak(rlp.encode([address(ALICE), 0]))[12:]
)  # when it is ALICE's first transaction


def genesis(**changes: Any) -> Genesis:
    values: dict[str, Any] = {
        "timestamp": START,
        "difficulty": 16,
        "balances": {address(account): 10**24 for account in ACCOUNTS},
    }
    return Genesis(**values | changes)


def ticking_clock(step: int = 1) -> Any:
    now = [START]

    def clock() -> int:
        now[0] += step
        return now[0]

    return clock


def transfer(account: LocalAccount, nonce: int, **changes: Any) -> bytes:
    """A signed transfer of 1 wei to RECIPIENT. A change to None takes a field away."""
    fields: dict[str, Any] = {
        "chainId": CHAIN_ID,
        "nonce": nonce,
        "to": RECIPIENT,
        "value": 1,
        "gas": 21_000,
        "maxFeePerGas": 10**10,
        "maxPriorityFeePerGas": 10**9,
        "data": b"",
    }
    fields = {name: value for name, value in (fields | changes).items() if value is not None}
    return bytes(account.sign_transaction(fields).raw_transaction)


def legacy_transfer(account: LocalAccount, nonce: int, **changes: Any) -> bytes:
    return transfer(account, nonce, maxFeePerGas=None, maxPriorityFeePerGas=None, **{"gasPrice": 10**10} | changes)


def filled_chain(path: Path, blocks: int = 6) -> bytes:
    """Write a chain of transfers, close it, and return the newest block's hash."""
    with DevChain.create(path, genesis(), clock=ticking_clock()) as chain:
        for nonce in range(blocks):
            chain.send(transfer(ALICE, nonce))
        return chain.head.hash


def stored_block(path: Path, number: int) -> StoredBlock:
    with sqlite3.connect(path) as connection:
        row = connection.execute(
            "SELECT number, hash, header, transactions, receipts FROM block WHERE number = ?", (number,)
        ).fetchone()
    connection.close()
    return StoredBlock(*row)


def replace_block(path: Path, number: int, block: Block) -> None:
    stored = block.stored()
    execute(
        path,
        "UPDATE block SET hash = ?, header = ?, transactions = ?, receipts = ? WHERE number = ?",
        (stored.hash, stored.header, stored.transactions, stored.receipts, number),
    )


def forge_header(path: Path, number: int, *, sealed: bool = True, **changes: Any) -> None:
    """Rewrite fields of a block's header in the file; with `sealed` the work is done again for the forged header."""
    block = Block.from_stored(stored_block(path, number))
    header = block.header.copy(**changes)
    replace_block(path, number, Block(seal(header) if sealed else header, block.raw_transactions, block.raw_receipts))


def execute(path: Path, statement: str, values: tuple[object, ...] = ()) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


def rlp_list(items: list[bytes]) -> bytes:
    return bytes(rlp.encode(items))
