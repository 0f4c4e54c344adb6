"""An edge node (Algorithm 3): takes in local gradients, assembles blocks, recomputes those of others, keeps up.

The object only decides. Its driver, a simulation or a service, carries messages, searches nonces and appends blocks:

    accept -> flush -> receipt                          lines 2-4
    announcement to peers -> exchange                   lines 5-9
    candidate -> nonce search -> seal -> proposal       lines 10-13, 19-24
    review -> approval -> Ballot -> append              lines 14-18
    record, for every block that the ledger appended
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from bflmec.errors import (
    BlockRejectedError,
    ClientQuotaError,
    GradientRejectedError,
    MessageError,
    MissingGradientsError,
    StaleSequenceError,
    StorageError,
)
from bflmec.learning.global_update import GlobalUpdate
from bflmec.protocol.block_assembler import BlockAssembler, Candidate
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.cache_pool import CachePool, PooledGradient
from bflmec.protocol.ledger_state import LedgerState
from bflmec.protocol.messages import (
    MAX_BODY,
    RECEIPT_CONTEXT,
    Announcement,
    Approval,
    Body,
    GradientHeader,
    Receipt,
    decode,
    transaction,
)
from bflmec.protocol.ports import Blobs, Certifier, Participants, Signer
from bflmec.protocol.rules import Rules
from bflmec.protocol.sequence import WINDOW
from bflmec.protocol.verification import GradientVerifier
from bflmec.storage.cid import RAW, Cid

MAX_WAITING = WINDOW // 2
"""Local gradients of one client that an edge node lets wait: few enough that recording them in any order pushes none of
them out of the sequence window."""


class Accepted(NamedTuple):
    """What became of a client's upload: the local gradient that it stands for now and, if that is new, its announcement
    to the peers. Nothing is promised before the cache pool was flushed and the receipt given."""

    digest: bytes
    announcement: Announcement | None


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

    `record_after` is how many seconds a local gradient waits for others before it is recorded without them.
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
    ) -> None:
        rules.require(state.parameters.rules_digest)
        self.identity = identity
        self.state = state
        self.assembler = assembler
        self.pool = pool
        self.record_after = record_after
        self._participants = participants
        self.rules = rules
        self._verifier = verifier
        self._blobs = blobs
        self._reviewed: dict[bytes, Candidate] = {}
        self._aggregated: dict[bytes, PooledGradient] = {}

    # ---------------------------------------------------------------- taking in local gradients (lines 2-9)

    def receive(self, envelope: bytes, now: float) -> Acceptance:
        """A client's upload, from verification to receipt. Raises what `accept` raises."""
        digest, announcement = self.accept(envelope, now)
        self.pool.flush()
        return Acceptance(self.receipt(digest), announcement)

    def accept(self, envelope: bytes, now: float) -> Accepted:
        """Verifies a client's upload and adds it to the cache pool, without waiting until it is durable.

        If its sequence is taken, the digest is that of the local gradient that took it, which may be the very same.

        Raises MessageError, BlobError or GradientRejectedError.
        """
        gradient = self._verifier(envelope)
        held = self._holder_of_sequence(gradient.header)
        if held is not None:
            return Accepted(held, None)
        if sum(item.gradient.header.client == gradient.header.client for item in self.pool) >= MAX_WAITING:
            raise ClientQuotaError(
                f"{MAX_WAITING} local gradients of 0x{gradient.header.client.hex()} wait for a global update; "
                "train on and send the average later"
            )
        self.pool.add(PooledGradient(gradient, self.identity.id, self.state.number, now))
        return Accepted(gradient.digest, Announcement(self.identity.id, envelope))

    def receipt(self, digest: bytes) -> Receipt:
        """The signed promise that an accepted local gradient is durable; only to be given after `pool.flush`."""
        statement = Receipt.statement(self.identity.id, digest)
        return Receipt(self.identity.id, digest, self.identity.receipts.sign(statement, RECEIPT_CONTEXT))

    def exchange(self, announcement: Announcement, now: float) -> None:
        """A local gradient that another edge node took in. Raises like `receive`."""
        if announcement.receiver not in self._participants.edge_nodes():
            raise GradientRejectedError(f"{announcement.receiver} is no active edge node")
        gradient = self._verifier(announcement.envelope)
        if self.pool.get(gradient.digest) is not None:
            return
        if not self.state.is_sequence_free(gradient.header.client, gradient.header.sequence):
            return
        self.pool.add(PooledGradient(gradient, announcement.receiver, self.state.number, now))

    def supply(self, digest: bytes) -> Announcement | None:
        """The announcement of a local gradient for a peer that misses it: one of the cache pool or, so that a peer that
        is late can catch up, of the newest global update."""
        item = self.pool.get(digest) or self._aggregated.get(digest)
        return None if item is None else Announcement(self._receiver(item), item.gradient.envelope)

    def _receiver(self, item: PooledGradient) -> int:
        """Who took the local gradient in; this edge node answers for one that has retired since."""
        return item.receiver if item.receiver in self._participants.edge_nodes() else self.identity.id

    def _holder_of_sequence(self, header: GradientHeader) -> bytes | None:
        if not self.state.is_sequence_free(header.client, header.sequence):
            recorded = self.state.recorded_gradient(header.client, header.sequence)
            if recorded is None:
                raise StaleSequenceError(f"sequence {header.sequence} is older than the window; sign the next one")
            return recorded
        held = self.pool.of_sequence(header.client, header.sequence)
        return None if held is None else held.gradient.digest

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
        """The block that this edge node would append next. Raises BlockRejectedError if there is nothing to record."""
        items = self.assembler.eligible()
        if not items:
            raise BlockRejectedError("no local gradient waits to be recorded")
        transactions = [transaction(item.gradient.signed, item.gradient.header, self._receiver(item)) for item in items]
        return self.assembler.assemble(transactions, self.identity.account)

    def seal(self, candidate: Candidate, nonce: int) -> tuple[SealedBlock, Approval]:
        """The sealed block and this edge node's own approval of it, its blobs stored."""
        block = candidate.sealed(nonce)
        self.state.check(block)
        return block, self._approve(candidate)

    def _approve(self, candidate: Candidate) -> Approval:
        self._blobs.put(candidate.body)
        if candidate.global_blob is not None:
            self._blobs.put(candidate.global_blob)
        block = candidate.header.hash
        self._reviewed[block] = candidate
        return Approval(block, self.identity.account, self.identity.certifier.sign(block))

    # ---------------------------------------------------------------- other edge nodes' blocks (lines 14-18)

    def review(self, block: SealedBlock) -> Approval:
        """Approves a sealed block of another edge node after recomputing all of it.

        Raises MissingGradientsError if local gradients have to be fetched first, else BlockRejectedError.
        """
        self.state.check(block)
        self._check_participants(block)
        candidate = self._recompute(block)
        self._check_omissions(block)
        return self._approve(candidate)

    def missing(self, block: SealedBlock) -> list[bytes]:
        """Digests of the block's local gradients that the cache pool lacks."""
        return [entry.gradient for entry in block.transactions if self.pool.get(entry.gradient) is None]

    def _check_participants(self, block: SealedBlock) -> None:
        active = self._participants.edge_nodes()
        if block.header.edge_node not in active.values():
            raise BlockRejectedError(f"0x{block.header.edge_node.hex()} is no active edge node")
        if any(entry.receiver not in active for entry in block.transactions):
            raise BlockRejectedError("a transaction names a receiver that is no active edge node")

    def _recompute(self, block: SealedBlock) -> Candidate:
        absent = self.missing(block)
        if absent:
            raise MissingGradientsError(absent)
        headers = {entry.gradient: self.assembler.pooled(entry).gradient.header for entry in block.transactions}
        self.state.check_contents(block.transactions, headers, self.rules.per_client)
        self._adopt_signatures(block)
        candidate = self.assembler.assemble(block.transactions, block.header.edge_node)
        if candidate.header != block.header or candidate.rewards != block.rewards:
            raise BlockRejectedError(f"recomputation of block {block.header.number} gives another block")
        return candidate

    def _adopt_signatures(self, block: SealedBlock) -> None:
        """A client can sign one local gradient twice. Where the block records another signature than the cache pool
        holds, the body, which its miner has stored, brings it."""
        items = [self.assembler.pooled(entry) for entry in block.transactions]
        other = [
            index
            for index, (item, entry) in enumerate(zip(items, block.transactions, strict=True))
            if item.gradient.signed.signature_digest != entry.signature
        ]
        if not other:
            return
        try:
            body = decode(Body, self._blobs.get(Cid(RAW, block.header.body_digest), MAX_BODY))
            resigned = [self._verifier.resigned(items[index].gradient, body.entries[index]) for index in other]
        except (StorageError, MessageError, GradientRejectedError, IndexError) as error:
            raise BlockRejectedError(f"the body of block {block.header.number} lacks a signature: {error}") from error
        for index, gradient in zip(other, resigned, strict=True):
            self.pool.add(replace(items[index], gradient=gradient))

    def _check_omissions(self, block: SealedBlock) -> None:
        headers = [self.assembler.pooled(entry).gradient.header for entry in block.transactions]
        recorded = {(header.client, header.sequence) for header in headers}
        for item in self.assembler.eligible():
            header = item.gradient.header
            overdue = block.header.number - item.known_at_block > self.rules.omission_limit
            if not overdue or (header.client, header.sequence) in recorded:
                continue
            if self.assembler.has_room(block.transactions, item):
                raise BlockRejectedError(
                    f"the block leaves out a local gradient that is known since block {item.known_at_block}"
                )

    # ---------------------------------------------------------------- what the ledger appended

    def record(self, block: SealedBlock) -> GlobalUpdate | None:
        """Moves on to a block that the ledger appended; the global update that it carried, if any.

        Raises MissingGradientsError, with nothing changed, if the cache pool lacks some of its local gradients.
        """
        candidate = self._reviewed.get(block.header.hash)
        if candidate is None:
            self.state.check(block)
            candidate = self._recompute(block)
            self._approve(candidate)
        aggregated = [*self.state.pending, *block.transactions] if candidate.update else []
        headers = {entry.gradient: self.assembler.pooled(entry).gradient.header for entry in block.transactions}
        self.state.apply(block, headers)
        self._reviewed.clear()
        if candidate.update is not None:
            self.assembler.aggregator.advance(candidate.update)
        if aggregated:
            self._aggregated = {entry.gradient: self.assembler.pooled(entry) for entry in aggregated}
        for entry in aggregated:
            self.pool.remove(entry.gradient)
        self._drop_superseded()
        return candidate.update

    def _drop_superseded(self) -> None:
        pending = {entry.gradient for entry in self.state.pending}
        for item in self.pool:
            header = item.gradient.header
            if header.digest not in pending and not self.state.is_sequence_free(header.client, header.sequence):
                self.pool.remove(header.digest)
