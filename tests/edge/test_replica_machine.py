"""A replica that is late, restarted, cut off and reorganised, beside edge nodes to which nothing of that ever happens.

However it comes about, as soon as it has followed the ledger and its peers answer, it stands where they stand: state,
weights, history and next block. Receipts that it gave are kept: its local gradient is recorded under that sequence
number, or still waits, unless a reorganisation took away the very anchor that it was trained from.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from replica_world import (
    FINAL_AFTER,
    LedgerWorld,
    MinerAsPeer,
    assert_same,
    feed_of,
    follow,
    open_replica,
)

from bflmec.protocol.messages import Announcement, Envelope, GradientHeader, decode

CLIENTS = st.integers(0, 3)


class ReplicaBesideAModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.ledger = LedgerWorld()
        self.peers = MinerAsPeer(self.ledger)
        self.receipts: list[GradientHeader] = []

    @initialize()
    def start(self) -> None:
        self.replica = open_replica(self.folder / "edge.sqlite", self.ledger, self.peers)
        self.feed = feed_of(self.replica, self.ledger)
        # What a killed process leaves does not depend on it; only a power cut would.
        self.replica._store._connection.execute("PRAGMA synchronous = OFF")

    @property
    def height(self) -> int:
        return self.replica.node.state.number

    # ---------------------------------------------------------------- the ledger and the clients

    @rule(client=CLIENTS, arrives=st.sampled_from(["at both", "at the others", "at the replica"]))
    def upload(self, client: int, arrives: str) -> None:
        announcement = self.ledger.upload(client)
        header = GradientHeader.decode(decode(Envelope, announcement.envelope).signed.header)
        if arrives == "at the others" or not self.replica.node.state.holds_anchor_of(header):
            return
        if arrives == "at both":
            self.replica.node.exchange(announcement, 0.0)
        else:
            accepted = self.replica.node.accept(announcement.envelope, 0.0)
            self.replica.node.pool.flush()
            assert self.replica.node.receipt(accepted.digest).gradient == header.digest
            self.ledger.announcements[header.digest] = Announcement(2, announcement.envelope)
            self.receipts.append(header)

    @rule(most=st.integers(1, 4), blocks=st.integers(1, 3))
    def extend(self, most: int, blocks: int) -> None:
        for _ in range(blocks):
            self.ledger.extend(most)

    @rule(depth=st.integers(1, FINAL_AFTER), replaced=st.booleans())
    def reorganise(self, depth: int, replaced: bool) -> None:
        """Never deeper than what is final for the replica, as far as it has followed."""
        final = 0 if self.replica.checkpoint is None else self.replica.checkpoint.number
        depth = min(depth, len(self.ledger.chain) - final)
        if depth > 0:
            self.ledger.lose(depth)
            if replaced:
                self.ledger.extend()

    # ---------------------------------------------------------------- the replica

    @rule(most=st.integers(1, 5))
    def follow(self, most: int) -> None:
        follow(self.replica, self.feed, most)

    @rule()
    def complete(self) -> None:
        self.replica.complete(0.0)

    @rule()
    def be_killed(self) -> None:
        """What an earlier flush did not write is gone."""
        copy = self.folder / "copy"
        copy.mkdir()
        for file in self.folder.glob("edge.sqlite*"):
            shutil.copy(file, copy)
        self.replica._store._queue.clear()
        self.replica.close()
        for file in self.folder.glob("edge.sqlite*"):
            file.unlink()
        for file in copy.iterdir():
            file.rename(self.folder / file.name)
        copy.rmdir()
        self.start()

    @rule()
    def stop(self) -> None:
        self.replica.close()
        self.start()

    @rule()
    def lose_the_disk(self) -> None:
        """The edge node is set up again: what only it had is gone, and receipts are for its operator to answer."""
        self.replica.close()
        for file in self.folder.glob("edge.sqlite*"):
            file.unlink()
        self.receipts.clear()
        self.start()

    @rule(silent=st.booleans())
    def peers_answer_or_not(self, silent: bool) -> None:
        self.peers.is_silent = silent

    # ---------------------------------------------------------------- what always holds

    @invariant()
    def the_pool_is_what_the_file_holds(self) -> None:
        self.replica.node.pool.flush()
        rows = self.replica._store.rows("SELECT digest FROM gradient ORDER BY position")
        assert [digest for (digest,) in rows] == [item.gradient.digest for item in self.replica.node.pool]

    @invariant()
    def receipts_are_kept(self) -> None:
        state = self.replica.node.state
        for header in self.receipts:
            recorded = state.recorded_gradient(header.client, header.sequence)
            waits = self.replica.node.pool.get(header.digest) is not None
            forgotten = not state.is_sequence_free(header.client, header.sequence) and recorded is None
            lost_anchor = header.anchor <= state.number and not state.holds_anchor_of(header)
            assert waits or recorded == header.digest or forgotten or lost_anchor

    @precondition(lambda self: not self.peers.is_silent)
    @rule()
    def it_stands_where_the_others_stand(self) -> None:
        follow(self.replica, self.feed)
        assert self.replica.complete(0.0), self.replica.lacks
        assert_same(self.replica.node, self.ledger)

    def teardown(self) -> None:
        self.peers.is_silent = False
        self.it_stands_where_the_others_stand()
        self.replica.close()
        shutil.rmtree(self.folder)


TestReplicaBesideAModel = ReplicaBesideAModel.TestCase
EXAMPLES = 30 if os.environ.get("LONG_TESTS", "") in ("", "0") else 1000
TestReplicaBesideAModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
