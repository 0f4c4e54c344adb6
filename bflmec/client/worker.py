"""A client at work (Algorithm 2): samples arrive, updates are trained, what was learned is sent when it can be.

Training and sending go on side by side, so that a client without a connection keeps training and later sends the
average of what it could not send. Everything that has to survive is on disk before it counts; the worker can be killed
at any moment and started again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Event, Thread
from typing import Final

import numpy as np

from bflmec.client.filing import Filed
from bflmec.client.samples import SampleRing, capacity_of
from bflmec.client.sources import Sample
from bflmec.client.wallet import Wallet
from bflmec.errors import BFLMECError, BlobError, WalletError
from bflmec.learning.local_update import LocalTask, LocalUpdateRules, local_update
from bflmec.protocol.client import TrainingTask

_log = logging.getLogger(__name__)

ACCUMULATED: Final = 10_000
"""Samples that a client holds at most if it never consumes them."""
FIRST_PAUSE: Final = 0.5
LAST_PAUSE: Final = 60.0
"""Seconds between attempts that fail: doubled from the first to the last."""
WATCH_SECONDS: Final = 15.0
"""Between two looks at what the ledger has recorded."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a worker tells. `event` is one of

    anchor      a newer global gradient was read: `number` of its block
    trained     a local update is pending: `number` of the update
    filed       an edge node promised to keep a local gradient: `filed`
    failed      something did not work and will be tried again: `error`
    """

    event: str
    number: int = 0
    filed: Filed | None = None
    error: BFLMECError | None = None


Report = Callable[[Progress], None]


class Worker:
    """Drives a wallet with samples. `stop` may be called from anywhere, also from a signal handler.

    `updates` ends it after so many local updates, when everything is sent; without it, it ends with its source.
    `accumulated` bounds the samples that it holds if they are never consumed.
    """

    def __init__(
        self,
        wallet: Wallet,
        *,
        updates: int | None = None,
        accumulated: int = ACCUMULATED,
        report: Report = lambda progress: None,
    ) -> None:
        learning = wallet.config.learning
        self._wallet = wallet
        self._updates = updates
        self._report = report
        self._training = LocalUpdateRules(
            learning.learning_rate, learning.epochs, learning.batch_size, learning.proximal
        )
        self._samples = SampleRing(capacity_of(wallet.rules, accumulated), wallet.model.features, wallet.model.classes)
        self._stopped = Event()
        self._learned = Event()
        self._wake = Event()
        self._crash: BaseException | None = None

    def run(self, source: Iterable[Sample]) -> None:
        """Works until the source or the number of updates ends and everything is sent, or until `stop`.

        Raises what the source raises, WalletError if the wallet's folder can't be written, DataError for a sample that
        does not fit the model. What was trained before is on disk, and is sent by the next worker.
        """
        uploading = Thread(target=self._upload, name="bflmec-upload", daemon=True)
        uploading.start()
        try:
            self._learn(source)
        except BaseException:
            self.stop()
            raise
        finally:
            self._learned.set()
            self._wake.set()
            uploading.join()
        if self._crash is not None:
            raise self._crash

    def stop(self) -> None:
        """Ends `run` as soon as what it does just now is done. A source that waits for samples has to be ended, too."""
        self._stopped.set()
        self._wake.set()

    # ---------------------------------------------------------------- Algorithm 2, lines 1-9

    def _learn(self, source: Iterable[Sample]) -> None:
        state, trained = self._wallet.state, 0
        for x, y in source:
            if self._stopped.is_set():
                return
            state.collect([self._samples.add(x, y)])
            if state.missing_samples > 0:
                continue
            if not self._read_anchor():
                return
            self._train(state.begin())
            trained += 1
            if trained == self._updates:
                return

    def _read_anchor(self) -> bool:
        """Reads the newest global gradient if it can; waits only as long as it has none at all. False if stopped."""
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            try:
                before = self._wallet.state.anchor
                anchor = self._wallet.latest_global_gradient().anchor
                if anchor != before:
                    self._report(Progress("anchor", number=anchor.number))
                return True
            except WalletError:
                raise
            except BFLMECError as error:
                self._failed(error)
                if self._wallet.state.anchor is not None:
                    return True
            self._stopped.wait(pause)
            pause = min(2 * pause, LAST_PAUSE)
        return False

    def _train(self, task: TrainingTask) -> None:
        x, y = self._samples.take(task.samples)
        seed = [int.from_bytes(self._wallet.account, "big"), 0x5EED, task.number]
        local = LocalTask(task.start, x, y, np.random.default_rng(seed))
        weights = local_update(self._wallet.model, local, self._training)
        if not np.isfinite(weights).all():
            self._failed(BlobError(f"local update {task.number} diverged and is dropped; lower learning_rate"))
            return
        self._wallet.state.finish(weights)
        self._report(Progress("trained", number=task.number))
        self._wake.set()

    # ---------------------------------------------------------------- Algorithm 2, lines 10-16

    def _upload(self) -> None:
        try:
            self._send_and_watch()
        except BaseException as error:
            self._crash = error
            self.stop()

    def _send_and_watch(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            self._wake.clear()
            has_learned = self._learned.is_set()  # before sending: what is trained meanwhile must not stay behind
            try:
                if self._send():
                    pause = FIRST_PAUSE
                    continue
                if has_learned:
                    return
                self._wallet.watch()
            except WalletError:
                raise
            except BFLMECError as error:
                self._failed(error)
                self._stopped.wait(max(pause, error.retry_after or 0.0))
                pause = min(2 * pause, LAST_PAUSE)
            else:
                self._wake.wait(WATCH_SECONDS)

    def _send(self) -> bool:
        filed = self._wallet.send_pending()
        if filed is not None:
            self._report(Progress("filed", filed=filed))
        return filed is not None

    def _failed(self, error: BFLMECError) -> None:
        _log.info("will be tried again: %s", error)
        self._report(Progress("failed", error=error))
