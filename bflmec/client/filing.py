"""Getting local gradients to the ledger: sent until an edge node promises to keep them, filed again if it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import RLock
from typing import Final

from bflmec.client.edge_nodes import EdgeNodes
from bflmec.client.ledger_access import LedgerAccess
from bflmec.client.ledger_index import LedgerIndex
from bflmec.client.state import ClientState
from bflmec.client.store import FiledGradient, WalletStore
from bflmec.errors import BFLMECError, LedgerError, MessageError, StaleSequenceError, StorageError
from bflmec.protocol.messages import MAX_BODY, Body, GradientHeader, decode
from bflmec.protocol.ports import Blobs
from bflmec.protocol.sequence import WINDOW
from bflmec.storage.cid import RAW, Cid

SETTLED_BLOCKS: Final = 64
"""Blocks after which nobody files a recorded local gradient again: its envelope is dropped."""


@dataclass(frozen=True, slots=True)
class Filed:
    """A local gradient that an edge node promised to keep: its digest, its sequence number, the id of the edge node,
    and how many local updates it averages."""

    digest: bytes
    sequence: int
    edge_node: int
    updates: int


class Filing:
    """Threads may share it. What has a receipt but no place in the ledger after `patience` seconds is filed with
    another edge node; `clock` is monotonic."""

    def __init__(
        self,
        account: bytes,
        state: ClientState,
        store: WalletStore,
        index: LedgerIndex,
        access: LedgerAccess,
        edge_nodes: EdgeNodes,
        blobs: Blobs,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._state = state
        self._store = store
        self._index = index
        self._access = access
        self._edge_nodes = edge_nodes
        self._blobs = blobs
        self._patience = patience
        self._clock = clock
        self._filed_at: dict[bytes, float] = {}
        self._sending = RLock()
        self._sequence_checked = False

    # ---------------------------------------------------------------- sending

    def send(self) -> Filed | None:
        """Sends the average of everything pending; None if nothing is.

        Raises NoEdgeNodeError if no edge node takes it now, GradientRejectedError if all that answer refuse it; it
        stays pending.
        """
        with self._sending:
            if not self._state.pending:
                return None
            self.refresh_registry()
            if not self._sequence_checked and self._store.attempt() is None:
                self._find_sequence()
            try:
                return self._send()
            except StaleSequenceError:
                before = self._state.sequence
                self._find_sequence()
                return self._send(insist=self._state.sequence == before)

    def _send(self, *, insist: bool = False) -> Filed:
        kept = self._edge_nodes.send(self._state.compose, self._state.is_attempt, insist=insist)
        sequence = self._state.sequence
        updates = self._state.file(kept)
        self._filed_at[kept.receipt.gradient] = self._clock()
        return Filed(kept.receipt.gradient, sequence, kept.receipt.edge_node, updates)

    def refresh_registry(self) -> None:
        """Reads who the edge nodes are, if the ledger answers; else those known so far have to do."""
        try:
            self._edge_nodes.refresh(self._access.client.participants)
        except LedgerError:
            if not self._edge_nodes.contacts:
                raise

    # ---------------------------------------------------------------- a wallet that lost its state

    def _find_sequence(self) -> None:
        """A sequence number above all that the ledger and the edge nodes know of this client: a wallet that lost its
        state or was restored from a backup must not sign one twice. Each process looks once, unless it finds an
        envelope that an edge node may have taken in: that has to end under its own number."""
        told = self._edge_nodes.next_sequence(self._account)
        try:
            self._access.follow()
            recorded = self._next_recorded()
            told = max(recorded, min(told, recorded + WINDOW))  # what waits is not further ahead than that
        except LedgerError:
            if not self._edge_nodes.distances():
                raise
        if told > self._state.sequence:
            self._state.continue_from(told)
        self._sequence_checked = True

    def _next_recorded(self) -> int:
        return max(self._recorded_sequences(), default=0) + 1

    def _recorded_sequences(self) -> set[int]:
        """The sequence numbers of this client's newest local gradients in the ledger, a window's width of them. Raises
        LedgerError if a block's body can't be read."""
        sequences: set[int] = set()
        for block in self._index.recording_blocks():
            own = [index for index, entry in enumerate(block.transactions) if entry.client == self._account]
            try:
                body = decode(Body, self._blobs.get(Cid(RAW, block.header.body_digest), MAX_BODY))
                sequences |= {GradientHeader.decode(body.entries[index].header).sequence for index in own}
            except (StorageError, MessageError, IndexError) as error:
                raise LedgerError(f"the body of block {block.header.number} can't be read: {error}") from error
            if len(sequences) >= WINDOW:
                break
        return sequences

    # ---------------------------------------------------------------- what was promised

    def watch(self) -> list[FiledGradient]:
        """Looks what the ledger has recorded, and files again what an edge node has kept for itself too long.

        Returns what still waits. Raises LedgerError if the ledger does not answer.
        """
        self._access.follow()
        self._store.settle(self._index.number - SETTLED_BLOCKS)
        waiting = self._store.waiting()
        now = self._clock()
        for gradient in waiting:
            if now - self._filed_at.setdefault(gradient.digest, now) >= self._patience:
                self._filed_at[gradient.digest] = now
                self._file_again(gradient)
        return waiting

    def _file_again(self, gradient: FiledGradient) -> None:
        envelope = gradient.envelope
        if envelope is None:
            return
        holders = {kept.receipt.edge_node for kept in gradient.receipts}
        everybody = {contact.id for contact in self._edge_nodes.contacts}
        try:
            known = {gradient.digest}.__contains__
            kept = self._edge_nodes.send(lambda: envelope, known, holders if everybody - holders else ())
        except StaleSequenceError:
            self._supersede(gradient)
            return
        except BFLMECError:
            return  # the promise stands; next time
        self._store.add_receipt(kept)

    def _supersede(self, gradient: FiledGradient) -> None:
        """The edge node says that something else took the sequence number. Believed only if the ledger shows it."""
        with suppress(LedgerError):
            if gradient.header.sequence in self._recorded_sequences():
                self._store.supersede(gradient.digest)
