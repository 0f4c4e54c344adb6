"""A client (Algorithm 2): collects samples, jumps to the newest anchor, trains, signs, and sends when it can.

The object only decides. Its driver brings samples and connections, and runs the training that it asks for:

    collect -> ready -> jump -> begin_update -> (training) -> finish_update      lines 1-9
    compose -> (upload) -> acknowledge                                          lines 10-16

Updates that could not be sent stay pending; `compose` averages them, the newest included. Until a receipt comes back
every attempt is signed under one sequence number, so that of several attempts only one can ever count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from bflmec.errors import ConfigError, GradientRejectedError, LedgerError
from bflmec.learning.blob import blob_size, decode_blob, encode_blob
from bflmec.learning.tensors import TensorSpec
from bflmec.protocol.messages import (
    GRADIENT_CONTEXT,
    Envelope,
    GradientHeader,
    Mode,
    Receipt,
    SignedHeader,
    encode,
)
from bflmec.protocol.ports import Anchor, Blobs, LedgerView, Signer


class AnchorSearch(StrEnum):
    """How a client finds the newest global gradient: asks for it, or walks block by block from its own anchor."""

    LATEST = "latest"
    WALK = "walk"


class AfterTraining(StrEnum):
    """What becomes of the samples that a local update was trained on."""

    CONSUME = "consume"
    SLIDING = "sliding"
    ACCUMULATE = "accumulate"


class StartFrom(StrEnum):
    """Where training starts when there is no newer global gradient."""

    ANCHOR = "anchor"
    OWN = "own"


@dataclass(frozen=True, kw_only=True)
class ClientRules:
    """How a client works. `data_threshold` is N; `strict_threshold` asks for more than N samples (Algorithm 2, line 1)
    instead of at least N."""

    data_threshold: int = 75
    strict_threshold: bool = False
    mode: Mode = Mode.DELTA
    anchor_search: AnchorSearch = AnchorSearch.LATEST
    after_training: AfterTraining = AfterTraining.CONSUME
    sliding_window: int = 300
    start_from: StartFrom = StartFrom.ANCHOR

    def __post_init__(self) -> None:
        if self.data_threshold < 1:
            raise ConfigError("data_threshold must be at least 1 sample")
        if self.sliding_window < self.data_threshold:
            raise ConfigError("sliding_window must hold at least data_threshold samples")


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


@dataclass(frozen=True)
class _Pending:
    anchor: Anchor
    anchor_weights: NDArray[np.float32]
    weights: NDArray[np.float32]

    def content(self, mode: Mode) -> NDArray[np.float32]:
        return self.weights - self.anchor_weights if mode is Mode.DELTA else self.weights


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
        self._pending: list[_Pending] = []
        self._composed: dict[bytes, int] = {}
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
        """Anchor jump (lines 2-5): reads the newest global gradient. Returns whether there was a newer one."""
        newest = self._walk(ledger) if self.rules.anchor_search is AnchorSearch.WALK else ledger.latest_anchor()
        if newest is None or (self.anchor is not None and newest.number <= self.anchor.number):
            return False
        blob = self._blobs.get(newest.content, limit=blob_size(self._spec))
        self._anchor_weights = decode_blob(self._spec, blob)
        self.anchor = newest
        self.weights = self._anchor_weights
        return True

    def _walk(self, ledger: LedgerView) -> Anchor | None:
        start = -1 if self.anchor is None else self.anchor.number
        newest = None
        for number in range(start + 1, ledger.head_number() + 1):
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
        self._pending.append(_Pending(anchor, anchor_weights, weights))

    # ---------------------------------------------------------------- lines 10-16: average, sign, upload

    @property
    def pending(self) -> int:
        """How many local updates wait to be sent."""
        return len(self._pending)

    def compose(self) -> bytes:
        """The signed envelope of everything pending: its average, under the oldest anchor among it.

        As long as nothing is added it stays the same bytes, so that one local gradient has one signature.
        """
        if not self._pending:
            raise LedgerError("no local update is pending")
        if self._enclosed != len(self._pending):
            self._envelope = self._sign()
            self._enclosed = len(self._pending)
        return self._envelope

    def _sign(self) -> bytes:
        content = self._average()
        blob = encode_blob(self._spec, content)
        oldest = min((update.anchor for update in self._pending), key=lambda anchor: anchor.number)
        header = GradientHeader(
            chain_id=self.identity.chain_id,
            ledger=self.identity.ledger,
            client=self.identity.account,
            sequence=self.sequence,
            anchor=oldest.number,
            anchor_hash=oldest.hash,
            mode=self.rules.mode,
            blob_digest=sha256(blob).digest(),
            blob_length=len(blob),
            updates=len(self._pending),
        )
        signer = self.identity.signer
        signature = signer.sign(header.digest, GRADIENT_CONTEXT)
        self._composed[header.digest] = len(self._pending)
        signed = SignedHeader(header.encode(), self.identity.scheme, signature, signer.public_key)
        return encode(Envelope(signed, blob))

    def _average(self) -> NDArray[np.float32]:
        contents = [update.content(self.rules.mode) for update in self._pending]
        if len(contents) == 1:
            return contents[0]
        total = contents[0].astype(np.float64)
        for content in contents[1:]:
            total += content
        return (total / len(contents)).astype(np.float32)

    def acknowledge(self, receipt: Receipt) -> int:
        """Takes a receipt, whose signature the driver has checked: what it covers is no longer pending.

        Returns how many local updates it covered. Raises GradientRejectedError for a local gradient that this client
        never composed under its current sequence.
        """
        covered = self._composed.get(receipt.gradient)
        if covered is None:
            raise GradientRejectedError("the receipt is for a local gradient that this client did not send")
        del self._pending[:covered]
        self._composed.clear()
        self._envelope, self._enclosed = b"", 0
        self.sequence += 1
        return covered


def nearest_first(distances: dict[int, float], unreachable: frozenset[int] = frozenset()) -> list[int]:
    """Edge node ids by distance (Algorithm 2, lines 13-14), without those that just failed; ties go to the lower id."""
    return sorted(distances.keys() - unreachable, key=lambda node: (distances[node], node))
