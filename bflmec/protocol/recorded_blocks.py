"""The newest blocks of the ledger, which a host reorganisation may still take away, on top of those that it may not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bflmec.errors import BlockRejectedError, FinalityError, MessageError
from bflmec.protocol.aggregator import Aggregator, Basis, Standing
from bflmec.protocol.blocks import ZERO_DIGEST, SealedBlock
from bflmec.protocol.cache_pool import CachePool
from bflmec.protocol.ledger_state import LedgerState
from bflmec.protocol.messages import Body, GradientHeader, transaction


@dataclass(frozen=True)
class Step:
    """A recorded block: the headers of its local gradients by digest, the digests that its global update took in (none
    if it carries no global update), and where the block has left the ledger."""

    block: SealedBlock
    headers: Mapping[bytes, GradientHeader]
    taken: frozenset[bytes]
    standing: Standing


def headers_of(block: SealedBlock, body: Body) -> dict[bytes, GradientHeader]:
    """The local gradient headers of a block by digest, out of its body. Raises BlockRejectedError if the body is not
    what the block's transactions record."""
    number = block.header.number
    if body.number != number or len(body.entries) != len(block.transactions):
        raise BlockRejectedError(f"the body of block {number} is another block's")
    if (body.history == ZERO_DIGEST) == block.header.is_global_update:
        raise BlockRejectedError(f"the body of block {number} names a history digest where none belongs, or none")
    try:
        headers = [GradientHeader.decode(signed.header) for signed in body.entries]
    except MessageError as error:
        raise BlockRejectedError(f"the body of block {number} holds something else than headers: {error}") from error
    for entry, signed, header in zip(block.transactions, body.entries, headers, strict=True):
        if transaction(signed, header, entry.receiver) != entry:
            raise BlockRejectedError(f"the body of block {number} does not match its transactions")
    return {header.digest: header for header in headers}


class RecordedBlocks:
    """Moves state and aggregator on and back. A block is final once `final_after` blocks follow it.

    What a block has settled leaves the cache pool when it is final; what a global update took in stays for late peers
    until the next one is final too. `on_final` is told of every block that became final.
    """

    def __init__(self, state: LedgerState, aggregator: Aggregator, pool: CachePool, final_after: int) -> None:
        self.final_after = final_after
        self.on_final: Callable[[Step], None] = lambda step: None
        self.steps: deque[Step] = deque()
        self._state = state
        self._aggregator = aggregator
        self._pool = pool
        self._final = state.copy() if final_after else state
        self._final_standing = aggregator.standing
        self._taken: frozenset[bytes] = frozenset()

    @property
    def final(self) -> LedgerState:
        """The state after the newest final block."""
        return self._final

    def move_on(self, block: SealedBlock, headers: Mapping[bytes, GradientHeader], standing: Standing | None) -> None:
        """Records a checked block; `standing` is where its global update leads to, if it carries one."""
        taken = [*self._state.pending, *block.transactions] if standing else []
        self._state.apply(block, headers)
        if standing is not None:
            self._aggregator.move(standing)
        digests = frozenset(entry.gradient for entry in taken)
        self.steps.append(Step(block, headers, digests, self._aggregator.standing))
        if len(self.steps) > self.final_after:
            self._finalise()

    def undo(self) -> SealedBlock:
        """Takes the newest block back. Raises FinalityError if it is final."""
        if not self.steps:
            raise FinalityError(
                f"block {self._state.number} was taken for final and is gone from the ledger; raise final_after, "
                "delete the journal and start again"
            )
        block = self.steps.pop().block
        self._state.become(self._final)
        for step in self.steps:
            self._state.apply(step.block, step.headers)
        self._aggregator.move(self.steps[-1].standing if self.steps else self._final_standing)
        return block

    def start_from(self, state: LedgerState, standing: Standing) -> None:
        """Begins at a final state that was reached earlier."""
        self.steps.clear()
        self._state.become(state)
        if self._final is not self._state:
            self._final.become(state)
        self._final_standing = standing
        self._aggregator.move(standing)

    def complete(self, basis: Basis) -> None:
        """Brings the global gradient and the history that the newest global update led to.

        Raises BlockRejectedError if the history is not the one that its block body names.
        """
        incomplete = self._aggregator.standing
        complete = Standing.on(basis)
        if complete.history_digest != incomplete.history_digest:
            raise BlockRejectedError("the history is not the one that the newest global update names")
        for index, step in enumerate(self.steps):
            if step.standing is incomplete:
                self.steps[index] = replace(step, standing=complete)
        if self._final_standing is incomplete:
            self._final_standing = complete
        self._aggregator.move(complete)

    def _finalise(self) -> None:
        step = self.steps.popleft()
        if self._final is not self._state:
            self._final.apply(step.block, step.headers)
        self._final_standing = step.standing
        self._taken = step.taken or self._taken
        self._drop_settled()
        self.on_final(step)

    def _drop_settled(self) -> None:
        kept = self._taken.union(entry.gradient for entry in self._final.pending)
        for item in self._pool:
            header = item.gradient.header
            is_free = self._final.is_sequence_free(header.client, header.sequence)
            if header.digest not in kept and not (is_free and self._can_have_its_anchor(header)):
                self._pool.remove(header.digest)

    def _can_have_its_anchor(self, header: GradientHeader) -> bool:
        """False once a reorganisation that took the anchor of a local gradient away is final."""
        return header.anchor > self._final.number or self._final.holds_anchor_of(header)
