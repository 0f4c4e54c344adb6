"""What a run's ledger holds, read from the chain file and the blob store: blocks, anchors, rewards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bflmec.errors import LedgerError, MessageError, StorageError
from bflmec.protocol.blocks import Header, Reward, Transaction
from bflmec.protocol.messages import MAX_BODY, Body, GradientHeader, decode
from bflmec.runs.directory import RunDirectory
from bflmec.runs.ledger_access import open_ledger
from bflmec.storage import RAW, BlobStore, Cid

if TYPE_CHECKING:
    from bflmec.devchain import DevChain
    from bflmec.ledger.client import LedgerClient
    from bflmec.ledger.events import RecordedBlock


@dataclass(frozen=True, slots=True)
class Overview:
    """The ledger as a whole. Accounts and addresses are 20 bytes; rewards are in the token's smallest unit."""

    chain_id: int
    ledger: bytes
    token: bytes
    participants: bytes
    blocks: int
    global_updates: int
    anchor: int
    pending: int
    rewards_total: int
    difficulty: int
    aggregation_threshold: int


@dataclass(frozen=True, slots=True)
class RecordedTransaction:
    """A transaction, and what the block's body says of it: None where the body is missing or says something else."""

    transaction: Transaction
    scheme: str | None
    header: GradientHeader | None


@dataclass(frozen=True, slots=True)
class InspectedBlock:
    """A block as it stands in the ledger (Figure 4). `miner` is the edge node's id, `time` the seconds from the chain's
    genesis to the chain block `host_block`."""

    header: Header
    nonce: int
    miner: int | None
    time: int
    host_block: int
    host_transaction: bytes
    global_gradient: Cid | None
    rewards: tuple[Reward, ...]
    transactions: tuple[Transaction, ...]

    @property
    def body(self) -> Cid:
        return Cid(RAW, self.header.body_digest)


@dataclass(frozen=True, slots=True)
class InspectedAnchor:
    """A global gradient that clients start from; index 0 is genesis. `stored`: whether its blob is complete."""

    index: int
    number: int
    content: Cid
    stored: bool


@dataclass(frozen=True, slots=True)
class InspectedReward:
    """What was recorded for an account up to now, and what it claimed of that, in the token's smallest unit."""

    account: bytes
    recorded: int
    claimed: int


class Inspection:
    """Reads one run's ledger; made by `open_inspection`. Methods raise LedgerError for what the ledger does not have
    and ChainError when the chain file fails."""

    def __init__(self, ledger: LedgerClient, chain: DevChain, blobs: BlobStore) -> None:
        self._ledger = ledger
        self._chain = chain
        self._blobs = blobs
        self._miners: dict[bytes, int | None] = {}

    def overview(self) -> Overview:
        head, parameters, deployment = self._ledger.head(), self._ledger.parameters(), self._ledger.deployment
        return Overview(
            chain_id=deployment.chain_id,
            ledger=deployment.ledger,
            token=deployment.token,
            participants=deployment.participants,
            blocks=head.number,
            global_updates=self._ledger.anchor_count() - 1,
            anchor=head.anchor,
            pending=head.pending,
            rewards_total=self._ledger.rewards()[1],
            difficulty=parameters.difficulty,
            aggregation_threshold=parameters.aggregation_threshold,
        )

    def blocks(self, first: int, last: int) -> Iterator[InspectedBlock]:
        """Blocks `first` to `last`, both included, as far as there are any."""
        return (self._inspected(recorded) for recorded in self._ledger.blocks(max(first, 1), last))

    def block(self, number: int) -> InspectedBlock:
        """One block. Raises LedgerError if the ledger has none of that number."""
        newest = self._ledger.head_number()
        if not 1 <= number <= newest:
            known = f"blocks 1 to {newest}" if newest else "no block yet"
            raise LedgerError(f"there is no block {number}; the ledger has {known}")
        return self._inspected(self._ledger.block(number))

    def signers(self, number: int) -> tuple[bytes, ...]:
        """Accounts of the edge nodes in a block's certificate, ascending. Raises SignatureError if it does not hold."""
        from bflmec.ledger.certifiers import signers_of

        return signers_of(self._ledger, self._ledger.block(number))

    def edge_node_id(self, account: bytes) -> int | None:
        if account not in self._miners:
            self._miners[account] = self._ledger.participants.edge_node_id(account)
        return self._miners[account]

    def transactions(self, block: InspectedBlock) -> tuple[RecordedTransaction, ...]:
        """The transactions of a block, with what its body in the blob store adds to them."""
        said = self._body(block)
        return tuple(
            RecordedTransaction(transaction, *said.get(transaction.gradient, (None, None)))
            for transaction in block.transactions
        )

    def anchors(self) -> Iterator[InspectedAnchor]:
        """All anchors in ascending order, genesis first."""
        for index in range(self._ledger.anchor_count()):
            anchor = self._ledger.anchor_by_index(index)
            yield InspectedAnchor(index, anchor.number, anchor.content, self.is_stored(anchor.content))

    def is_stored(self, content: Cid) -> bool:
        return self._blobs.has(content)

    def rewards(self) -> Sequence[InspectedReward]:
        """Everybody who was ever paid, edge nodes for their seals included, highest first."""
        miner_reward = self._ledger.parameters().miner_reward
        recorded: dict[bytes, int] = {}
        for block in self._ledger.blocks(1, self._ledger.head_number()):
            sealed = block.block
            for reward in sealed.rewards:
                recorded[reward.account] = recorded.get(reward.account, 0) + reward.amount
            if miner_reward:
                miner = sealed.header.edge_node
                recorded[miner] = recorded.get(miner, 0) + miner_reward
        ranked = sorted(recorded.items(), key=lambda item: (-item[1], item[0]))
        return [InspectedReward(account, amount, self._ledger.token.claimed(account)) for account, amount in ranked]

    def _body(self, block: InspectedBlock) -> dict[bytes, tuple[str, GradientHeader]]:
        """Scheme and signed header by gradient digest; empty if the body is missing or damaged."""
        try:
            entries = decode(Body, self._blobs.get(block.body, MAX_BODY)).entries
            headers = [GradientHeader.decode(entry.header) for entry in entries]
        except (StorageError, MessageError):
            return {}
        return {header.digest: (entry.scheme, header) for header, entry in zip(headers, entries, strict=True)}

    def _inspected(self, recorded: RecordedBlock) -> InspectedBlock:
        sealed, host = recorded.block, self._chain.block(recorded.host_block)
        if host is None:
            raise LedgerError(f"the chain has no block {recorded.host_block}, which an event names")
        header = sealed.header
        return InspectedBlock(
            header=header,
            nonce=sealed.nonce,
            miner=self.edge_node_id(header.edge_node),
            time=host.timestamp - self._chain.genesis.timestamp,
            host_block=recorded.host_block,
            host_transaction=recorded.host_transaction,
            global_gradient=Cid(header.global_codec, header.global_digest) if header.is_global_update else None,
            rewards=sealed.rewards,
            transactions=sealed.transactions,
        )


@contextmanager
def open_inspection(directory: RunDirectory) -> Iterator[Inspection]:
    """The ledger of a run that nobody writes to meanwhile. Raises what `open_ledger` raises."""
    with open_ledger(directory) as (ledger, chain, blobs):
        yield Inspection(ledger, chain, blobs)
