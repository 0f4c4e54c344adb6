"""A client (Algorithm 2): collects samples, jumps to the newest anchor, trains, signs, and sends when it can.

The object only decides. Its driver brings samples and connections, and runs the training that it asks for:

    collect -> ready -> jump -> begin_update -> (training) -> finish_update      lines 1-9
    compose -> (upload) -> acknowledge                                          lines 10-16

Updates that could not be sent stay pending; `compose` averages them, the newest included. Until a receipt comes back
every attempt is signed under one sequence number, so that of several attempts only one can ever count. What is pending
takes up bounded memory, however long a client has no connection: the oldest updates are kept as their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from bflmec.errors import GradientRejectedError, LedgerError, MessageError
from bflmec.learning.blob import blob_size, decode_blob, encode_blob
from bflmec.learning.tensors import TensorSpec
from bflmec.protocol.client_rules import AfterTraining, AnchorSearch, ClientRules, StartFrom
from bflmec.protocol.client_snapshot import (
    VERSION,
    ClientSnapshot,
    pack_anchor,
    pack_pending,
    unpack_anchor,
    unpack_pending,
)
from bflmec.protocol.messages import (
    GRADIENT_CONTEXT,
    Envelope,
    GradientHeader,
    Mode,
    Receipt,
    SignedHeader,
    encode,
)
from bflmec.protocol.pending import Pending, PendingUpdates
from bflmec.protocol.ports import Anchor, Blobs, LedgerView, Signer

__all__ = [
    "AfterTraining",
    "AnchorSearch",
    "Client",
    "ClientIdentity",
    "ClientRules",
    "StartFrom",
    "TrainingTask",
    "nearest_first",
]

MAX_SEQUENCE = 2**63
"""A client that lost its state is told no higher number to go on with: there are as many left after it."""

MAX_UPDATES = 2**16 - 1
"""So many averaged updates a header can count; it says this number for more, too."""


@dataclass(frozen=True)
class ClientIdentity:
    """Ledger account (20 bytes), signature scheme and its private key, and the ledger that the client works for."""

    account: bytes
    scheme: str
    signer: Signer
    chain_id: int
    ledger: bytes


@dataclass(frozen=True)
class TrainingTask:
    """One local update to run (Eq. II.2): `start` (P,) float32, indices of the `samples`, and the update's number,
    counted from 1, which seeds its batches."""

    number: int
    start: NDArray[np.float32]
    samples: NDArray[np.int64]


class Client:
    """State of one client between its events. `sequence` is the number of the next local gradient, from 1."""

    def __init__(self, identity: ClientIdentity, rules: ClientRules, spec: TensorSpec, blobs: Blobs) -> None:
        self.identity = identity
        self.rules = rules
        self.sequence = 1
        self.updates = 0
        self.anchor: Anchor | None = None
        self.weights: NDArray[np.float32] | None = None
        self._anchor_weights: NDArray[np.float32] | None = None
        self._begun: tuple[Anchor, NDArray[np.float32]] | None = None
        self._spec = spec
        self._blobs = blobs
        self._samples: list[int] = []
        self._fresh = 0
        self._pending = PendingUpdates(rules.pending_limit)
        self._envelope = b""
        self._enclosed = 0

    # ---------------------------------------------------------------- lines 1-9: data, anchor, training

    def collect(self, samples: Sequence[int]) -> None:
        """Fresh samples from the environment, by their index in the client's own data."""
        self._samples.extend(samples)
        self._fresh += len(samples)
        if self.rules.after_training is AfterTraining.ACCUMULATE:
            self._samples = list(dict.fromkeys(self._samples))

    @property
    def is_ready(self) -> bool:
        """As many fresh samples as the data threshold asks for have arrived (Algorithm 2, line 1)."""
        return self.missing_samples <= 0

    @property
    def missing_samples(self) -> int:
        """How many more samples have to arrive before the next local update; not positive when it can begin."""
        return self.rules.data_threshold + self.rules.strict_threshold - self._fresh

    def jump(self, ledger: LedgerView) -> bool:
        """Anchor jump (lines 2-5): reads the newest global gradient. Returns whether there was another than before.

        An anchor that a host reorganisation took away is left for the newest that there is; what was trained from it
        stays pending under that one.
        """
        newest = self._walk(ledger) if self.rules.anchor_search is AnchorSearch.WALK else ledger.latest_anchor()
        if newest is None or newest == self.anchor:
            return False
        if self.anchor is not None and newest.number <= self.anchor.number and not self._is_gone(ledger, self.anchor):
            return False
        blob = self._blobs.get(newest.content, limit=blob_size(self._spec))
        self._anchor_weights = decode_blob(self._spec, blob)
        self.anchor = newest
        self.weights = self._anchor_weights
        self._leave_lost_anchors(newest, ledger)
        return True

    def _is_gone(self, ledger: LedgerView, anchor: Anchor) -> bool:
        """Whether another block has taken the anchor's place. A ledger that is merely behind has none there yet."""
        return ledger.head_number() >= anchor.number and ledger.anchor_at(anchor.number) != anchor

    def _leave_lost_anchors(self, newest: Anchor, ledger: LedgerView) -> None:
        gone = {anchor for anchor in self._pending.anchors() - {newest} if self._is_gone(ledger, anchor)}
        if not gone:
            return
        self._pending.move(gone, newest)
        self._envelope, self._enclosed = b"", 0

    def _walk(self, ledger: LedgerView) -> Anchor | None:
        """The newest anchor on the way from the client's own to the head; from the start if its own is gone."""
        newest = None
        start = 0 if self.anchor is None or self._is_gone(ledger, self.anchor) else self.anchor.number + 1
        for number in range(start, ledger.head_number() + 1):
            newest = ledger.anchor_at(number) or newest
        return newest

    def begin_update(self) -> TrainingTask:
        """The local update to run now. Takes the samples that it trains on; raises LedgerError before any anchor."""
        if self.anchor is None or self.weights is None or self._anchor_weights is None:
            raise LedgerError("the client has read no global gradient yet; let it jump to an anchor first")
        self._begun = self.anchor, self._anchor_weights
        start = self.weights if self.rules.start_from is StartFrom.OWN else self._anchor_weights
        self.updates += 1
        task = TrainingTask(self.updates, start, np.array(self._samples, dtype=np.int64))
        self._fresh = 0
        if self.rules.after_training is AfterTraining.CONSUME:
            self._samples = []
        elif self.rules.after_training is AfterTraining.SLIDING:
            kept = self.rules.sliding_window - self.rules.data_threshold
            self._samples = self._samples[-kept:] if kept else []
        return task

    def finish_update(self, weights: NDArray[np.float32]) -> None:
        """The trained weights (P,) float32 of the task begun last; they become pending, under the anchor of its
        beginning. Raises LedgerError if none was begun."""
        if self._begun is None:
            raise LedgerError("no local update was begun; call begin_update first")
        anchor, anchor_weights = self._begun
        self._begun = None
        if anchor == self.anchor:
            self.weights = weights
        content = weights - anchor_weights if self.rules.mode is Mode.DELTA else weights
        self._pending.add(Pending(anchor, content))

    # ---------------------------------------------------------------- lines 10-16: average, sign, upload

    @property
    def pending(self) -> int:
        """How many local updates wait to be sent."""
        return self._pending.count

    def compose(self) -> bytes:
        """The signed envelope of everything pending: its average, under the oldest anchor among it.

        As long as nothing is added it stays the same bytes, so that one local gradient has one signature. After so many
        attempts without a receipt it covers what the last one covered; the rest goes with the next sequence number.
        """
        if not self.pending:
            raise LedgerError("no local update is pending")
        count = self._pending.next_attempt()
        if self._enclosed != count:
            self._envelope = self._sign(count)
            self._enclosed = count
        return self._envelope

    def _sign(self, count: int) -> bytes:
        covered = self._pending.oldest(count)
        blob = encode_blob(self._spec, covered.average())
        header = GradientHeader(
            chain_id=self.identity.chain_id,
            ledger=self.identity.ledger,
            client=self.identity.account,
            sequence=self.sequence,
            anchor=covered.anchor.number,
            anchor_hash=covered.anchor.hash,
            mode=self.rules.mode,
            blob_digest=sha256(blob).digest(),
            blob_length=len(blob),
            updates=min(count, MAX_UPDATES),
        )
        signer = self.identity.signer
        signature = signer.sign(header.digest, GRADIENT_CONTEXT)
        self._pending.attempted(header.digest, count)
        signed = SignedHeader(header.encode(), self.identity.scheme, signature, signer.public_key)
        return encode(Envelope(signed, blob))

    def acknowledge(self, receipt: Receipt) -> int:
        """Takes a receipt, whose signature the driver has checked: what it covers is no longer pending.

        Returns how many local updates it covered. Raises GradientRejectedError for a local gradient that this client
        never composed under its current sequence.
        """
        covered = self._pending.covered_by(receipt.gradient)
        if covered is None:
            raise GradientRejectedError("the receipt is for a local gradient that this client did not send")
        self._pending.drop(covered)
        self._begin_sequence(self.sequence + 1)
        return covered

    def continue_from(self, sequence: int) -> None:
        """For a client that lost its state: goes on with a sequence number that is free according to the ledger and the
        edge nodes. Raises GradientRejectedError if the client is past it already."""
        if not self.sequence <= sequence <= MAX_SEQUENCE:
            raise GradientRejectedError(
                f"the next sequence number is {self.sequence} to {MAX_SEQUENCE}, not {sequence}"
            )
        self._begin_sequence(sequence)

    def snapshot(self) -> ClientSnapshot:
        """Everything of this client that has to survive its process, samples aside."""
        own = self.weights is not self._anchor_weights and self.weights is not None
        return ClientSnapshot(
            version=VERSION,
            sequence=self.sequence,
            updates=self.updates,
            anchor=pack_anchor(self.anchor),
            weights=self.weights.astype("<f4").tobytes() if own and self.weights is not None else b"",
            pending=pack_pending(self._pending.updates),
            attempts=self._pending.attempts,
            envelope=self._envelope,
            enclosed=self._enclosed,
        )

    def resume(self, snapshot: ClientSnapshot) -> None:
        """Goes on where an earlier process stopped. Raises MessageError if the snapshot is not of this model,
        StorageError if the anchor's global gradient can't be read; nothing has changed then."""
        anchor, pending = unpack_anchor(snapshot.anchor), unpack_pending(snapshot.pending, self._spec)
        anchor_weights = None
        if anchor is not None:
            anchor_weights = decode_blob(self._spec, self._blobs.get(anchor.content, limit=blob_size(self._spec)))
        weights = anchor_weights
        if snapshot.weights:
            if len(snapshot.weights) != 4 * self._spec.size:
                raise MessageError("the client's state is of another model; restore the one of this ledger")
            weights = np.frombuffer(snapshot.weights, "<f4").astype(np.float32)
        try:
            self._pending.resume(pending, snapshot.attempts)
        except ValueError as error:
            raise MessageError(f"the client's state is damaged ({error}); restore it from a backup") from error
        self.anchor, self._anchor_weights, self.weights = anchor, anchor_weights, weights
        self.sequence, self.updates = snapshot.sequence, snapshot.updates
        self._envelope, self._enclosed = snapshot.envelope, snapshot.enclosed

    def _begin_sequence(self, sequence: int) -> None:
        self.sequence = sequence
        self._pending.forget_attempts()
        self._envelope, self._enclosed = b"", 0


def nearest_first(distances: dict[int, float], unreachable: frozenset[int] = frozenset()) -> list[int]:
    """Edge node ids by distance (Algorithm 2, lines 13-14), without those that just failed; ties go to the lower id."""
    return sorted(distances.keys() - unreachable, key=lambda node: (distances[node], node))
