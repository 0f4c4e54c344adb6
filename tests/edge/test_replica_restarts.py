"""An edge node that stops, is killed, or meets a damaged file or a lying ledger."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from replica_world import (
    FINAL_AFTER,
    LedgerWorld,
    MinerAsPeer,
    assert_same,
    feed_of,
    follow,
    live_through,
    open_replica,
    save,
)

from bflmec.edge import journal
from bflmec.edge.replica import Replica
from bflmec.errors import EdgeStoreError
from bflmec.ledger.follower import Change
from bflmec.protocol.aggregator import Aggregator


@pytest.fixture
def ledger() -> LedgerWorld:
    return LedgerWorld()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edge.sqlite"


@pytest.mark.parametrize("blocks", [0, 1, FINAL_AFTER, FINAL_AFTER + 1, 20])
def test_a_restarted_edge_node_goes_on_where_it_stopped(ledger: LedgerWorld, path: Path, blocks: int) -> None:
    replica = open_replica(path, ledger)
    live_through(ledger, replica, blocks)
    replica.close()
    restarted = open_replica(path, ledger)
    assert restarted.node.state.number == max(blocks - FINAL_AFTER, 0)
    follow(restarted, feed_of(restarted, ledger))
    assert_same(restarted.node, ledger)
    live_through(ledger, restarted, 3)
    assert_same(restarted.node, ledger)
    restarted.close()


def test_a_restart_recomputes_no_global_update(
    ledger: LedgerWorld, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = open_replica(path, ledger)
    live_through(ledger, replica, 12)
    replica.close()
    peers = MinerAsPeer(ledger)
    restarted = open_replica(path, ledger, peers)

    def refuse(*arguments: object) -> None:
        raise AssertionError("computed again")

    with monkeypatch.context() as patch:
        patch.setattr(Aggregator, "update", refuse)
        follow(restarted, feed_of(restarted, ledger))
    assert peers.asked == 0
    assert_same(restarted.node, ledger)
    restarted.close()


@pytest.mark.parametrize("every", [1, 2, 64])
def test_snapshots_of_any_distance_lead_to_the_same_state(
    ledger: LedgerWorld, path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    monkeypatch.setattr(journal, "SNAPSHOT_EVERY", every)
    for _ in range(4):
        replica = open_replica(path, ledger)
        live_through(ledger, replica, 3)
        assert_same(replica.node, ledger)
        replica.close()


def test_a_history_entry_is_stored_once(ledger: LedgerWorld, path: Path) -> None:
    replica = open_replica(path, ledger)
    written: list[bytes] = []
    replica._store._connection.set_trace_callback(
        lambda sql: written.append(b"") if sql.startswith("INSERT INTO history") else None
    )
    live_through(ledger, replica, 15)
    updates = len(replica.node.state.anchors) - 1
    contributions = sum(len(recorded.block.transactions) for recorded in ledger.chain)
    assert len(written) <= contributions + updates + 1  # with the empty one of the genesis
    stored = len(replica._store.rows("SELECT 1 FROM history"))
    assert stored <= (FINAL_AFTER + 1) * (5 + 1) + 1, "histories that nobody needs are gone"
    replica.close()


def test_waiting_local_gradients_outlive_a_restart(ledger: LedgerWorld, path: Path) -> None:
    replica = open_replica(path, ledger)
    live_through(ledger, replica, 5)
    envelope = ledger.upload(0).envelope
    receipt, _ = replica.node.receive(envelope, 0.0)
    replica.close()
    restarted = open_replica(path, ledger)
    follow(restarted, feed_of(restarted, ledger))
    assert restarted.node.accept(envelope, 0.0) == (receipt.gradient, None)
    item = restarted.node.pool.get(receipt.gradient)
    assert item is not None
    assert item.receiver == 2
    restarted.close()


def test_the_file_of_other_rules_is_refused(ledger: LedgerWorld, path: Path) -> None:
    open_replica(path, ledger).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE owner SET digest = zeroblob(32)")
        other.commit()
    with pytest.raises(EdgeStoreError, match="other rules"):
        open_replica(path, ledger)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE snapshot SET state = zeroblob(length(state))",
        "UPDATE snapshot SET number = number + 1",
        "UPDATE chain SET hash = zeroblob(32) WHERE number = 5",
        "DELETE FROM chain WHERE number = 1",
        "UPDATE recent SET step = x'90'",
        "UPDATE recent SET step = (SELECT step FROM recent LIMIT 1)",
        "UPDATE checkpoint SET number = number - 1",
        "DELETE FROM checkpoint",
        "UPDATE history SET data = zeroblob(length(data))",
    ],
)
def test_a_damaged_journal_is_named(
    ledger: LedgerWorld, path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(journal, "SNAPSHOT_EVERY", 5)
    replica = open_replica(path, ledger)
    live_through(ledger, replica, 12)
    replica.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        assert other.execute(damage).rowcount > 0
    with pytest.raises(EdgeStoreError, match="is damaged"):
        open_replica(path, ledger)


# ---------------------------------------------------------------- killed between any two writes


def test_it_can_be_killed_between_any_two_writes(ledger: LedgerWorld, path: Path, tmp_path: Path) -> None:
    """A killed process leaves file and log as they are at that moment: each such pair is copied, and started from."""
    replica = open_replica(path, ledger)
    live_through(ledger, replica, 5)
    copies: list[tuple[Path, int]] = []

    def copy(statement: str) -> None:
        folder = tmp_path / f"copy{len(copies)}"
        folder.mkdir()
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copy(file, folder)
        copies.append((folder / path.name, len(ledger.chain)))

    replica._store._connection.set_trace_callback(copy)
    live_through(ledger, replica, 3)
    replica._store._connection.set_trace_callback(None)
    replica.close()
    assert len(copies) > 50
    for copied, blocks in copies:
        revived = open_replica(copied, ledger)
        assert blocks - FINAL_AFTER - 1 <= revived.node.state.number <= blocks - FINAL_AFTER
        follow(revived, feed_of(revived, ledger))
        assert revived.complete(0.0)
        assert revived.node.state == ledger.miner.state
        revived.close()


VICTIM = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = {paths!r}
from replica_world import FINAL_AFTER, LedgerWorld, feed_of, load, open_replica
folder, last = Path(sys.argv[1]), int(sys.argv[2])
ledger = load(folder)
replica = open_replica(folder / "edge.sqlite", ledger)
statements = 0
def count(statement):
    global statements
    statements += 1
    if statements == last:
        os.kill(os.getpid(), signal.SIGKILL)
replica._store._connection.set_trace_callback(count)
for change in feed_of(replica, ledger).poll():
    for entry in change.recorded.block.transactions:
        replica.node.supplied(ledger.announcements[entry.gradient], {{entry.gradient}}, 0.0)
    replica.apply(change.recorded, 0.0)
print("done")
"""


def test_a_process_that_is_killed_again_and_again_arrives(ledger: LedgerWorld, path: Path) -> None:
    for number in range(14):
        for client in range(4):
            ledger.upload(client)
        ledger.extend(1 + number % 4)
    save(ledger, path.parent)
    script = VICTIM.format(paths=[str(Path(__file__).parent), str(Path(__file__).parents[1])])
    for last in (1, 2, 7, 16, 31, 57, 80):
        victim = subprocess.run(
            [sys.executable, "-c", script, str(path.parent), str(last)], capture_output=True, text=True, check=False
        )
        assert victim.returncode == -signal.SIGKILL, victim.stderr
    replica = open_replica(path, ledger)
    follow(replica, feed_of(replica, ledger))
    assert replica.complete(0.0)
    assert_same(replica.node, ledger)
    replica.close()


# ---------------------------------------------------------------- a full disk


def test_on_a_full_disk_it_stands_still_and_goes_on_later(ledger: LedgerWorld, path: Path) -> None:
    replica = open_replica(path, ledger)
    live_through(ledger, replica, 5)
    feed = feed_of(replica, ledger)
    replica._store._connection.execute("VACUUM")
    (pages,) = replica._store._connection.execute("PRAGMA page_count").fetchone()
    replica._store._connection.execute(f"PRAGMA max_page_count = {pages}")
    for client in [0, 1, 2, 3] * 12:
        ledger.upload(client)
    for _ in range(12):
        ledger.extend(2)
    changes = feed.poll()
    stood_at = apply_until_it_fails(replica, ledger, changes)
    with pytest.raises(EdgeStoreError, match="full"):
        replica.apply(ledger.chain[stood_at], 0.0)
    assert replica.node.state.number == stood_at
    replica._store._connection.execute("PRAGMA max_page_count = 1000000")
    for change in changes:
        replica.apply(change.recorded, 0.0)
    assert replica.complete(0.0)
    assert_same(replica.node, ledger)
    replica.close()


def apply_until_it_fails(replica: Replica, ledger: LedgerWorld, changes: list[Change]) -> int:
    waiting = list(ledger.announcements.items())
    for change in changes:
        for digest, announcement in (waiting.pop() for _ in range(4)):
            replica.node.supplied(announcement, {digest}, 0.0)
        try:
            replica.apply(change.recorded, 0.0)
        except EdgeStoreError:
            return replica.node.state.number
    raise AssertionError("the disk was never full")
