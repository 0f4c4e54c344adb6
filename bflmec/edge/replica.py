"""An edge node that outlives its process: protocol object, cache pool and journal, moved on by what a follower reports.

    open       where an earlier process stopped; the follower then starts at `checkpoint`
    apply      a block that the ledger appended: recomputed or, when its local gradients can't be had, adopted
    undo       a block that a reorganisation of the host chain took away
    complete   fetches from peers and storage what the next global update needs and this edge node lacks

Whatever is interrupted, by an error or by the end of the process, can be done again. Use it from one thread at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from bflmec.edge.journal import Journal
from bflmec.edge.pool import DurableCachePool
from bflmec.edge.store import EdgeStore
from bflmec.errors import (
    BFLMECError,
    BlobError,
    BlockRejectedError,
    ContradictionError,
    LedgerError,
    MessageError,
    MissingGradientsError,
    MissingHistoryError,
    StorageError,
)
from bflmec.learning.blob import blob_size, decode_blob
from bflmec.learning.global_update import GlobalUpdate
from bflmec.learning.history import HistoryEntry
from bflmec.learning.tensors import TensorSpec
from bflmec.ledger.events import RecordedBlock
from bflmec.ledger.follower import Checkpoint
from bflmec.protocol.aggregator import Basis, Standing
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.cache_pool import CachePool
from bflmec.protocol.edge_node import EdgeNode
from bflmec.protocol.ledger_state import LedgerParameters
from bflmec.protocol.manifest import decode_manifest
from bflmec.protocol.messages import MAX_BODY, Announcement, Body, decode
from bflmec.protocol.ports import Blobs
from bflmec.protocol.recorded_blocks import Step
from bflmec.storage.cid import RAW, Cid

log = logging.getLogger(__name__)

FINAL_AFTER = 12
"""Blocks of the ledger after which a block counts as final. A reorganisation that is deeper needs a hand."""


class Peers(Protocol):
    """The other edge nodes. What they answer is checked."""

    def fetch(self, digests: Sequence[bytes]) -> list[Announcement]:
        """Those of the local gradients that some peer holds."""
        ...

    def history(self, digest: bytes) -> bytes:
        """A manifest or a history entry. Raises StorageError if no peer holds it."""
        ...


class Replica:
    """`node` is what the service asks and tells; only the ledger's blocks come in here."""

    def __init__(
        self, node: EdgeNode, store: EdgeStore, pool: DurableCachePool, journal: Journal, blobs: Blobs, peers: Peers
    ) -> None:
        self.node = node
        self.contradiction: ContradictionError | None = None
        self.lacks = ""
        self._store = store
        self._pool = pool
        self._journal = journal
        self._blobs = blobs
        self._peers = peers
        self._spec: TensorSpec = pool.spec
        self._recorded: dict[bytes, RecordedBlock] = {}
        self._checkpoint: Checkpoint | None = None

    @classmethod
    def open(
        cls,
        path: Path,
        create: Callable[[CachePool], EdgeNode],
        *,
        owner: bytes,
        parameters: LedgerParameters,
        spec: TensorSpec,
        blobs: Blobs,
        peers: Peers,
        now: float,
    ) -> Replica:
        """The edge node whose file is at `path`, new if there is none. `create` makes an edge node at block 0 over a
        cache pool, `owner` (32 bytes) tells it from those of other ledgers. Raises EdgeStoreError."""
        store = EdgeStore.open(path, owner)
        try:
            pool = DurableCachePool(store, spec, now)
            journal = Journal(store, parameters, spec.size)
            replica = cls(create(pool), store, pool, journal, blobs, peers)
            replica._go_on()
        except BaseException:
            store.close()
            raise
        return replica

    def _go_on(self) -> None:
        final = self._journal.final_state()
        self._checkpoint = final.checkpoint
        standing = Standing(final.history_digest, None)
        if final.state.anchor == 0:
            standing = self.node.assembler.aggregator.standing
        else:
            basis = self._basis_at_hand(final.state.anchors[final.state.anchor].content, final.history_digest)
            standing = Standing(final.history_digest, basis)
        self.node.recorded.start_from(final.state, standing)
        self.node.recorded.on_final = self._finalise

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Where a follower has to start after a restart: the last final block, or None for the first."""
        return self._checkpoint

    def close(self) -> None:
        """Writes what is not on disk yet. Raises EdgeStoreError if that can't be done."""
        self._store.close()

    # ---------------------------------------------------------------- what the ledger appended, or lost again

    def apply(self, recorded: RecordedBlock, now: float) -> GlobalUpdate | None:
        """Moves on to a block; the global update, if this edge node has computed it. One that is recorded already
        changes nothing.

        Raises StorageError or EdgeStoreError if something can't be read or written now; call again. Raises
        ContradictionError if the block is not what recomputation gives; from then on this edge node certifies nothing.
        Raises LedgerError if the block does not follow.
        """
        block, state = recorded.block, self.node.state
        number = block.header.number
        if number <= state.number and state.hashes[number] == block.header.hash:
            return None
        if block.header.parent != state.head:
            raise LedgerError(f"block {number} does not follow block {state.number}; report blocks in order")
        if self.contradiction is not None:
            raise self.contradiction
        self._store.require_writable()
        self._recorded[block.header.hash] = recorded
        try:
            update = self._move_on(block, now)
        except BlockRejectedError as error:
            self._body(block)  # without its body nothing can be said about a block
            raise self._halt(block, error) from error
        except BaseException:
            self._recorded.pop(block.header.hash, None)
            raise
        self._journal.record(block)
        self._keep_history()
        self._flush()
        return update

    def _move_on(self, block: SealedBlock, now: float) -> GlobalUpdate | None:
        basis = self._earlier_result(block)
        if basis is None:
            try:
                return self._recompute(block, now)
            except (MissingGradientsError, MissingHistoryError):
                pass
        self.node.adopt(block, self._body(block), basis)
        return None

    def _earlier_result(self, block: SealedBlock) -> Basis | None:
        """What the block's global update led to, if it was recorded by an earlier process and is still at hand."""
        if not block.header.is_global_update or not self._journal.has_recorded(block):
            return None
        content = Cid(block.header.global_codec, block.header.global_digest)
        return self._basis_at_hand(content, self._body(block).history)

    def _recompute(self, block: SealedBlock, now: float) -> GlobalUpdate | None:
        if block.header.is_global_update and self.node.assembler.aggregator.standing.basis is not None:
            self._fetch([*self.node.missing(block), *self.node.missing_pending()], now)
        return self.node.record(block)

    def _halt(self, block: SealedBlock, error: BlockRejectedError) -> ContradictionError:
        self._recorded.pop(block.header.hash, None)
        self.contradiction = ContradictionError(
            f"block {block.header.number} is on the ledger, but recomputation contradicts it: {error}. This edge node "
            "certifies nothing any more: compare version, rules and blocks with the other operators"
        )
        self.node.halt(self.contradiction)
        return self.contradiction

    def undo(self, recorded: RecordedBlock) -> None:
        """Takes back the newest block. Its local gradients wait again. Raises FinalityError if it was final,
        LedgerError if it is not the newest."""
        if recorded.block.header.hash != self.node.state.head:
            raise LedgerError(f"block {recorded.block.header.number} is not the newest one; report removals in order")
        self.node.undo()
        self._recorded.pop(recorded.block.header.hash, None)

    def _finalise(self, step: Step) -> None:
        self._checkpoint = Checkpoint.at(self._recorded.pop(step.block.header.hash))
        standings = (step.standing, *(later.standing for later in self.node.recorded.steps))
        live = [standing.history_digest for standing in standings]
        self._journal.finalise(step, self._checkpoint, self.node.recorded.final, live)

    def _keep_history(self) -> None:
        standing = self.node.assembler.aggregator.standing
        if standing.basis is not None:
            self._journal.keep_history(standing.history_digest, standing.basis.history)

    def _flush(self) -> None:
        self._pool.flush()
        self._journal.written()

    # ---------------------------------------------------------------- what this edge node lacks

    def complete(self, now: float) -> bool:
        """Whether everything is at hand that the next global update needs; fetches it if it is not. What could not be
        had stands in `lacks`. Raises EdgeStoreError if the disk takes nothing."""
        self._store.require_writable()
        try:
            if self.node.assembler.aggregator.standing.basis is None:
                self.node.complete(self._fetch_basis())
                self._keep_history()
            self._fetch(self.node.missing_pending(), now)
            self.lacks = self._missing_text()
        except (StorageError, BlobError, MessageError, BlockRejectedError) as error:
            self.lacks = str(error)
        self._flush()
        return not self.lacks

    def _missing_text(self) -> str:
        missing = len(self.node.missing_pending())
        return f"{missing} recorded local gradients, which no peer that answers holds" if missing else ""

    def part_of_history(self, digest: bytes) -> bytes | None:
        """For peers: the manifest or the history entry of that digest, None if it is not here."""
        return self._journal.part(digest)

    def _fetch(self, digests: Sequence[bytes], now: float) -> None:
        if not digests:
            return
        wanted = frozenset(digests)
        for announcement in self._peers.fetch(digests):
            try:
                self.node.supplied(announcement, wanted, now)
            except BFLMECError as error:
                log.warning("a peer's answer was refused: %s", error)

    def _fetch_basis(self) -> Basis:
        state, standing = self.node.state, self.node.assembler.aggregator.standing
        weights = decode_blob(self._spec, self._blobs.get(state.anchors[state.anchor].content, blob_size(self._spec)))
        parts = [self._part(digest) for digest in decode_manifest(self._part(standing.history_digest))]
        return Basis(weights, tuple(HistoryEntry.decode(part, self._spec.size) for part in parts))

    def _part(self, digest: bytes) -> bytes:
        part = self._journal.part(digest)
        if part is None:
            part = self._peers.history(digest)
            if sha256(part).digest() != digest:
                raise StorageError("a peer sent something else than the part of the history that it was asked for")
        return part

    def _basis_at_hand(self, content: Cid, digest: bytes) -> Basis | None:
        """What a global update has led to, if it needs no peer."""
        history = self._journal.history(digest)
        if history is None:
            return None
        try:
            return Basis(decode_blob(self._spec, self._blobs.get(content, blob_size(self._spec))), history)
        except (StorageError, BlobError):
            return None

    def _body(self, block: SealedBlock) -> Body:
        """Raises StorageError if it can't be had; a body that is no body contradicts the ledger."""
        data = self._blobs.get(Cid(RAW, block.header.body_digest), MAX_BODY)
        try:
            return decode(Body, data)
        except MessageError as error:
            raise self._halt(block, BlockRejectedError(str(error))) from error
