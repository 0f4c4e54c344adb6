"""Follows the blocks of a ledger on a chain that may reorganise, lag behind or answer with errors.

A host chain's hash binds everything below it. So it is enough to remember one host block that was read, with its hash:
as long as the chain still has it, nothing that was reported has changed, and reading goes on above it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from web3 import Web3
from web3.exceptions import BlockNotFound

from bflmec.errors import LedgerError
from bflmec.ledger.deployment import Deployment
from bflmec.ledger.events import HOST_BLOCKS_PER_QUERY, BlockEvents, RecordedBlock
from bflmec.ledger.refusals import ledger_errors
from bflmec.protocol.blocks import genesis_parent

QUERIES_PER_POLL = 32
"""After so many queries a poll returns what it has: whoever follows a long chain can work in between."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The block of the ledger up to which a follower has read, and the host block that holds it. Hashes: 32 bytes."""

    number: int
    hash: bytes
    host_block: int
    host_hash: bytes

    @classmethod
    def at(cls, recorded: RecordedBlock) -> Checkpoint:
        """The checkpoint right after that block."""
        header = recorded.block.header
        return cls(header.number, header.hash, recorded.host_block, recorded.host_hash)


class BlockAdded(NamedTuple):
    """The ledger has one more block."""

    recorded: RecordedBlock


class BlockRemoved(NamedTuple):
    """A reorganisation of the host chain took the newest block away."""

    recorded: RecordedBlock


Change: TypeAlias = BlockAdded | BlockRemoved


class _UnsettledError(Exception):
    """The chain changed between two questions, or two nodes answered them; ask again later."""


class Follower:
    """Reports each block of a ledger once, in order, and takes back what a reorganisation removed.

    It starts at `checkpoint`, or at the first block. With `confirmations` = n the newest n host blocks are left out.
    Reorganisations are undone up to `depth` blocks of the ledger deep, and not below the checkpoint it started from.
    """

    def __init__(
        self,
        w3: Web3,
        deployment: Deployment,
        checkpoint: Checkpoint | None = None,
        *,
        confirmations: int = 0,
        depth: int = 256,
    ) -> None:
        self._w3 = w3
        self._events = BlockEvents(w3, deployment.ledger, deployment.block)
        self._confirmations = confirmations
        self._known: deque[RecordedBlock] = deque(maxlen=depth)
        self._checkpoint = checkpoint
        self._seen = None if checkpoint is None else (checkpoint.host_block, checkpoint.host_hash)
        self._next = deployment.block if checkpoint is None else checkpoint.host_block
        self._start = self._next
        self._genesis = genesis_parent(deployment.chain_id, deployment.ledger)
        self._range = HOST_BLOCKS_PER_QUERY
        self._forgotten = False

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Where the changes reported so far end; None before the first block."""
        return Checkpoint.at(self._known[-1]) if self._known else self._checkpoint

    def poll(self) -> list[Change]:
        """What has changed since the last call, oldest first.

        Empty if nothing did, if the node lags behind what was read before, or if it answers with two different chains;
        then call again later. Raises LedgerError if the node can't be asked or its events contradict each other
        (nothing is lost, call again), or if a reorganisation is deeper than this follower remembers (start from an
        older checkpoint).
        """
        changes: list[Change] = []
        with ledger_errors():
            newest = self._w3.eth.block_number - self._confirmations
        try:
            if not self._is_still_there(changes):
                return changes
            for _ in range(QUERIES_PER_POLL):
                if self._next > newest:
                    break
                self._read(newest, changes)
        except _UnsettledError:
            pass
        except LedgerError:
            if not changes:
                raise  # else what was read counts, and the next call meets the error again
        return changes

    def _is_still_there(self, changes: list[Change]) -> bool:
        """Removes what the chain no longer has. False if the node has not come so far yet."""
        if self._seen is None:
            return True
        present = self._hash_of(self._seen[0])
        if present is None:
            return False
        if present == self._seen[1]:
            return True
        for kept in range(len(self._known), 0, -1):
            newest = self._known[kept - 1]
            present = self._hash_of(newest.host_block)
            if present is None:
                return False
            if present == newest.host_hash:
                self._undo(kept, changes)
                self._go_on_from(newest.host_block, newest.host_hash)
                return True
        return self._return_to_start(changes)

    def _return_to_start(self, changes: list[Change]) -> bool:
        start = self._checkpoint
        present = None if start is None else self._hash_of(start.host_block)
        if start is not None and present is None:
            return False
        if self._forgotten or (start is not None and present != start.host_hash):
            raise LedgerError(
                "the chain was reorganised deeper than this follower remembers; start it from an older checkpoint, or "
                "from none to read the ledger from its first block"
            )
        self._undo(0, changes)
        if start is None:
            self._seen, self._next = None, self._start
        else:
            self._go_on_from(start.host_block, start.host_hash)
        return True

    def _undo(self, kept: int, changes: list[Change]) -> None:
        """Once every question is answered, so that an error or another node in between changes nothing."""
        while len(self._known) > kept:
            changes.append(BlockRemoved(self._known.pop()))

    def _go_on_from(self, host_block: int, host_hash: bytes) -> None:
        """A host block can hold several blocks of the ledger: reading goes on in it, not after it."""
        self._seen, self._next = (host_block, host_hash), host_block

    def _read(self, newest: int, changes: list[Change]) -> None:
        """The blocks in the next host blocks, as many as one query may ask for."""
        end = min(self._next + self._range - 1, newest)
        before = self._hash_of(end)
        if before is None:
            raise _UnsettledError
        try:
            found = self._events.within(self._next, end)
        except LedgerError:
            if self._range == 1:
                raise
            self._range = max(self._range // 2, 1)  # public nodes bound queries by blocks, logs or bytes
            return
        if self._hash_of(end) != before or not self._fits(found):
            raise _UnsettledError
        number = self._number
        for recorded in found:
            if recorded.block.header.number > number:
                self._forgotten = self._forgotten or len(self._known) == self._known.maxlen
                self._known.append(recorded)
                changes.append(BlockAdded(recorded))
        self._seen, self._next = (end, before), end + 1
        self._range = min(self._range * 2, HOST_BLOCKS_PER_QUERY)

    def _fits(self, found: list[RecordedBlock]) -> bool:
        """Whether the blocks go on where the known ones end; if not, the node answered from another chain."""
        known = number = self._number
        parent = self._hash
        for recorded in found:
            header = recorded.block.header
            if header.number <= known:
                continue
            if (header.number, header.parent) != (number + 1, parent):
                return False
            number, parent = header.number, header.hash
        return True

    @property
    def _number(self) -> int:
        checkpoint = self.checkpoint
        return 0 if checkpoint is None else checkpoint.number

    @property
    def _hash(self) -> bytes:
        checkpoint = self.checkpoint
        return self._genesis if checkpoint is None else checkpoint.hash

    def _hash_of(self, host_block: int) -> bytes | None:
        with ledger_errors():
            try:
                return bytes(self._w3.eth.get_block(host_block)["hash"])
            except BlockNotFound:
                return None
