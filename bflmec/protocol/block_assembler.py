"""Assembling a block (Algorithm 3, lines 10-13 and 19-24), one's own or, in a review, another edge node's again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bflmec.errors import BlockRejectedError, MissingGradientsError
from bflmec.learning.blob import encode_blob
from bflmec.learning.global_update import GlobalUpdate
from bflmec.learning.tensors import TensorSpec
from bflmec.protocol import merkle
from bflmec.protocol.aggregator import Aggregator, Standing
from bflmec.protocol.blocks import ZERO_DIGEST, Header, Reward, SealedBlock, Transaction, transactions_hash
from bflmec.protocol.cache_pool import CachePool, PooledGradient
from bflmec.protocol.ledger_state import LedgerState
from bflmec.protocol.messages import MAX_BODY, Body, GradientHeader, SignedHeader, encode
from bflmec.protocol.ports import Participants
from bflmec.protocol.rules import Rules
from bflmec.protocol.verification import LocalGradient, has_registered_key
from bflmec.storage.unixfs import cid_of

ENTRY_OVERHEAD = 64
"""More than msgpack adds to the fields of one body entry."""


def entry_size(signed: SignedHeader) -> int:
    """Bytes that a local gradient takes up in a block body, at most."""
    return len(signed.header) + len(signed.signature) + len(signed.public_key) + ENTRY_OVERHEAD


@dataclass(frozen=True)
class Candidate:
    """An assembled block that waits for its nonce, with the blobs and the global update behind it, and where that leads
    to."""

    header: Header
    transactions: tuple[Transaction, ...]
    rewards: tuple[Reward, ...]
    body: bytes
    global_blob: bytes | None
    update: GlobalUpdate | None
    standing: Standing | None

    def sealed(self, nonce: int) -> SealedBlock:
        return SealedBlock(self.header, nonce, self.transactions, self.rewards)


class BlockAssembler:
    """Turns pooled local gradients into the one block that they lead to on the current head."""

    def __init__(
        self,
        state: LedgerState,
        participants: Participants,
        pool: CachePool,
        aggregator: Aggregator,
        rules: Rules,
        spec: TensorSpec,
    ) -> None:
        self.aggregator = aggregator
        self._participants = participants
        self._state = state
        self._pool = pool
        self._rules = rules
        self._spec = spec

    def eligible(self) -> list[PooledGradient]:
        """Pooled local gradients that the next block may record, oldest first, as many as fit one block."""
        limit = self._state.parameters.max_transactions
        counts = Counter(recorded.client for recorded in self._state.pending)
        size = ENTRY_OVERHEAD
        chosen: list[PooledGradient] = []
        for item in self._pool:
            header, signed = item.gradient.header, item.gradient.signed
            if counts[header.client] >= self._rules.per_client or not self._is_first_choice(header):
                continue
            size += entry_size(signed)
            if len(chosen) == limit or size > MAX_BODY:
                break
            counts[header.client] += 1
            chosen.append(item)
        return chosen

    def _is_first_choice(self, header: GradientHeader) -> bool:
        """Whether the local gradient is the first pooled one of a free sequence, among those that edge nodes accept."""
        if not self._state.is_sequence_free(header.client, header.sequence):
            return False
        rivals = (item.gradient for item in self._pool.of_sequence(header.client, header.sequence))
        return next((rival.digest for rival in rivals if self._is_acceptable(rival)), None) == header.digest

    def _is_acceptable(self, gradient: LocalGradient) -> bool:
        """Whether other edge nodes would take it now: its anchor is there, and its client has not changed its key."""
        return self._state.holds_anchor_of(gradient.header) and has_registered_key(self._participants, gradient)

    def has_room(self, transactions: Sequence[Transaction], item: PooledGradient) -> bool:
        """Whether a block of these transactions, which are pooled, could have recorded `item` too."""
        limit = self._state.parameters.max_transactions
        share = Counter(entry.client for entry in (*self._state.pending, *transactions))[item.gradient.header.client]
        size = ENTRY_OVERHEAD + sum(entry_size(self.pooled(entry).gradient.signed) for entry in transactions)
        fits = size + entry_size(item.gradient.signed) <= MAX_BODY
        return fits and len(transactions) < limit and share < self._rules.per_client

    def assemble(self, transactions: Sequence[Transaction], miner: bytes) -> Candidate:
        """The block of these transactions. Raises MissingGradientsError if the cache pool lacks one of them,
        BlockRejectedError if its body is too large to be read by anybody."""
        new = [self.pooled(entry).gradient for entry in transactions]
        number = self._state.number + 1
        body = encode(Body(number, tuple(gradient.signed for gradient in new), ZERO_DIGEST))
        if len(body) > MAX_BODY:
            raise BlockRejectedError(f"a block body of {len(body)} bytes is over the limit of {MAX_BODY}")
        update, blob, rewards = self._global_update(new)
        standing = None if update is None else self.aggregator.after(update)
        if standing is not None:
            body = body[: -len(ZERO_DIGEST)] + standing.history_digest
        content = cid_of(blob) if blob is not None else None
        balances = self._state.balances_after(miner, rewards)
        paid = sum(reward.amount for reward in rewards) + self._state.parameters.miner_reward
        header = Header(
            parent=self._state.head,
            number=number,
            anchor=self._state.anchor if update is None else number,
            edge_node=miner,
            transactions_hash=transactions_hash(transactions),
            transaction_count=len(transactions),
            body_digest=cid_of(body).digest,
            global_digest=content.digest if content else ZERO_DIGEST,
            global_codec=content.codec if content else 0,
            rewards_root=merkle.root(balances) if paid else self._state.rewards_root,
            rewards_total=self._state.rewards_total + paid,
        )
        return Candidate(header, tuple(transactions), tuple(rewards), body, blob, update, standing)

    def _global_update(self, new: Sequence[LocalGradient]) -> tuple[GlobalUpdate | None, bytes | None, list[Reward]]:
        if not self._state.completes_update(len(new)):
            return None, None, []
        pending = [self.pooled(entry).gradient for entry in self._state.pending]
        update = self.aggregator.update([*pending, *new])
        return update, encode_blob(self._spec, update.weights), [Reward(*reward) for reward in update.rewards]

    def pooled(self, entry: Transaction) -> PooledGradient:
        """The pooled local gradient of a transaction. Raises MissingGradientsError."""
        item = self._pool.get(entry.gradient)
        if item is None:
            raise MissingGradientsError([entry.gradient])
        return item
