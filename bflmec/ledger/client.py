"""Typed client of a deployed ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from eth_account.signers.local import LocalAccount
from web3 import Web3

from bflmec.errors import LedgerError, LedgerRevertedError
from bflmec.ledger.deployment import Deployment, check
from bflmec.ledger.events import BlockEvents, RecordedBlock
from bflmec.ledger.fees import FeePolicy
from bflmec.ledger.interface import interface
from bflmec.ledger.outbox import Outbox
from bflmec.ledger.participants import ParticipantsClient
from bflmec.ledger.refusals import ledger_errors
from bflmec.ledger.sender import MAX_GAS, Sender
from bflmec.ledger.token import RewardTokenClient
from bflmec.protocol.blocks import (
    ZERO_DIGEST,
    Header,
    SealedBlock,
    encode_rewards,
    encode_transactions,
    genesis_parent,
)
from bflmec.protocol.ledger_state import LedgerParameters
from bflmec.protocol.ports import Anchor
from bflmec.storage.cid import Cid


class Head(NamedTuple):
    """The newest block: hash, number, its anchor, and the transactions recorded since that."""

    hash: bytes
    number: int
    anchor: int
    pending: int


class Appended(NamedTuple):
    """Where a block was appended, and what that cost."""

    host_block: int
    host_transaction: bytes
    gas_used: int


class LedgerClient:
    """Reads a ledger and, given an account, appends to it. Accounts are 20 bytes, digests and hashes 32.

    With `confirmations` = n the ledger is read as it was n host blocks ago, so that a reorganisation of the host chain
    up to that depth is never seen. Every method raises LedgerRevertedError when a contract refuses, with the contract's
    error in `name` and `arguments`, and LedgerError when the chain does. The constructor raises LedgerError if the
    deployment is not on this chain. `fees` is how `account` pays, `outbox` where its waiting transactions are kept; see
    `Sender`.
    """

    def __init__(
        self,
        w3: Web3,
        deployment: Deployment,
        account: LocalAccount | None = None,
        *,
        confirmations: int = 0,
        fees: FeePolicy | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        with ledger_errors():
            check(w3, deployment)
        self.deployment = deployment
        self.sender = Sender(w3, account, fees=fees, outbox=outbox)
        self.participants = ParticipantsClient(self.sender, deployment.participants)
        self.token = RewardTokenClient(self.sender, deployment.token)
        self._w3 = w3
        self._confirmations = confirmations
        self._interface = interface("BFLLedger")
        self._events = BlockEvents(w3, deployment.ledger, deployment.block)

    def head(self) -> Head:
        return Head(*self._read("head"))

    def head_number(self) -> int:
        return self.head().number

    def latest_anchor(self) -> Anchor:
        """The newest global gradient and the block that holds it; block 0 stands for genesis."""
        number, digest, codec = self._read("latestAnchor")
        return Anchor(number, self.block_hash(number), Cid(codec, digest))

    def anchor_count(self) -> int:
        """How many anchors there are, genesis included."""
        return int(self._read("anchorCount")[0])

    def anchor_by_index(self, index: int) -> Anchor:
        """The anchor of that index, 0 being genesis."""
        number, digest, codec = self._read("anchorAt", index)
        return Anchor(number, self.block_hash(number), Cid(codec, digest))

    def anchor_at(self, number: int) -> Anchor | None:
        """The anchor in block `number`, or None if its first transaction is no global update."""
        content = self.first_transaction(number)
        return None if content is None else Anchor(number, self.block_hash(number), content)

    def first_transaction(self, number: int) -> Cid | None:
        """The global gradient in a block's first transaction (block 0: genesis), None if it holds none."""
        digest, codec = self._read("firstTransaction", number)
        return None if digest == ZERO_DIGEST else Cid(codec, digest)

    def block_hash(self, number: int) -> bytes:
        """A block's hash: from the contract while it keeps it, else from the block's event."""
        try:
            return bytes(self._read("blockHash", number)[0])
        except LedgerRevertedError as error:
            if error.name != "LedgerNotArchived":
                raise
        if number == 0:
            return self.genesis_hash
        return self.block(number).block.header.hash

    @property
    def genesis_hash(self) -> bytes:
        """The parent of block 1."""
        return genesis_parent(self.deployment.chain_id, self.deployment.ledger)

    def rewards(self) -> tuple[bytes, int]:
        """Merkle root over the cumulative rewards, and their sum."""
        root, total = self._read("rewards")
        return root, total

    def parameters(self) -> LedgerParameters:
        """What the ledger says was fixed at its deployment."""
        ((_, _, difficulty, threshold, most, base, miner, rules, _, digest, codec),) = self._read("parameters")
        return LedgerParameters(
            chain_id=self.deployment.chain_id,
            ledger=self.deployment.ledger,
            difficulty=difficulty,
            aggregation_threshold=threshold,
            max_transactions=most,
            base_reward=base,
            miner_reward=miner,
            rules_digest=rules,
            genesis=Cid(codec, digest),
        )

    def append(self, block: SealedBlock, certificate: bytes) -> Appended:
        """Append the next block; if the ledger has this very block already, whoever appended it, nothing is sent.

        LedgerRevertedError's `name` says why not: LedgerNumberMismatch is a race lost.
        """
        earlier = self._appended(block)
        if earlier is not None:
            return earlier
        try:
            receipt = self.sender.confirm(self.submit(block, certificate))
        except LedgerRevertedError:
            relayed = self._appended(block)
            if relayed is None:
                raise
            return relayed
        return Appended(int(receipt["blockNumber"]), bytes(receipt["transactionHash"]), int(receipt["gasUsed"]))

    def _appended(self, block: SealedBlock) -> Appended | None:
        """Where the newest host block has this very block of the ledger."""
        number, hash_ = block.header.number, block.header.hash
        head = Head(*self._read_at("latest", "head"))
        if number > head.number or (number == head.number and hash_ != head.hash):
            return None
        recorded = next(self._events.between(number, number), None)
        if recorded is None or recorded.block.header.hash != hash_:
            return None
        return Appended(recorded.host_block, recorded.host_transaction, self.gas_used(recorded))

    def submit(self, block: SealedBlock, certificate: bytes) -> bytes:
        """`append` without waiting; returns the transaction's hash, for `sender.confirm`."""
        data = self._append_call(block, certificate)
        return self.sender.submit(self.deployment.ledger, data, self._append_gas(len(data)))

    def check_append(self, block: SealedBlock, certificate: bytes) -> None:
        """Raises what `append` would raise now, without sending anything."""
        self.sender.call(self.deployment.ledger, self._append_call(block, certificate))

    def blocks(self, first: int, last: int) -> Iterator[RecordedBlock]:
        """Blocks `first` to `last`, both included, from the ledger's events; ends where the ledger does."""
        return self._events.between(first, min(last, self.head_number()))

    def gas_used(self, recorded: RecordedBlock) -> int:
        """The gas that the host transaction of a block took."""
        with ledger_errors():
            return int(self._w3.eth.get_transaction_receipt(recorded.host_transaction)["gasUsed"])  # type: ignore[arg-type]

    def block(self, number: int) -> RecordedBlock:
        """One block from its event."""
        for recorded in self.blocks(number, number):
            return recorded
        raise LedgerError(f"the ledger has no event of block {number}")

    def certificate(self, recorded: RecordedBlock) -> bytes:
        """The certificate that a block was appended with, from the calldata of its host transaction.

        Raises LedgerError if that transaction did not call the ledger itself, as when a contract relayed the block.
        """
        with ledger_errors():
            transaction = self._w3.eth.get_transaction(recorded.host_transaction)  # type: ignore[arg-type]
        *_, certificate = self._interface.decode_call("append", bytes(transaction["input"]))
        if self._append_call(recorded.block, certificate) != bytes(transaction["input"]):
            raise LedgerError(
                f"the calldata of block {recorded.block.header.number} holds another block than its event"
            )
        return bytes(certificate)

    def _append_call(self, block: SealedBlock, certificate: bytes) -> bytes:
        return self._interface.encode(
            "append",
            tuple(getattr(block.header, name) for name in Header.__dataclass_fields__),
            block.nonce,
            encode_transactions(block.transactions),
            encode_rewards(block.rewards),
            certificate,
        )

    def _append_gas(self, calldata: int) -> int:
        """Enough for any block of that size; what is not used is not paid."""
        per_byte = _ARCHIVING_GAS_PER_BYTE if self.deployment.parameters.archive else _GAS_PER_BYTE
        return min(_APPEND_GAS + per_byte * calldata, MAX_GAS)

    def _read(self, function: str, *arguments: object) -> tuple[Any, ...]:
        return self._read_at(self._at(), function, *arguments)

    def _read_at(self, block: int | str, function: str, *arguments: object) -> tuple[Any, ...]:
        data = self._interface.encode(function, *arguments)
        return self._interface.decode(function, self.sender.call(self.deployment.ledger, data, block))

    def _at(self) -> int | str:
        if not self._confirmations:
            return "latest"
        with ledger_errors():
            return max(self._w3.eth.block_number - self._confirmations, self.deployment.block)


_APPEND_GAS = 250_000  # position, seal, counters, one global update
_GAS_PER_BYTE = 120  # calldata, hashing, event, and ecrecover on 65 bytes of certificate
_ARCHIVING_GAS_PER_BYTE = 350  # and 200 for each byte of code that keeps it
