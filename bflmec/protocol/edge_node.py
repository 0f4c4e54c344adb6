"""An edge node (Algorithm 3): takes in local gradients, assembles blocks, recomputes those of others, keeps up.

The object only decides. Its driver, a simulation or a service, carries messages, searches nonces and appends blocks:

    accept -> flush -> receipt                          lines 2-4
    announcement to peers -> exchange                   lines 5-9
    candidate -> nonce search -> seal -> proposal       lines 10-13, 19-24
    review -> approval -> Ballot -> append              lines 14-18
    record or adopt, for every block that the ledger appended; undo, if it was taken away
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from bflmec.errors import (
    BlockRejectedError,
    ContradictionError,
)
from bflmec.learning.global_update import GlobalUpdate
from bflmec.protocol.aggregator import Basis, Standing
from bflmec.protocol.block_assembler import BlockAssembler, Candidate
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.cache_pool import CachePool, PooledGradient
from bflmec.protocol.intake import MAX_WAITING, POOL_LIMIT, Accepted, Intake
from bflmec.protocol.ledger_state import LedgerState
from bflmec.protocol.messages import (
    RECEIPT_CONTEXT,
    Announcement,
    Approval,
    Body,
    Receipt,
    transaction,
)
from bflmec.protocol.ports import Blobs, Certifier, Participants, Signer
from bflmec.protocol.recomputation import Recomputation
from bflmec.protocol.recorded_blocks import RecordedBlocks, headers_of
from bflmec.protocol.rules import Rules
from bflmec.protocol.verification import GradientVerifier

__all__ = ["MAX_WAITING", "Acceptance", "Accepted", "EdgeNode", "EdgeNodeIdentity"]

_REMEMBERED_REVIEWS = 8
_REMEMBERED_RECEIPTS = 4096


class Acceptance(NamedTuple):
    """What a client's upload leads to: a receipt and, if the local gradient is new, its announcement to the peers."""

    receipt: Receipt
    announcement: Announcement | None


@dataclass(frozen=True)
class EdgeNodeIdentity:
    """Registry id, ledger account, the key that signs receipts and the key that certifies blocks."""

    id: int
    account: bytes
    receipts: Signer
    certifier: Certifier


class EdgeNode:
    """One edge node's view of the ledger, its cache pool and its global gradient.

    `record_after` is how many seconds a local gradient waits for others before it is recorded without them. A block is
    final once `final_after` blocks follow it; until then `undo` takes it back. `pool_limit` bounds the cache pool in
    bytes.
    """

    def __init__(
        self,
        identity: EdgeNodeIdentity,
        *,
        state: LedgerState,
        participants: Participants,
        rules: Rules,
        verifier: GradientVerifier,
        assembler: BlockAssembler,
        pool: CachePool,
        blobs: Blobs,
        record_after: float,
        final_after: int = 0,
        pool_limit: int = POOL_LIMIT,
    ) -> None:
        rules.require(state.parameters.rules_digest)
        self.identity = identity
        self.state = state
        self.assembler = assembler
        self.pool = pool
        self.record_after = record_after
        self.rules = rules
        self.recorded = RecordedBlocks(state, assembler.aggregator, pool, final_after)
        self._participants = participants
        self._blobs = blobs
        self._recomputation = Recomputation(state, participants, rules, verifier, assembler, pool, blobs)
        self._intake = Intake(identity.id, state, participants, rules, verifier, pool, pool_limit)
        self._receipts: dict[bytes, Receipt] = {}
        self._reviewed: dict[bytes, tuple[Candidate, Approval]] = {}
        self._contradiction: ContradictionError | None = None

    # ---------------------------------------------------------------- taking in local gradients (lines 2-9)

    def receive(self, envelope: bytes, now: float) -> Acceptance:
        """A client's upload, from verification to receipt. Raises what `accept` and `CachePool.flush` raise."""
        digest, announcement = self.accept(envelope, now)
        self.pool.flush()
        return Acceptance(self.receipt(digest), announcement)

    def accept(self, envelope: bytes, now: float) -> Accepted:
        """Verifies a client's upload and adds it to the cache pool, without waiting until it is durable.

        If its sequence is taken, the digest is that of the local gradient that took it, which may be the very same.
        Raises MessageError, BlobError, PoolFullError or GradientRejectedError (SignatureRejectedError,
        StaleSequenceError and ClientQuotaError among them); nothing has changed then.
        """
        return self._intake.accept(envelope, now)

    def receipt(self, digest: bytes) -> Receipt:
        """The signed promise that an accepted local gradient is durable; only to be given after `pool.flush`.

        A repeated one is the same bytes: replaying an upload costs an edge node no signature.
        """
        if digest not in self._receipts:
            if len(self._receipts) == _REMEMBERED_RECEIPTS:
                del self._receipts[next(iter(self._receipts))]
            statement = Receipt.statement(self.identity.id, digest)
            signature = self.identity.receipts.sign(statement, RECEIPT_CONTEXT)
            self._receipts[digest] = Receipt(self.identity.id, digest, signature)
        return self._receipts[digest]

    def exchange(self, announcement: Announcement, now: float) -> None:
        """A local gradient that another edge node took in. Raises like `accept`."""
        self._intake.exchange(announcement, now, ())

    def supplied(self, announcement: Announcement, wanted: Collection[bytes], now: float) -> None:
        """A peer's answer to the question for the digests `wanted`: what a block needs comes in whatever waits already.
        Raises like `accept`."""
        self._intake.exchange(announcement, now, wanted)

    def supply(self, digest: bytes) -> Announcement | None:
        """The announcement of a local gradient for a peer that misses it; those of the newest global update included,
        so that a peer that is late can catch up."""
        item = self.pool.get(digest)
        return None if item is None else Announcement(self._receiver(item), item.gradient.envelope)

    def next_sequence(self, client: bytes) -> int:
        """For a client that lost its state: the lowest sequence number above all that this edge node knows of."""
        return self._intake.next_sequence(client)

    def _receiver(self, item: PooledGradient) -> int:
        """Who took the local gradient in; this edge node answers for one that has retired since."""
        return item.receiver if item.receiver in self._participants.edge_nodes() else self.identity.id

    # ---------------------------------------------------------------- assembling a block (lines 10-13, 19-24)

    def due_at(self) -> float | None:
        """When the next block should be assembled: 0 for at once, None if there is nothing to record."""
        eligible = self.assembler.eligible()
        if not eligible:
            return None
        full = len(eligible) == self.state.parameters.max_transactions
        if full or self.state.completes_update(len(eligible)):
            return 0.0
        return min(item.known_at for item in eligible) + self.record_after

    def candidate(self) -> Candidate:
        """The block that this edge node would append next.

        Raises BlockRejectedError if there is nothing to record, MissingGradientsError or MissingHistoryError if
        something has to be fetched from peers first, ContradictionError after `halt`.
        """
        self._require_no_contradiction()
        items = self.assembler.eligible()
        if not items:
            raise BlockRejectedError("no local gradient waits to be recorded")
        transactions = [transaction(item.gradient.signed, item.gradient.header, self._receiver(item)) for item in items]
        return self.assembler.assemble(transactions, self.identity.account)

    def seal(self, candidate: Candidate, nonce: int) -> tuple[SealedBlock, Approval]:
        """The sealed block and this edge node's own approval of it, its blobs stored."""
        self._require_no_contradiction()
        block = candidate.sealed(nonce)
        self.state.check(block)
        return block, self._approve(candidate)

    def _keep_blobs(self, candidate: Candidate) -> None:
        self._blobs.put(candidate.body)
        if candidate.global_blob is not None:
            self._blobs.put(candidate.global_blob)

    def _approve(self, candidate: Candidate) -> Approval:
        """Signs that the block is valid and that everything of it is durable here."""
        self._keep_blobs(candidate)
        self.pool.flush()
        block = candidate.header.hash
        approval = Approval(block, self.identity.account, self.identity.certifier.sign(block))
        self._reviewed[block] = candidate, approval
        if len(self._reviewed) > _REMEMBERED_REVIEWS:
            del self._reviewed[next(iter(self._reviewed))]
        return approval

    def halt(self, contradiction: ContradictionError) -> None:
        """From now on this edge node certifies nothing: the ledger contradicts what it has computed."""
        self._contradiction = contradiction

    def _require_no_contradiction(self) -> None:
        if self._contradiction is not None:
            raise self._contradiction

    # ---------------------------------------------------------------- other edge nodes' blocks (lines 14-18)

    def review(self, block: SealedBlock) -> Approval:
        """Approves a sealed block of another edge node after recomputing all of it.

        Raises MissingGradientsError or MissingHistoryError if something has to be fetched first, else
        BlockRejectedError; ContradictionError after `halt`.
        """
        self._require_no_contradiction()
        if block.header.hash in self._reviewed and block.header.parent == self.state.head:
            candidate, approval = self._reviewed[block.header.hash]
            if block == candidate.sealed(block.nonce):
                return approval
        self.state.check(block)
        self._recomputation.check_participants(block)
        candidate = self._recomputation.of(block)
        self._recomputation.check_omissions(block)
        return self._approve(candidate)

    def missing(self, block: SealedBlock) -> list[bytes]:
        """Digests of the block's local gradients that the cache pool lacks."""
        return self._recomputation.missing(block)

    # ---------------------------------------------------------------- what the ledger appended

    def record(self, block: SealedBlock) -> GlobalUpdate | None:
        """Recomputes a block that the ledger appended and moves on to it; the global update that it carried, if any.

        Raises MissingGradientsError or MissingHistoryError if something has to be fetched first, BlockRejectedError if
        recomputation gives another block; nothing has changed then.
        """
        if block.header.hash in self._reviewed:
            candidate, _ = self._reviewed[block.header.hash]
        else:
            self.state.check(block)
            candidate = self._recomputation.of(block)
            self._keep_blobs(candidate)
        headers = {entry.gradient: self.assembler.pooled(entry).gradient.header for entry in block.transactions}
        self._reviewed.clear()
        self.recorded.move_on(block, headers, candidate.standing)
        return candidate.update

    def adopt(self, block: SealedBlock, body: Body, basis: Basis | None = None) -> None:
        """Moves on to a block that the ledger appended without recomputing it: its local gradients can't be had any
        more, and more than half of the edge nodes have certified it.

        `basis` is what its global update led to, if it carries one; without it this edge node can follow the ledger,
        but assemble and review no further global update until `complete`. Raises BlockRejectedError, with nothing
        changed, if the block does not follow, or body or history are not its own.
        """
        self.state.check(block)
        headers = headers_of(block, body)
        self.state.check_contents(block.transactions, headers, self.rules.per_client)
        standing = None
        if block.header.is_global_update:
            standing = Standing(body.history, None) if basis is None else Standing.on(basis)
            if standing.history_digest != body.history:
                raise BlockRejectedError(f"the history is not the one that block {block.header.number} names")
        self._reviewed.clear()
        self.recorded.move_on(block, headers, standing)

    def complete(self, basis: Basis) -> None:
        """Brings what the newest global update led to, after it was adopted without. Raises BlockRejectedError."""
        self.recorded.complete(basis)

    def undo(self) -> SealedBlock:
        """Takes back the newest block, which a host reorganisation took away: its local gradients wait again. Raises
        FinalityError if the block was final."""
        self._reviewed.clear()
        return self.recorded.undo()

    def missing_pending(self) -> list[bytes]:
        """Digests of recorded local gradients that the next global update needs and the cache pool lacks."""
        return [entry.gradient for entry in self.state.pending if self.pool.get(entry.gradient) is None]
