"""A ledger that holds what recomputation contradicts, or that is reported in disorder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from protocol_world import SPEC, some_vector
from replica_world import LedgerWorld, MinerAsPeer, live_through, open_replica

from bflmec.errors import ContradictionError, LedgerError
from bflmec.learning.blob import encode_blob
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.messages import MAX_BODY, Body, decode, encode
from bflmec.storage.cid import RAW, Cid


@pytest.fixture
def ledger() -> LedgerWorld:
    return LedgerWorld()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edge.sqlite"


def wrong_global_gradient(ledger: LedgerWorld, block: SealedBlock) -> SealedBlock:
    other = ledger.world.blobs.put(encode_blob(SPEC, some_vector(9, 9)))
    return ledger.world.reseal(block, global_digest=other.digest, global_codec=other.codec)


def wrong_history(ledger: LedgerWorld, block: SealedBlock) -> SealedBlock:
    body = decode(Body, ledger.world.blobs.get(Cid(RAW, block.header.body_digest), MAX_BODY))
    other = ledger.world.blobs.put(encode(msgspec.structs.replace(body, history=b"\x01" * 32)))
    return ledger.world.reseal(block, body_digest=other.digest)


def other_entries(ledger: LedgerWorld, block: SealedBlock) -> SealedBlock:
    body = decode(Body, ledger.world.blobs.get(Cid(RAW, block.header.body_digest), MAX_BODY))
    other = ledger.world.blobs.put(encode(msgspec.structs.replace(body, entries=body.entries[::-1])))
    return ledger.world.reseal(block, body_digest=other.digest)


def no_body(ledger: LedgerWorld, block: SealedBlock) -> SealedBlock:
    return ledger.world.reseal(block, body_digest=ledger.world.blobs.put(b"no body").digest)


LIES: dict[str, Callable[[LedgerWorld, SealedBlock], SealedBlock]] = {
    "global gradient": wrong_global_gradient,
    "history": wrong_history,
    "entries": other_entries,
    "no body": no_body,
}


@pytest.mark.parametrize("lie", LIES)
def test_an_edge_node_that_the_ledger_contradicts_certifies_nothing_more(
    ledger: LedgerWorld, path: Path, lie: str
) -> None:
    replica = open_replica(path, ledger)
    live_through(ledger, replica, 5)
    for client in range(4):
        replica.node.exchange(ledger.upload(client), 0.0)
    honest = ledger.world.seal(ledger.miner.candidate())
    ledger.world.blobs.put(ledger.miner.candidate().body)
    state = replica.node.state.copy()
    recorded = ledger.append(LIES[lie](ledger, honest))
    for _ in range(2):
        with pytest.raises(ContradictionError, match="certifies nothing"):
            replica.apply(recorded, 0.0)
    assert replica.contradiction is not None
    assert replica.node.state == state
    for certify in (lambda: replica.node.review(honest), replica.node.candidate):
        with pytest.raises(ContradictionError):
            certify()
    replica.close()


@pytest.mark.parametrize("lie", ["entries", "no body"])
def test_a_lie_is_found_without_the_local_gradients_too(ledger: LedgerWorld, path: Path, lie: str) -> None:
    replica = open_replica(path, ledger, MinerAsPeer(ledger))
    for client in range(4):
        ledger.upload(client)
    candidate = ledger.miner.candidate()
    ledger.world.blobs.put(candidate.body)
    recorded = ledger.append(LIES[lie](ledger, ledger.world.seal(candidate)))
    ledger.announcements.clear()
    ledger.miner = ledger.world.edge_node(1)
    with pytest.raises(ContradictionError):
        replica.apply(recorded, 0.0)
    replica.close()


def test_blocks_out_of_order_are_refused(ledger: LedgerWorld, path: Path) -> None:
    replica = open_replica(path, ledger)
    first, second = ledger.extend(), ledger.extend()
    with pytest.raises(LedgerError, match="does not follow"):
        replica.apply(second, 0.0)
    replica.apply(first, 0.0)
    with pytest.raises(LedgerError, match="not the newest"):
        replica.undo(second)
    replica.close()


def test_a_block_that_is_reported_twice_counts_once(ledger: LedgerWorld, path: Path) -> None:
    replica = open_replica(path, ledger)
    recorded = ledger.extend()
    for _ in range(3):
        replica.apply(recorded, 0.0)
    assert replica.node.state == ledger.miner.state
    replica.close()
