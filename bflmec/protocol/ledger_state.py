"""What the recorded blocks imply, recomputed from them alone.

Every edge node and every auditor keeps one of these; two that have applied the same blocks are equal. The rules of
`check` are those of the contract's `append`, certificate aside, and the contract's tests hold the two together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bflmec.crypto.seal import seal_holds
from bflmec.errors import BlockRejectedError
from bflmec.protocol import merkle
from bflmec.protocol.blocks import (
    ZERO_DIGEST,
    Header,
    Reward,
    SealedBlock,
    Transaction,
    genesis_parent,
    transactions_hash,
)
from bflmec.protocol.messages import GradientHeader
from bflmec.protocol.ports import Anchor
from bflmec.protocol.sequence import WINDOW, SequenceWindow
from bflmec.storage.cid import CODECS, Cid


@dataclass(frozen=True, slots=True)
class LedgerParameters:
    """What the contract fixes at its deployment. Rewards are in the token's smallest unit."""

    chain_id: int
    ledger: bytes
    difficulty: int
    aggregation_threshold: int
    max_transactions: int
    base_reward: int
    miner_reward: int
    rules_digest: bytes
    genesis: Cid


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise BlockRejectedError(message)


class LedgerState:
    """Head, anchors, pending transactions, reward balances and sequence windows after the blocks applied so far."""

    def __init__(self, parameters: LedgerParameters) -> None:
        self.parameters = parameters
        self.hashes = [genesis_parent(parameters.chain_id, parameters.ledger)]
        self.anchors = {0: Anchor(0, self.hashes[0], parameters.genesis)}
        self.anchor = 0
        self.pending: list[Transaction] = []
        self.balances: dict[bytes, int] = {}
        self.rewards_root = merkle.EMPTY_ROOT
        self.rewards_total = 0
        self.recorded = 0
        self.windows: dict[bytes, SequenceWindow] = {}
        self.gradients: dict[bytes, dict[int, bytes]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LedgerState) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # it changes with every block

    def copy(self) -> LedgerState:
        """A state that goes its own way from here."""
        twin = LedgerState(self.parameters)
        twin.become(self)
        return twin

    def become(self, other: LedgerState) -> None:
        """Takes on everything of another state of the same ledger."""
        vars(self).update(vars(other))
        self.hashes = other.hashes.copy()
        self.anchors = other.anchors.copy()
        self.pending = other.pending.copy()
        self.balances = other.balances.copy()
        self.windows = other.windows.copy()
        self.gradients = {client: known.copy() for client, known in other.gradients.items()}

    @property
    def number(self) -> int:
        return len(self.hashes) - 1

    @property
    def head(self) -> bytes:
        return self.hashes[-1]

    def holds_anchor_of(self, header: GradientHeader) -> bool:
        """Whether the anchor that a local gradient was trained from is one of this ledger's."""
        anchor = self.anchors.get(header.anchor)
        return anchor is not None and anchor.hash == header.anchor_hash

    def is_sequence_free(self, client: bytes, sequence: int) -> bool:
        return self.windows.get(client, SequenceWindow()).is_free(sequence)

    def next_sequence(self, client: bytes) -> int:
        """The lowest sequence number above all that are recorded."""
        return self.windows.get(client, SequenceWindow()).highest + 1

    def recorded_gradient(self, client: bytes, sequence: int) -> bytes | None:
        """Digest of the gradient that was recorded under that sequence, as long as the window remembers it."""
        return self.gradients.get(client, {}).get(sequence)

    def pending_of(self, client: bytes) -> int:
        """How many local gradients of the client were recorded since the anchor."""
        return sum(transaction.client == client for transaction in self.pending)

    def completes_update(self, count: int) -> bool:
        """Whether a block of `count` transactions reaches the aggregation threshold (Algorithm 3, line 19)."""
        return len(self.pending) + count >= self.parameters.aggregation_threshold

    def balances_after(self, edge_node: bytes, rewards: Sequence[Reward]) -> dict[bytes, int]:
        """Cumulative amounts by account once `rewards` and the miner's own are credited."""
        balances = dict(self.balances)
        for reward in rewards:
            balances[reward.account] = balances.get(reward.account, 0) + reward.amount
        if self.parameters.miner_reward:
            balances[edge_node] = balances.get(edge_node, 0) + self.parameters.miner_reward
        return balances

    def check(self, block: SealedBlock) -> None:
        """Raises BlockRejectedError unless the ledger would append the block, given a certificate."""
        header, parameters = block.header, self.parameters
        _require(header.number == self.number + 1, f"block {header.number} does not follow block {self.number}")
        _require(header.parent == self.head, f"block {header.number} has another parent than the head")
        _require(
            seal_holds(header.hash, block.nonce, parameters.difficulty),
            f"the nonce of block {header.number} misses its target",
        )
        count = len(block.transactions)
        _require(1 <= count <= parameters.max_transactions, f"a block can't hold {count} transactions")
        _require(header.transaction_count == count, "the header counts other transactions than the set holds")
        _require(header.transactions_hash == transactions_hash(block.transactions), "transactionsHash is not the set's")
        is_update = self.completes_update(count)
        _require(header.is_global_update == is_update, f"a global update is {'due' if is_update else 'not due yet'}")
        _require(header.anchor == (header.number if is_update else self.anchor), "the header names a wrong anchor")
        _require(header.global_codec in CODECS if is_update else header.global_codec == 0, "wrong global codec")
        self._check_rewards(header, block.rewards)

    def _check_rewards(self, header: Header, rewards: Sequence[Reward]) -> None:
        listed = sum(reward.amount for reward in rewards)
        _require(header.is_global_update or not rewards, "rewards are paid by global updates only")
        _require(len(rewards) <= len(self.pending) + header.transaction_count, "more rewards than local gradients")
        _require(
            listed in (0, self.parameters.base_reward), f"the reward list sums to {listed}, not to the base reward"
        )
        _require(
            header.rewards_total == self.rewards_total + listed + self.parameters.miner_reward,
            "rewardsTotal does not grow by what the block pays",
        )
        _require(all(reward.amount > 0 for reward in rewards), "a reward of nothing is listed")
        balances = self.balances_after(header.edge_node, rewards)
        unchanged = header.rewards_total == self.rewards_total
        _require(
            header.rewards_root == (self.rewards_root if unchanged else merkle.root(balances)),
            "rewardsRoot is not the root of the cumulative rewards",
        )

    def apply(self, block: SealedBlock, gradients: Mapping[bytes, GradientHeader]) -> None:
        """Moves on to `block`, which must be checked. `gradients` holds its local gradient headers by digest."""
        header = block.header
        for transaction in block.transactions:
            self._take(transaction.client, gradients[transaction.gradient].sequence, transaction.gradient)
        self.recorded += len(block.transactions)
        self.balances = self.balances_after(header.edge_node, block.rewards)
        self.rewards_root = header.rewards_root
        self.rewards_total = header.rewards_total
        self.hashes.append(header.hash)
        if header.global_digest == ZERO_DIGEST:
            self.pending.extend(block.transactions)
        else:
            self.pending.clear()
            self.anchor = header.number
            self.anchors[header.number] = Anchor(
                header.number, header.hash, Cid(header.global_codec, header.global_digest)
            )

    def _take(self, client: bytes, sequence: int, gradient: bytes) -> None:
        window = self.windows.get(client, SequenceWindow()).take(sequence)
        self.windows[client] = window
        known = self.gradients.setdefault(client, {})
        known[sequence] = gradient
        for old in [number for number in known if number <= window.highest - WINDOW]:
            del known[old]

    def check_contents(
        self, transactions: Sequence[Transaction], gradients: Mapping[bytes, GradientHeader], per_client: int
    ) -> None:
        """Raises BlockRejectedError if a sequence counts twice or a client exceeds its share since the anchor."""
        windows: dict[bytes, SequenceWindow] = {}
        counts = Counter(transaction.client for transaction in self.pending)
        for transaction in transactions:
            client, header = transaction.client, gradients[transaction.gradient]
            _require(header.client == client, "a transaction names another client than the one that signed")
            _require(
                self.holds_anchor_of(header), f"block {header.anchor} is no anchor of this ledger, or has another hash"
            )
            window = windows.get(client) or self.windows.get(client) or SequenceWindow()
            _require(
                window.is_free(header.sequence), f"sequence {header.sequence} of 0x{client.hex()} was recorded before"
            )
            windows[client] = window.take(header.sequence)
            counts[client] += 1
            _require(
                counts[client] <= per_client,
                f"more than {per_client} local gradients of 0x{client.hex()} between two anchors",
            )
