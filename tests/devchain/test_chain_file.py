"""The chain file: one writer, nothing half written, nothing forged accepted."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chain_tools import (
    ALICE,
    BOB,
    RECIPIENT,
    execute,
    filled_chain,
    forge_header,
    genesis,
    replace_block,
    rlp_list,
    stored_block,
    ticking_clock,
    transfer,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from bflmec.devchain import DevChain, Genesis
from bflmec.devchain.blocks import Block, list_root
from bflmec.devchain.consensus import seal
from bflmec.errors import ChainError


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chain") / "original.chain"
    filled_chain(path)
    return path


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    """A chain of six transfers that a test may damage."""
    return Path(shutil.copy(original, tmp_path / "chain"))


def test_a_closed_chain_opens_where_it_was(path: Path) -> None:
    with DevChain.open(path, genesis()) as chain:
        assert chain.head.number == 6
        assert chain.balance(RECIPIENT) == 6
        chain.send(transfer(ALICE, 6))
    with DevChain.open(path) as chain:
        assert chain.head.number == 7
        assert chain.verify() == 7


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="no chain file"):
        DevChain.open(tmp_path / "nothing")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="can't be opened for writing"):
        DevChain.create(tmp_path / "no" / "folder", genesis())


def test_create_does_not_touch_an_existing_chain(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(ChainError, match="exists"):
        DevChain.create(path, genesis())
    assert path.read_bytes() == before


def test_create_takes_the_empty_file_that_an_interrupted_creation_left(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    path.touch()
    with pytest.raises(ChainError, match="its creation was interrupted"):
        DevChain.open(path)
    with DevChain.create(path, genesis()) as chain:
        assert chain.head.number == 0


@pytest.mark.parametrize("content", [b"hello, I am a text file", b"\0" * 5000], ids=["text", "zeros"])
def test_a_foreign_file_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign"
    path.write_bytes(content)
    with pytest.raises(ChainError):
        DevChain.open(path)
    with pytest.raises(ChainError):
        DevChain.create(path, genesis())
    assert path.read_bytes() == content


def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "foreign"
    execute(path, "CREATE TABLE address_book (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(ChainError, match="not a chain file"):
        DevChain.open(path)
    with pytest.raises(ChainError, match="exists"):
        DevChain.create(path, genesis())
    assert path.read_bytes() == before


def test_a_second_opener_is_refused_while_the_first_goes_on(path: Path) -> None:
    with DevChain.open(path) as chain:
        with pytest.raises(ChainError, match="in use"):
            DevChain.open(path)
        chain.send(transfer(ALICE, 6))
    DevChain.open(path).close()


def test_a_second_opener_in_another_process_is_refused(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from bflmec.devchain import DevChain; DevChain.open(Path(sys.argv[1]))"
    )
    with DevChain.open(path):
        result = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert result.returncode == 1
    assert "in use" in result.stderr


@pytest.mark.parametrize(
    ("expected", "name"),
    [
        (genesis(chain_id=1), "chain_id"),
        (genesis(difficulty=17), "difficulty"),
        (genesis(miner=b"\x01" * 20), "miner"),
        (genesis(timestamp=1), "timestamp"),
        (genesis(balances={}), "balances"),
    ],
)
def test_another_genesis_than_expected_is_refused(path: Path, expected: Genesis, name: str) -> None:
    with pytest.raises(ChainError, match=f"another {name}"):
        DevChain.open(path, expected)
    DevChain.open(path, genesis()).close()


@pytest.mark.parametrize(
    "values",
    [
        {"chain_id": 0},
        {"chain_id": True},
        {"difficulty": 0},
        {"difficulty": 2**41},
        {"timestamp": -1},
        {"miner": b"short"},
        {"balances": {b"short": 1}},
        {"balances": {bytes(20): -1}},
        {"balances": {bytes(20): 2**255, b"\1" * 20: 2**255}},
    ],
)
def test_an_impossible_genesis_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ChainError):
        genesis(**values)


# Forged blocks


def forge_nonce(path: Path) -> None:
    block = Block.from_stored(stored_block(path, 6))
    nonce = int.from_bytes(block.header.nonce, "big")
    forged = (block.header.copy(nonce=(nonce + skip).to_bytes(8, "big")) for skip in range(1, 1000))
    sealed = seal(block.header.copy(nonce=bytes(8))).nonce
    header = next(header for header in forged if header.nonce != sealed and not _sealed(header))
    replace_block(path, 6, Block(header, block.raw_transactions, block.raw_receipts))


def _sealed(header: object) -> bool:
    from bflmec.crypto.seal import seal_holds
    from bflmec.devchain.consensus import seal_digest

    return seal_holds(seal_digest(header), int.from_bytes(header.nonce, "big"), 16)  # type: ignore[attr-defined]


def without_a_transaction(path: Path) -> None:
    stored = stored_block(path, 6)
    execute(path, "UPDATE block SET transactions = ? WHERE number = 6", (rlp_list([]),))
    assert stored.transactions != rlp_list([])


def with_another_transaction(path: Path) -> None:
    block = Block.from_stored(stored_block(path, 6))
    raw = (transfer(BOB, 0),)
    header = seal(block.header.copy(transaction_root=list_root(raw)))
    replace_block(path, 6, Block(header, raw, block.raw_receipts))


FORGERIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "nonce that misses": (forge_nonce, "seal of block 6 misses"),
    "difficulty 1": (lambda path: forge_header(path, 6, difficulty=1), "difficulty of block 6"),
    "another mix hash": (lambda path: forge_header(path, 6, mix_hash=b"\1" * 32), "mix_hash of block 6"),
    "another parent": (lambda path: forge_header(path, 6, parent_hash=b"\1" * 32), "parent_hash of block 6"),
    "another miner": (lambda path: forge_header(path, 6, coinbase=b"\1" * 20), "coinbase of block 6"),
    "another base fee": (lambda path: forge_header(path, 6, base_fee_per_gas=1), "base_fee_per_gas of block 6"),
    "more gas than the limit": (lambda path: forge_header(path, 6, gas_used=30_000_001), "more gas than its limit"),
    "higher gas limit": (lambda path: forge_header(path, 6, gas_limit=10**9), "gas_limit of block 6"),
    "older than its parent": (lambda path: forge_header(path, 6, timestamp=1), "older than its parent"),
    "extra data": (lambda path: forge_header(path, 6, extra_data=b"me"), "extra_data of block 6"),
    "unknown state": (lambda path: forge_header(path, 6, state_root=b"\1" * 32), "state of block 6 is missing"),
    "a changed middle block": (lambda path: forge_header(path, 3, extra_data=b"me"), "extra_data of block 3"),
    "a middle block sealed again": (lambda path: forge_header(path, 3, gas_used=1), "parent_hash of block 4"),
    "another block 0": (lambda path: forge_header(path, 0, sealed=False, timestamp=5), "block 0"),
    "number": (lambda path: execute(path, "UPDATE block SET number = 9 WHERE number = 6"), "block 6 is missing"),
    "a missing middle block": (lambda path: execute(path, "DELETE FROM block WHERE number = 3"), "block 3 is missing"),
    "a missing newest block": (lambda path: execute(path, "DELETE FROM block WHERE number = 6"), "index"),
    "no blocks": (lambda path: execute(path, "DELETE FROM block"), "holds no block"),
    "another hash": (
        lambda path: execute(path, "UPDATE block SET hash = ? WHERE number = 6", (bytes(32),)),
        "another hash or number",
    ),
    "header of another type": (lambda path: execute(path, "UPDATE block SET header = 7 WHERE number = 6"), "types"),
    "header of noise": (lambda path: execute(path, "UPDATE block SET header = x'c3010203'"), "malformed"),
    "transactions of noise": (lambda path: execute(path, "UPDATE block SET transactions = x'ff'"), "malformed"),
    "a transaction taken out": (without_a_transaction, "transactions or receipts of block 6"),
    "receipts of another block": (
        lambda path: execute(path, "UPDATE block SET receipts = x'c0' WHERE number = 6"),
        "transactions or receipts of block 6",
    ),
    "an index entry taken out": (
        lambda path: execute(path, "DELETE FROM transaction_position WHERE number = 2"),
        "index of transactions",
    ),
    "an index entry moved": (
        lambda path: execute(path, "UPDATE transaction_position SET position = 1 WHERE number = 2"),
        "index of transactions",
    ),
    "another genesis": (lambda path: execute(path, "UPDATE genesis SET parameters = '{}'"), "genesis parameters"),
    "no genesis": (lambda path: execute(path, "DELETE FROM genesis"), "no genesis"),
    "richer genesis": (
        lambda path: execute(path, "UPDATE genesis SET parameters = ?", (genesis(balances={}).to_json(),)),
        "block 0",
    ),
    "a trigger": (
        lambda path: execute(path, "CREATE TRIGGER t AFTER INSERT ON block BEGIN DELETE FROM node; END"),
        "foreign tables",
    ),
    "another format": (lambda path: execute(path, "PRAGMA user_version = 2"), "another format"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_file_is_refused(path: Path, name: str) -> None:
    forge, reason = FORGERIES[name]
    forge(path)
    with pytest.raises(ChainError, match=reason):
        DevChain.open(path)


def test_a_sealed_block_with_an_older_state_is_found_by_execution(path: Path) -> None:
    older = Block.from_stored(stored_block(path, 2)).header.state_root
    forge_header(path, 6, state_root=older)
    with DevChain.open(path) as chain, pytest.raises(ChainError, match="block 6 is not what its transactions give"):
        chain.verify()


def test_a_sealed_block_with_a_transaction_that_is_not_valid_is_found_by_execution(path: Path) -> None:
    block = Block.from_stored(stored_block(path, 6))
    raw = (transfer(ALICE, 77),)
    replace_block(path, 6, Block(seal(block.header.copy(transaction_root=list_root(raw))), raw, block.raw_receipts))
    execute(path, "UPDATE transaction_position SET hash = ? WHERE number = 6", (_hash(raw[0]),))
    with DevChain.open(path) as chain, pytest.raises(ChainError, match="not valid now"):
        chain.verify()


def _hash(raw: bytes) -> bytes:
    from eth_hash.auto import keccak

    return bytes(keccak(raw))


def test_damaged_state_is_found_when_it_is_read(path: Path) -> None:
    execute(path, "UPDATE node SET value = x'00'")
    with pytest.raises(ChainError, match="state in the chain file is damaged"):
        DevChain.open(path)


def test_missing_state_is_found_by_execution(path: Path) -> None:
    with DevChain.open(path) as chain:
        root = chain.head.header.state_root
    execute(path, "DELETE FROM node WHERE key != ? AND rowid > 8", (root,))
    with DevChain.open(path) as chain, pytest.raises(ChainError, match="state of block"):
        chain.verify()


# Damage


def test_a_truncated_file_is_refused(original: Path, tmp_path: Path) -> None:
    content = original.read_bytes()
    source = random.Random(7)
    for size in (1, 100, 4096, len(content) - 4096, *(source.randrange(1, len(content)) for _ in range(12))):
        path = tmp_path / f"cut{size}"
        path.write_bytes(content[:size])
        with pytest.raises(ChainError):
            DevChain.open(path)


@settings(deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_a_changed_byte_is_noticed_or_harmless(
    original: Path, tmp_path_factory: pytest.TempPathFactory, position: float, mask: int
) -> None:
    content = bytearray(original.read_bytes())
    content[int(position * len(content))] ^= mask
    path = tmp_path_factory.mktemp("flipped") / "chain"
    path.write_bytes(content)
    try:
        with DevChain.open(path, genesis()) as chain:
            assert chain.verify() == 6
            assert chain.balance(RECIPIENT) == 6
    except ChainError:
        pass


def test_a_log_that_was_cut_off_loses_whole_blocks_only(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    filled_chain(path, blocks=2)
    with DevChain.open(path, clock=ticking_clock()) as chain:
        for nonce in range(2, 8):
            chain.send(transfer(ALICE, nonce))
        database, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    source = random.Random(11)
    heights = set()
    for copy, size in enumerate((0, 31, len(log) // 2, len(log), *(source.randrange(len(log)) for _ in range(8)))):
        torn = tmp_path / f"torn{copy}"
        torn.write_bytes(database)
        Path(f"{torn}-wal").write_bytes(log[:size])
        with DevChain.open(torn) as chain:
            assert chain.verify() == chain.head.number == chain.balance(RECIPIENT)
            heights.add(chain.head.number)
    assert {2, 8} <= heights


MINER = """
import sys
from pathlib import Path
from bflmec.devchain import DevChain
from chain_tools import ALICE, address, genesis, transfer
path = Path(sys.argv[1])
chain = DevChain.open(path) if path.exists() else DevChain.create(path, genesis())
while True:
    chain.send(transfer(ALICE, chain.nonce(address(ALICE))))
    print(chain.head.number, flush=True)
"""


def test_a_killed_miner_loses_no_block_that_it_reported(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    source = random.Random(3)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", MINER, str(path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
        )
        assert process.stdout is not None
        reported = 0
        for _ in range(source.randint(1, 12)):
            reported = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
        reported = max([reported, *map(int, process.stdout.read().split())])
        process.stdout.close()
        with DevChain.open(path) as chain:
            assert chain.head.number in (reported, reported + 1)
            assert chain.verify() == chain.head.number


# A disk that is full


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_changes_nothing(path: Path) -> None:
    with DevChain.open(path) as chain:
        chain.auto_mine = False
        before = chain.head.hash
        transaction_hash = chain.send(transfer(ALICE, 6))
        with file_size_limit(1000), pytest.raises(ChainError):
            chain.mine()
        assert chain.head.hash == before
        assert chain.balance(RECIPIENT) == 6
        assert chain.position(transaction_hash) is None
        assert chain.mine().transaction_hashes == (transaction_hash,)
        assert chain.verify() == 7


def test_a_full_disk_is_named(path: Path) -> None:
    with DevChain.open(path) as chain:
        connection: sqlite3.Connection = chain._file._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        height = chain.head.number
        with pytest.raises(ChainError, match=r"disk of .* is full"):
            chain.send(transfer(ALICE, height, data=bytes(range(256)) * 64, gas=1_000_000))
        assert chain.head.number == height
        connection.execute("PRAGMA max_page_count = 1000000")
        chain.send(transfer(ALICE, height))
        assert chain.verify() == height + 1


def test_an_interrupt_after_the_commit_does_not_lose_the_block(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with DevChain.open(path) as chain:
        append = chain._file.append

        def interrupted(*arguments: object) -> None:
            append(*arguments)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        monkeypatch.setattr(chain._file, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            chain.send(transfer(ALICE, 6))
        monkeypatch.undo()
        assert chain.head.number == 7
        chain.send(transfer(ALICE, 7))
        assert chain.verify() == 8
