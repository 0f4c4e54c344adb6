"""The protocol's client with every step on disk before the world hears of it.

    finish     the trained weights are pending                     saved
    compose    an attempt is signed                                saved, then its envelope may leave
    file       an edge node has promised to keep one of them       saved: no longer pending, the next sequence number

Killed between any two of these, a client goes on with what the last one saved: it may send an envelope again, but never
signs other contents under a sequence number without knowing all that it has signed under it before.
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
from bflmec.protocol.messages import Envelope, decode
from bflmec.protocol.ports import Anchor, LedgerView, Signer


class ClientState:
    """Threads may share it. Every method raises WalletError if the wallet's file can't be written."""

    def __init__(self, client: Client, store: WalletStore) -> None:
        """Goes on where the wallet's last process stopped. Raises MessageError if what it left is damaged."""
        self._client = client
        self._store = store
        self._threads = RLock()
        self._attempt = b""
        snapshot = store.snapshot()
        if snapshot is not None:
            if not _is_signed_with(client.identity.signer.public_key, snapshot.envelope):
                snapshot = msgspec.structs.replace(snapshot, envelope=b"", enclosed=0)  # the key was replaced since
            self._resume(snapshot)
            self._attempt = snapshot.envelope

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
            return jumped

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
        """The envelope to send, and to send again until a receipt comes. Raises LedgerError if nothing is pending,
        BlobError if the training diverged."""
        with self._threads:
            envelope = self._client.compose()
            if envelope != self._attempt:
                self._store.attempt(self._client.snapshot(), envelope)
                self._attempt = envelope
            return envelope

    def is_attempt(self, digest: bytes) -> bool:
        """Whether this gradient digest was signed under the present sequence number."""
        return self._store.attempted(digest) is not None

    def file(self, kept: KeptReceipt) -> int:
        """A receipt, checked, for one of the attempts; how many local updates it covered.

        Raises ReceiptRejectedError if it is for something else that was recorded under this sequence number: this
        wallet was restored from a backup, or its key is used elsewhere.
        """
        with self._threads:
            envelope = self._store.attempted(kept.receipt.gradient)
            if envelope is None:
                raise ReceiptRejectedError(
                    f"under sequence number {self.sequence} the edge node holds another local gradient of this client"
                )
            before = self._client.snapshot()
            covered = self._client.acknowledge(kept.receipt)
            try:
                self._store.file(self._client.snapshot(), envelope, kept)
            except BaseException:
                self._resume(before)
                raise
            self._attempt = b""
            return covered

    def continue_from(self, sequence: int) -> None:
        """Leaves sequence numbers that are taken. Raises GradientRejectedError for one that the client is past."""
        with self._threads:
            self._client.continue_from(sequence)
            self._store.begin_sequence(self._client.snapshot())
            self._attempt = b""

    def sign_with(self, signer: Signer) -> None:
        """From now on signs with another key; what is pending is signed again."""
        with self._threads:
            snapshot = msgspec.structs.replace(self._client.snapshot(), envelope=b"", enclosed=0)
            self._client.identity = replace(self._client.identity, signer=signer)
            self._resume(snapshot)
            self._store.save(snapshot)
            self._attempt = b""


def _is_signed_with(public_key: bytes, envelope: bytes) -> bool:
    return not envelope or decode(Envelope, envelope).signed.public_key == public_key
