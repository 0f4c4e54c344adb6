"""The edge nodes that a client can reach: who they are according to the ledger, which is near, which one answers.

What the registry says is kept in the wallet's file, so that a client with no connection to the ledger still finds them.
Whatever an edge node says of itself is compared with the digests of its keys in the registry before anything is sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from threading import RLock
from typing import Annotated, Final, TypeVar

import msgspec

from bflmec.client.database import Database
from bflmec.client.store import KeptReceipt
from bflmec.crypto.schemes import SignatureScheme, signature_scheme
from bflmec.errors import (
    BFLMECError,
    BlobError,
    ClientQuotaError,
    EdgeStoreError,
    EdgeUnavailableError,
    GradientRejectedError,
    MessageError,
    NoEdgeNodeError,
    PoolFullError,
    ReceiptRejectedError,
    SessionError,
    StaleSequenceError,
    StorageError,
)
from bflmec.ledger.participants import ParticipantsClient
from bflmec.protocol.client import nearest_first
from bflmec.storage.cid import Cid
from bflmec.transport.edge_api import EdgeApi
from bflmec.transport.node_info import Recipient

T = TypeVar("T")
_REGISTRY: Final = "edge-nodes"
_UNREACHABLE: Final = 1e6
"""Seconds of distance: an edge node that failed is asked last."""
_REGISTRY_SECONDS: Final = 60.0
_PASSED_OVER: Final = (
    EdgeUnavailableError,
    SessionError,
    ReceiptRejectedError,
    GradientRejectedError,
    MessageError,
    BlobError,
    PoolFullError,
    EdgeStoreError,
)
"""What an edge node answers, or why it doesn't: the next one's turn."""


class EdgeContact(msgspec.Struct, frozen=True, array_like=True):
    """An active edge node as the ledger registers it."""

    id: Annotated[int, msgspec.Meta(ge=1, lt=2**16)]
    endpoint: str
    signature_digest: bytes
    encapsulation_digest: bytes


class EdgeNodes:
    """Threads may share it. `timeout` is how many seconds an edge node may stay silent; those that the client
    `prefer`s by id come first while they answer."""

    def __init__(
        self, database: Database, chain_id: int, ledger: bytes, *, timeout: float = 30.0, prefer: Sequence[int] = ()
    ) -> None:
        self._database = database
        self._network = chain_id, ledger
        self._timeout = timeout
        self._preferred = {id_: float(rank - len(prefer)) for rank, id_ in enumerate(prefer)}
        self._threads = RLock()
        self._contacts = _read(database)
        self._read_at: float | None = None
        self._apis: dict[str, EdgeApi] = {}
        self._distances: dict[int, float] = {}

    # ---------------------------------------------------------------- who they are

    def refresh(self, participants: ParticipantsClient) -> None:
        """Reads the registry, if that was not done within the last minute. Raises LedgerError."""
        if self._read_at is not None and time.monotonic() - self._read_at < _REGISTRY_SECONDS:
            return
        contacts = []
        for id_ in sorted(participants.edge_nodes()):
            node = participants.edge_node(id_)
            contacts.append(EdgeContact(id_, node.endpoint, node.signature_key_digest, node.encapsulation_key_digest))
        with self._threads:
            self._read_at = time.monotonic()
            if contacts != self._contacts:
                self._contacts = contacts
                self._database.put(_REGISTRY, msgspec.msgpack.encode(contacts))

    @property
    def contacts(self) -> list[EdgeContact]:
        return list(self._contacts)

    def nearest(self, without: Collection[int] = ()) -> list[EdgeContact]:
        """By measured distance; one that was not asked yet comes first, one that failed comes last."""
        with self._threads:
            known = {contact.id: contact for contact in self._contacts if contact.id not in without}
            return [known[id_] for id_ in nearest_first({id_: self._distance(id_) for id_ in known})]

    def _distance(self, id_: int) -> float:
        measured = self._distances.get(id_, 0.0)
        return measured if measured == _UNREACHABLE else self._preferred.get(id_, measured)

    def distances(self) -> dict[int, float | None]:
        """Seconds that each one took to answer last; None if it was not asked, or failed."""
        with self._threads:
            measured = {id_: seconds for id_, seconds in self._distances.items() if seconds < _UNREACHABLE}
            return {contact.id: measured.get(contact.id) for contact in self._contacts}

    # ---------------------------------------------------------------- what they do

    def send(
        self,
        compose: Callable[[], bytes],
        known: Callable[[bytes], bool],
        without: Collection[int] = (),
        *,
        insist: bool = False,
    ) -> KeptReceipt:
        """Files an envelope with the nearest edge node that takes it (Algorithm 2, lines 13-16), and checks its
        receipt, which may be for what it took in before under the same sequence number. The envelope is composed once
        an edge node has answered, so that none is bound to a sequence number without a connection.

        Raises StaleSequenceError as soon as one says that the sequence number is used up, by a receipt for a gradient
        digest that is not `known` too; unless the client can `insist`, because others deny it. Raises
        GradientRejectedError if all that answer refuse the envelope, else NoEdgeNodeError.
        """
        failures: list[BFLMECError] = []
        for contact in self.nearest(without):
            try:
                return self._ask(contact, lambda api, to: _upload(api, to, compose(), known))
            except StaleSequenceError as error:
                if not insist:
                    raise
                failures.append(error)
            except _PASSED_OVER as error:
                failures.append(error)
        raise _summary(failures)

    def blob(self, cid: Cid, limit: int) -> bytes:
        """A global gradient or block body from the nearest edge node that has it. Raises StorageError."""
        failures = []
        for contact in self.nearest():
            try:
                return self._api(contact).blob(cid, limit)
            except BFLMECError as error:
                failures.append(str(error))
        raise StorageError("; ".join(failures) or "no edge node is known yet that could have the blob")

    def next_sequence(self, account: bytes) -> int:
        """The lowest sequence number of a client above all that the edge nodes which answer know of; at least 1."""
        highest = 1
        for contact in self.nearest():
            with suppress(BFLMECError):
                highest = max(highest, self._ask(contact, lambda api, _: api.next_sequence(account)))
        return highest

    def _ask(self, contact: EdgeContact, question: Callable[[EdgeApi, Recipient], T]) -> T:
        try:
            return question(self._api(contact), self._recipient(contact))
        except (EdgeUnavailableError, SessionError, ReceiptRejectedError):
            with self._threads:
                self._distances[contact.id] = _UNREACHABLE
            raise

    def _recipient(self, contact: EdgeContact) -> Recipient:
        """Its keys, compared with the registry. Measures how long it takes to answer."""
        start = time.monotonic()
        info = self._api(contact).node()
        distance = time.monotonic() - start
        recipient = info.recipient(contact.signature_digest, contact.encapsulation_digest)
        if (recipient.edge_node, recipient.chain_id, recipient.ledger) != (contact.id, *self._network):
            raise SessionError(f"who answers at {contact.endpoint} is an edge node of another ledger, or another one")
        with self._threads:
            self._distances[contact.id] = distance
        return recipient

    def _api(self, contact: EdgeContact) -> EdgeApi:
        with self._threads:
            if contact.endpoint not in self._apis:
                self._apis[contact.endpoint] = EdgeApi(contact.endpoint, timeout=self._timeout)
            return self._apis[contact.endpoint]

    def close(self) -> None:
        with self._threads:
            for api in self._apis.values():
                api.close()
            self._apis.clear()


def receipt_scheme(public_key: bytes) -> SignatureScheme:
    """Edge nodes sign receipts with ML-DSA of any strength; the key's length tells which (FIPS 204, table 2). Raises
    ReceiptRejectedError for another length."""
    for scheme in _schemes():
        if scheme.public_key_size == len(public_key):
            return scheme
    raise ReceiptRejectedError(f"{len(public_key)} bytes are no ML-DSA public key")


def _schemes() -> Iterator[SignatureScheme]:
    return map(signature_scheme, ("ML-DSA-44", "ML-DSA-65", "ML-DSA-87"))


def _upload(api: EdgeApi, recipient: Recipient, envelope: bytes, known: Callable[[bytes], bool]) -> KeptReceipt:
    receipt = api.upload(envelope, recipient)
    try:
        recipient.check(receipt, receipt.gradient, receipt_scheme(recipient.signature_key))
    except GradientRejectedError as error:
        raise ReceiptRejectedError(f"edge node {recipient.edge_node}: {error}") from error
    if not known(receipt.gradient):
        raise StaleSequenceError(
            f"edge node {recipient.edge_node} holds another local gradient of this sequence number"
        )
    return KeptReceipt(receipt, recipient.signature_key)


def _summary(failures: list[BFLMECError]) -> BFLMECError:
    refusals = [error for error in failures if isinstance(error, GradientRejectedError)]
    if refusals and len(refusals) == len(failures) and not any(isinstance(e, ClientQuotaError) for e in refusals):
        return refusals[0]
    advised = [error.retry_after for error in failures if error.retry_after is not None]
    told = "; ".join(str(error) for error in failures) or "no edge node is known yet"
    return NoEdgeNodeError(f"no edge node took the upload, which stays pending: {told}", min(advised, default=None))


def _read(database: Database) -> list[EdgeContact]:
    data = database.get(_REGISTRY)
    if data is None:
        return []
    try:
        return msgspec.msgpack.decode(data, type=list[EdgeContact])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []  # a copy of what the ledger has: read again
