"""What an edge node knows of the ledger, on disk: the last final block, and every history that it may still need.

Blocks after the last final one are not kept: the follower reports them again after a restart. Hash and history of those
that were recorded already are, so that they need not be recomputed. Entries of a history are stored once, by digest,
however many histories hold them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

import msgspec

from bflmec.edge.store import EdgeStore
from bflmec.errors import BFLMECError, BlobError
from bflmec.learning.history import HistoryEntry
from bflmec.ledger.follower import Checkpoint
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.ledger_state import LedgerParameters, LedgerState
from bflmec.protocol.manifest import decode_manifest, encode_manifest, history_digest
from bflmec.protocol.messages import GradientHeader, Proposal
from bflmec.protocol.ports import Anchor
from bflmec.protocol.recorded_blocks import Step
from bflmec.protocol.state_codec import decode_state, encode_state
from bflmec.storage.cid import Cid

SNAPSHOT_EVERY = 64
"""Final blocks between two snapshots of the ledger's state; what follows the last one is applied again at the start."""


class _StoredStep(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    proposal: Proposal
    headers: tuple[bytes, ...]
    history: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]

    def block(self) -> SealedBlock:
        return self.proposal.block()


@dataclass(frozen=True)
class FinalState:
    """The state of the ledger after its last final block, the history digest there, and where the follower goes on."""

    state: LedgerState
    history_digest: bytes
    checkpoint: Checkpoint | None


class Journal:
    """Writes to `store`, with its next flush, and reads from it at the start. `size` is the model's number of
    parameters. Raises EdgeStoreError if the file is damaged."""

    def __init__(self, store: EdgeStore, parameters: LedgerParameters, size: int) -> None:
        self._store = store
        self._parameters = parameters
        self._size = size
        self._unwritten: dict[bytes, bytes] = {}
        self._parts = {bytes(digest) for (digest,) in store.rows("SELECT digest FROM history")}
        self._manifests = dict(self._read_manifests())
        self._recorded = {bytes(hash_) for (hash_,) in store.rows("SELECT hash FROM recorded")}

    def _read_manifests(self) -> Iterator[tuple[bytes, list[bytes]]]:
        for digest, data in self._store.iterate("SELECT digest, data FROM history WHERE length(data) % 2 = 0"):
            if type(data) is not bytes or sha256(data).digest() != digest:
                raise self._store.damaged("a manifest of the history has another checksum")
            yield digest, decode_manifest(data)

    # ---------------------------------------------------------------- final blocks

    def final_state(self) -> FinalState:
        """What the file holds: the genesis if it is new."""
        try:
            state, digest = self._snapshot()
            for (data,) in self._store.rows("SELECT step FROM recent ORDER BY number"):
                step = msgspec.msgpack.decode(data, type=_StoredStep)
                block, headers = step.block(), [GradientHeader.decode(header) for header in step.headers]
                state.check(block)
                state.apply(block, {header.digest: header for header in headers})
                digest = step.history
        except (BFLMECError, msgspec.MsgspecError, ValueError, TypeError, KeyError) as error:
            raise self._store.damaged(str(error)) from error
        return FinalState(state, digest, self._checkpoint(state))

    def _snapshot(self) -> tuple[LedgerState, bytes]:
        genesis = LedgerState(self._parameters)
        rows = self._store.rows("SELECT number, state, history FROM snapshot")
        if not rows:
            return genesis, history_digest(())
        ((number, data, digest),) = rows
        hashes, anchors = genesis.hashes, genesis.anchors
        sql = "SELECT hash, content FROM chain WHERE number <= ? ORDER BY number"
        for hash_, content in self._store.iterate(sql, number):
            hashes.append(hash_)
            if content is not None:
                anchors[len(hashes) - 1] = Anchor(len(hashes) - 1, hash_, Cid.from_bytes(content))
        return decode_state(data, self._parameters, hashes, anchors), digest

    def _checkpoint(self, state: LedgerState) -> Checkpoint | None:
        rows = self._store.rows("SELECT number, hash, host_block, host_hash FROM checkpoint")
        if state.number == 0 and not rows:
            return None
        if len(rows) != 1 or rows[0][:2] != (state.number, state.head):
            raise self._store.damaged("the last final block is not where the checkpoint says")
        return Checkpoint(*rows[0])

    def finalise(self, step: Step, checkpoint: Checkpoint, state: LedgerState, live: Sequence[bytes]) -> None:
        """Takes down that the block of `step` is final and has led to `state`. Of the histories only those with a
        digest in `live` are needed from now on."""
        header = step.block.header
        content = bytes(Cid(header.global_codec, header.global_digest)) if header.is_global_update else None
        self._store.queue("INSERT INTO chain VALUES (?, ?, ?)", header.number, header.hash, content)
        if header.number % SNAPSHOT_EVERY:
            headers = tuple(step.headers[entry.gradient].encode() for entry in step.block.transactions)
            stored = _StoredStep(Proposal.of(step.block), headers, step.standing.history_digest)
            self._store.queue("INSERT INTO recent VALUES (?, ?)", header.number, msgspec.msgpack.encode(stored))
        else:
            self._store.queue("DELETE FROM recent")
            self._store.queue("DELETE FROM snapshot")
            values = state.number, encode_state(state), step.standing.history_digest
            self._store.queue("INSERT INTO snapshot VALUES (?, ?, ?)", *values)
        self._store.queue("DELETE FROM checkpoint")
        host = checkpoint.host_block, checkpoint.host_hash
        self._store.queue("INSERT INTO checkpoint VALUES (?, ?, ?, ?)", checkpoint.number, checkpoint.hash, *host)
        self._store.queue("DELETE FROM recorded WHERE number <= ?", header.number)
        self._recorded.discard(header.hash)
        self._forget_histories(live)

    # ---------------------------------------------------------------- blocks that are not final

    def record(self, block: SealedBlock) -> None:
        """Remembers that this edge node has moved on to the block, and need not recompute it after a restart."""
        hash_ = block.header.hash
        if hash_ not in self._recorded:
            self._recorded.add(hash_)
            self._store.queue("INSERT INTO recorded VALUES (?, ?)", hash_, block.header.number)

    def has_recorded(self, block: SealedBlock) -> bool:
        return block.header.hash in self._recorded

    # ---------------------------------------------------------------- histories

    def keep_history(self, digest: bytes, history: Sequence[HistoryEntry]) -> None:
        """Stores a history by its digest: the manifest, and those entries that are not there yet."""
        if digest in self._manifests:
            return
        for entry in history:
            if entry.digest not in self._parts:
                self._keep(entry.digest, entry.encode())
        self._keep(digest, encode_manifest(history))
        self._manifests[digest] = [entry.digest for entry in history]

    def _keep(self, digest: bytes, data: bytes) -> None:
        self._parts.add(digest)
        self._unwritten[digest] = data
        self._store.queue("INSERT INTO history VALUES (?, ?)", digest, data)

    def part(self, digest: bytes) -> bytes | None:
        """The manifest or the history entry of that digest, or None if it is not here."""
        if digest not in self._parts:
            return None
        if digest in self._unwritten:
            return self._unwritten[digest]
        rows = self._store.rows("SELECT data FROM history WHERE digest = ?", digest)
        if len(rows) != 1 or type(rows[0][0]) is not bytes or sha256(rows[0][0]).digest() != digest:
            raise self._store.damaged("a part of the history has another checksum")
        data: bytes = rows[0][0]
        return data

    def history(self, digest: bytes) -> tuple[HistoryEntry, ...] | None:
        """The history of that digest, or None if a part of it is not here."""
        if digest not in self._manifests:
            return None
        parts = [self.part(entry) for entry in self._manifests[digest]]
        try:
            entries = [HistoryEntry.decode(part, self._size) for part in parts if part is not None]
        except BlobError as error:
            raise self._store.damaged(str(error)) from error
        return tuple(entries) if len(entries) == len(parts) else None

    def _forget_histories(self, live: Sequence[bytes]) -> None:
        needed = set(live)
        for digest in live:
            needed.update(self._manifests.get(digest, ()))
        for digest in self._parts - needed:
            self._parts.discard(digest)
            self._manifests.pop(digest, None)
            self._unwritten.pop(digest, None)
            self._store.queue("DELETE FROM history WHERE digest = ?", digest)

    def written(self) -> None:
        """To be called after a flush: what was queued is on disk."""
        self._unwritten.clear()
