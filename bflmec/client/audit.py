"""Checking an audit proof, with the document alone or beside the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bflmec.client.audit_proof import AuditProof, GradientProof, hexed, unhex
from bflmec.client.edge_nodes import receipt_scheme
from bflmec.crypto.keys import key_digest
from bflmec.crypto.schemes import signature_scheme
from bflmec.errors import BFLMECError, ConfigError, LedgerRevertedError, MessageError, ReceiptRejectedError
from bflmec.protocol import merkle
from bflmec.protocol.blocks import Header, Transaction, transactions_hash
from bflmec.protocol.messages import GRADIENT_CONTEXT, RECEIPT_CONTEXT, GradientHeader, Receipt

if TYPE_CHECKING:
    from bflmec.ledger.client import LedgerClient


@dataclass(frozen=True)
class AuditCheck:
    """One thing that was checked: how often it held, and what did not."""

    name: str
    passed: int
    failures: tuple[str, ...]


@dataclass(frozen=True)
class AuditReport:
    """What holds of an audit proof, and what could not be checked."""

    checks: tuple[AuditCheck, ...]
    unchecked: tuple[str, ...]
    gradients: int
    recorded: int
    cumulative: int
    """All that the client was paid, in the token's smallest unit, if everything holds."""

    @property
    def holds(self) -> bool:
        return not any(check.failures for check in self.checks)


@dataclass
class _Tally:
    passed: dict[str, int] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)

    def note(self, name: str, holds: bool, failure: str) -> None:
        self.passed[name] = self.passed.get(name, 0) + holds
        if not holds:
            self.failures.setdefault(name, []).append(failure)

    def checks(self) -> tuple[AuditCheck, ...]:
        return tuple(AuditCheck(name, n, tuple(self.failures.get(name, ()))) for name, n in self.passed.items())


_Blocks = dict[int, tuple[Header, list[Transaction]]]

_OFFLINE = (
    "whether the blocks are the ledger's: compare their hashes with it",
    "whether the keys were registered: compare their SHA-256 with the registry",
)
_ALWAYS = ("the local gradients themselves: they are known to the client and the edge nodes alone",)


def verify_audit_proof(proof: AuditProof | bytes, ledger: LedgerClient | None = None) -> AuditReport:
    """What of an audit proof holds. Raises MessageError if it is none, LedgerError if the ledger does not answer."""
    document = AuditProof.decode(proof) if isinstance(proof, bytes) else proof
    blocks = {header.number: (header, entries) for header, entries in (block.parts() for block in document.blocks)}
    headers = [GradientHeader.decode(unhex(entry.header)) for entry in document.gradients]
    tally = _Tally()
    for entry, header in zip(document.gradients, headers, strict=True):
        _check_gradient(tally, document, entry, header)
        _check_recorded(tally, entry, header, blocks)
    sequences = [header.sequence for header in headers]
    tally.note("sequence numbers", len(set(sequences)) == len(sequences), "a sequence number counts twice")
    for block, transactions in blocks.values():
        holds = block.transactions_hash == transactions_hash(transactions)
        tally.note("transaction sets", holds, f"the transaction set of block {block.number} is not the header's")
    cumulative = _check_reward(tally, document)
    if ledger is not None:
        _check_against_ledger(tally, document, blocks, ledger)
    return AuditReport(
        checks=tally.checks(),
        unchecked=_ALWAYS if ledger is not None else _OFFLINE + _ALWAYS,
        gradients=len(headers),
        recorded=sum(entry.block is not None for entry in document.gradients),
        cumulative=cumulative,
    )


def _check_gradient(tally: _Tally, document: AuditProof, entry: GradientProof, header: GradientHeader) -> None:
    name = f"local gradient 0x{header.digest.hex()}"
    ours = header.chain_id, header.ledger, header.client
    theirs = document.chain_id, unhex(document.ledger), unhex(document.client)
    tally.note("headers", ours == theirs, f"{name} is another client's or another ledger's")
    holds = _holds(entry.scheme, unhex(entry.public_key), header.digest, unhex(entry.signature), GRADIENT_CONTEXT)
    tally.note("signatures", holds, f"the signature of {name} does not hold")
    for kept in entry.receipts:
        statement = Receipt.statement(kept.edge_node, header.digest)
        holds = _receipt_holds(unhex(kept.public_key), statement, unhex(kept.signature))
        tally.note("receipts", holds, f"the receipt of edge node {kept.edge_node} for {name} does not hold")


def _check_recorded(tally: _Tally, entry: GradientProof, header: GradientHeader, blocks: _Blocks) -> None:
    if entry.block is None:
        return
    recorded = blocks[entry.block][1] if entry.block in blocks else []
    found = (header.client, header.digest) in [(one.client, one.gradient) for one in recorded]
    tally.note("records", found, f"block {entry.block} does not record local gradient 0x{header.digest.hex()}")


def _check_reward(tally: _Tally, document: AuditProof) -> int:
    if document.reward is None:
        return 0
    cumulative, block = int(document.reward.cumulative), Header.decode(unhex(document.reward.header))
    siblings = [unhex(sibling) for sibling in document.reward.siblings]
    holds = merkle.verify(block.rewards_root, unhex(document.client), cumulative, siblings)
    tally.note("reward", holds, f"the Merkle proof does not lead to the rewards root of block {block.number}")
    return cumulative


def _check_against_ledger(tally: _Tally, document: AuditProof, blocks: _Blocks, ledger: LedgerClient) -> None:
    ours = ledger.deployment.chain_id, hexed(ledger.deployment.ledger)
    tally.note("ledger", ours == (document.chain_id, document.ledger), "the proof is about another ledger")
    headers = [header for header, _ in blocks.values()]
    if document.reward is not None:
        headers.append(Header.decode(unhex(document.reward.header)))
    for header in headers:
        tally.note("ledger", _is_recorded(ledger, header), f"the ledger has another block {header.number}, or none")
    if document.gradients:
        latest = max(document.gradients, key=lambda entry: GradientHeader.decode(unhex(entry.header)).sequence)
        registered = ledger.participants.client_key_digest(unhex(document.client))
        holds = registered == key_digest(unhex(latest.public_key))
        tally.note("client key", holds, "the newest local gradient was signed with a key that is not registered now")
    for id_, digest in sorted(set(_edge_node_keys(document))):
        tally.note("edge node keys", _key_digest_of(ledger, id_) == digest, f"edge node {id_} has another key")


def _edge_node_keys(document: AuditProof) -> Iterator[tuple[int, bytes]]:
    for entry in document.gradients:
        for kept in entry.receipts:
            yield kept.edge_node, key_digest(unhex(kept.public_key))


def _key_digest_of(ledger: LedgerClient, edge_node: int) -> bytes | None:
    try:
        return ledger.participants.edge_node(edge_node).signature_key_digest
    except LedgerRevertedError:
        return None


def _is_recorded(ledger: LedgerClient, header: Header) -> bool:
    try:
        return header.number <= ledger.head_number() and ledger.block_hash(header.number) == header.hash
    except LedgerRevertedError:
        return False


def _receipt_holds(public_key: bytes, statement: bytes, signature: bytes) -> bool:
    try:
        return receipt_scheme(public_key).verify(public_key, statement, signature, RECEIPT_CONTEXT)
    except ReceiptRejectedError:
        return False


def _holds(scheme: str, public_key: bytes, message: bytes, signature: bytes, context: bytes) -> bool:
    try:
        return signature_scheme(scheme).verify(public_key, message, signature, context)
    except ConfigError:
        return False
    except BFLMECError as error:
        raise MessageError(f"can't check a signature of scheme {scheme!r}: {error}") from error
