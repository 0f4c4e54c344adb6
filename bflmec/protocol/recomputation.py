"""Recomputing another edge node's block: what is checked before anybody signs it or moves on to it."""

from __future__ import annotations

from dataclasses import replace

from bflmec.errors import BlockRejectedError, GradientRejectedError, MessageError, MissingGradientsError, StorageError
from bflmec.protocol.block_assembler import BlockAssembler, Candidate
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.cache_pool import CachePool
from bflmec.protocol.ledger_state import LedgerState
from bflmec.protocol.messages import MAX_BODY, Body, decode
from bflmec.protocol.ports import Blobs, Participants
from bflmec.protocol.rules import Rules
from bflmec.protocol.verification import GradientVerifier
from bflmec.storage.cid import RAW, Cid


class Recomputation:
    """Compares sealed blocks with what the cache pool and the rules lead to."""

    def __init__(
        self,
        state: LedgerState,
        participants: Participants,
        rules: Rules,
        verifier: GradientVerifier,
        assembler: BlockAssembler,
        pool: CachePool,
        blobs: Blobs,
    ) -> None:
        self._state = state
        self._participants = participants
        self._rules = rules
        self._verifier = verifier
        self._assembler = assembler
        self._pool = pool
        self._blobs = blobs

    def missing(self, block: SealedBlock) -> list[bytes]:
        """Digests of the block's local gradients that the cache pool lacks."""
        return [entry.gradient for entry in block.transactions if self._pool.get(entry.gradient) is None]

    def check_participants(self, block: SealedBlock) -> None:
        """Raises BlockRejectedError unless miner and receivers are active edge nodes."""
        active = self._participants.edge_nodes()
        if block.header.edge_node not in active.values():
            raise BlockRejectedError(f"0x{block.header.edge_node.hex()} is no active edge node")
        if any(entry.receiver not in active for entry in block.transactions):
            raise BlockRejectedError("a transaction names a receiver that is no active edge node")

    def of(self, block: SealedBlock) -> Candidate:
        """The same block, computed here. Raises MissingGradientsError or MissingHistoryError if something has to be
        fetched first, BlockRejectedError if it comes out differently."""
        absent = self.missing(block)
        if block.header.is_global_update:
            pending = (entry.gradient for entry in self._state.pending)
            absent += [digest for digest in pending if self._pool.get(digest) is None]
        if absent:
            raise MissingGradientsError(absent)
        headers = {entry.gradient: self._assembler.pooled(entry).gradient.header for entry in block.transactions}
        self._state.check_contents(block.transactions, headers, self._rules.per_client)
        self._adopt_signatures(block)
        candidate = self._assembler.assemble(block.transactions, block.header.edge_node)
        if candidate.header != block.header or candidate.rewards != block.rewards:
            raise BlockRejectedError(f"recomputation of block {block.header.number} gives another block")
        return candidate

    def _adopt_signatures(self, block: SealedBlock) -> None:
        """A client can sign one local gradient twice. Where the block records another signature than the cache pool
        holds, the body, which its miner has stored, brings it."""
        items = [self._assembler.pooled(entry) for entry in block.transactions]
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
            self._pool.add(replace(items[index], gradient=gradient))

    def check_omissions(self, block: SealedBlock) -> None:
        """Raises BlockRejectedError if the block leaves out what was known long ago and had room."""
        headers = [self._assembler.pooled(entry).gradient.header for entry in block.transactions]
        recorded = {(header.client, header.sequence) for header in headers}
        for item in self._assembler.eligible():
            header = item.gradient.header
            overdue = block.header.number - item.known_at_block > self._rules.omission_limit
            if not overdue or (header.client, header.sequence) in recorded:
                continue
            if self._assembler.has_room(block.transactions, item):
                raise BlockRejectedError(
                    f"the block leaves out a local gradient that is known since block {item.known_at_block}"
                )
