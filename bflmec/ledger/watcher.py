"""Finds what edge nodes should not have certified.

A block body holds the signed header of each of its local gradients, so that everybody who has the body can check the
work of the edge nodes that certified it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

from bflmec.errors import MessageError
from bflmec.ledger.challenges import Evidence, Fault, Record
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.messages import GRADIENT_CONTEXT, Body, GradientHeader, SignedHeader
from bflmec.protocol.ports import Verifier

SCHEME = "ML-DSA-44"
"""The one scheme of clients' signatures that the contract can verify."""


class Watcher:
    """Looks through blocks, in ascending order, for what should not have been certified.

    `keys_of` gives the digests of all keys that a client has registered, in order; the keys themselves are those that
    blocks or `learn` have shown.
    """

    def __init__(
        self, chain_id: int, ledger: bytes, keys_of: Callable[[bytes], Sequence[bytes]], verify: Verifier
    ) -> None:
        self._place = chain_id, ledger
        self._keys_of = keys_of
        self._verify = verify
        self._known: dict[bytes, bytes] = {}
        self._sequences: dict[tuple[bytes, int], Record] = {}

    def learn(self, public_key: bytes) -> None:
        """A key that somebody has, for clients that signed with another one than they registered."""
        self._known[sha256(public_key).digest()] = public_key

    def inspect(self, block: SealedBlock, body: Body) -> list[Evidence]:
        """The faults of a block. Raises MessageError if the body is not the one that the block stands for."""
        found = []
        for record, signed in self._records(block, body):
            self.learn(signed.public_key)
            found += [evidence for evidence in self._faults(record, signed) if evidence is not None][:1]
        return found

    def forget(self, before: int) -> None:
        """Let go of blocks below that number, which can't be challenged any more."""
        self._sequences = {key: kept for key, kept in self._sequences.items() if kept.block.header.number >= before}

    def _records(self, block: SealedBlock, body: Body) -> Iterator[tuple[Record, SignedHeader]]:
        if len(body.entries) != len(block.transactions) or body.number != block.header.number:
            raise MessageError(f"this is not the body of block {block.header.number}")
        for index, (entry, signed) in enumerate(zip(block.transactions, body.entries, strict=True)):
            shown = sha256(signed.header).digest(), signed.signature_digest
            if shown != (entry.gradient, entry.signature):
                raise MessageError(f"entry {index} of the body of block {block.header.number} is not what it records")
            yield Record(block, index, signed.header), signed

    def _faults(self, record: Record, signed: SignedHeader) -> Iterator[Evidence | None]:
        client = record.block.transactions[record.index].client
        try:
            header = GradientHeader.decode(signed.header)
        except MessageError:
            header = None
        if header is None or (header.chain_id, header.ledger, header.client) != (*self._place, client):
            yield Evidence(Fault.HEADER, record)
            return
        yield self._sequence_fault(record, header)
        yield self._signature_fault(record, signed, client)

    def _sequence_fault(self, record: Record, header: GradientHeader) -> Evidence | None:
        earlier = self._sequences.setdefault((header.client, header.sequence), record)
        here = record.block.header.number, record.index
        if here <= (earlier.block.header.number, earlier.index):
            return None
        return Evidence(Fault.SEQUENCE, record, earlier=earlier)

    def _signature_fault(self, record: Record, signed: SignedHeader, client: bytes) -> Evidence | None:
        digests = self._keys_of(client)
        keys = tuple(self._known[digest] for digest in digests if digest in self._known)
        if len(keys) != len(digests):
            return None  # nobody has shown the key that the client registered
        message = sha256(signed.header).digest()
        if any(self._verify(SCHEME, key, message, signed.signature, GRADIENT_CONTEXT) for key in keys):
            return None
        return Evidence(Fault.SIGNATURE, record, signed.signature, keys)
