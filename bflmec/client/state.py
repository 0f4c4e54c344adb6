"""The protocol's client with every step on disk before the world hears of it.

    finish     the trained weights are pending                  saved
    compose    the average of what is pending is signed         saved, then the envelope may leave
    file       an edge node has promised to keep it             saved: no longer pending, the next sequence number

Killed between any two of these, a client goes on with what the last one saved. Once an envelope may have left, it is
the only one of its sequence number, until a receipt comes: two edge nodes never hold different ones, of which the
ledger could record only one although both have receipts. What is trained meanwhile goes under the next number.
"""

from __future__ import annotations

from dataclasses import replace
from threading import RLock

import msgspec
import numpy as np
from numpy.typing import NDArray

from bflmec.client.store import KeptReceipt, WalletStore
from bflmec.errors import ReceiptRejectedError, StorageError
from bflmec.protocol.client import Client, TrainingTask
from bflmec.protocol.client_snapshot import ClientSnapshot
from bflmec.protocol.messages import GRADIENT_CONTEXT, Envelope, GradientHeader, SignedHeader, decode, encode
from bflmec.protocol.ports import Anchor, LedgerView, Signer


class ClientState:
    """Threads may share it. Every method raises WalletError if the wallet's file can't be written."""

    def __init__(self, client: Client, store: WalletStore) -> None:
        """Goes on where the wallet's last process stopped. Raises MessageError if what it left is damaged."""
        self._client = client
        self._store = store
        self._threads = RLock()
        snapshot = store.snapshot()
        if snapshot is not None:
            self._resume(snapshot)

    def _resume(self, snapshot: ClientSnapshot) -> None:
        try:
            self._client.resume(snapshot)
        except StorageError:  # the anchor's global gradient is nowhere at hand: the next jump reads another
            self._client.resume(msgspec.structs.replace(snapshot, anchor=None, weights=b""))

    # ---------------------------------------------------------------- Algorithm 2, lines 1-9

    @property
    def anchor(self) -> Anchor | None:
        return self._client.anchor

    @property
    def sequence(self) -> int:
        """Number of the next local gradient."""
        return self._client.sequence

    @property
    def pending(self) -> int:
        """How many local updates wait to be sent."""
        return self._client.pending

    @property
    def missing_samples(self) -> int:
        return self._client.missing_samples

    def collect(self, places: list[int]) -> None:
        with self._threads:
            self._client.collect(places)

    def jump(self, ledger: LedgerView) -> bool:
        """Reads the newest global gradient; whether there was another than before. Raises LedgerError, StorageError or
        BlobError."""
        with self._threads:
            jumped = self._client.jump(ledger)
            if jumped:
                self._store.save(self._client.snapshot())
                self._leave_lost_anchor(ledger)
            return jumped

    def _leave_lost_anchor(self, ledger: LedgerView) -> None:
        """An envelope whose anchor a reorganisation took away can't be recorded any more: what it holds goes under the
        next sequence number."""
        attempt = self._store.attempt()
        if attempt is None:
            return
        header = GradientHeader.decode(decode(Envelope, attempt).signed.header)
        anchor = ledger.anchor_at(header.anchor) if header.anchor <= ledger.head_number() else None
        if anchor is None or anchor.hash != header.anchor_hash:
            self.continue_from(self.sequence + 1)

    def begin(self) -> TrainingTask:
        """Raises LedgerError before the first anchor."""
        with self._threads:
            return self._client.begin_update()

    def finish(self, weights: NDArray[np.float32]) -> None:
        """The trained weights (P,) float32 of the task begun last."""
        with self._threads:
            self._client.finish_update(weights)
            self._store.save(self._client.snapshot())

    def contribute(self, weights: NDArray[np.float32]) -> None:
        """`begin` and `finish` for weights (P,) float32 that were trained elsewhere, from the anchor."""
        with self._threads:
            self._client.begin_update()
            self.finish(weights)

    # ---------------------------------------------------------------- Algorithm 2, lines 10-16

    def compose(self) -> bytes:
        """The envelope to send, and to send again until a receipt comes. Raises LedgerError if nothing is pending."""
        with self._threads:
            attempt = self._store.attempt()
            envelope = self._signed_now(attempt or self._client.compose())
            if envelope != attempt:
                self._store.save_attempt(self._client.snapshot(), envelope)
            return envelope

    def _signed_now(self, envelope: bytes) -> bytes:
        """The same local gradient, signed with the present key."""
        upload, signer = decode(Envelope, envelope), self._client.identity.signer
        if upload.signed.public_key == signer.public_key:
            return envelope
        header = GradientHeader.decode(upload.signed.header)
        signature = signer.sign(header.digest, GRADIENT_CONTEXT)
        signed = SignedHeader(upload.signed.header, upload.signed.scheme, signature, signer.public_key)
        return encode(Envelope(signed, upload.blob))

    def is_attempt(self, digest: bytes) -> bool:
        """Whether this gradient digest was signed under the present sequence number."""
        attempt = self._store.attempt()
        return attempt is not None and _digest(attempt) == digest

    def file(self, kept: KeptReceipt) -> int:
        """A receipt, checked, for the attempt; how many local updates it covered. Raises ReceiptRejectedError if it is
        for something else."""
        with self._threads:
            envelope = self._store.attempt()
            if envelope is None or _digest(envelope) != kept.receipt.gradient:
                raise ReceiptRejectedError("the receipt is for a local gradient that this client did not send")
            before = self._client.snapshot()
            covered = self._client.acknowledge(kept.receipt)
            try:
                self._store.file(self._client.snapshot(), envelope, kept)
            except BaseException:
                self._resume(before)
                raise
            return covered

    def continue_from(self, sequence: int) -> None:
        """Leaves sequence numbers that are taken. Raises GradientRejectedError for one that the client is past."""
        with self._threads:
            self._client.continue_from(sequence)
            self._store.begin_sequence(self._client.snapshot())

    def sign_with(self, signer: Signer) -> None:
        """From now on signs with another key; what was signed and has no receipt is signed again."""
        with self._threads:
            self._client.identity = replace(self._client.identity, signer=signer)


def _digest(envelope: bytes) -> bytes:
    return GradientHeader.decode(decode(Envelope, envelope).signed.header).digest
