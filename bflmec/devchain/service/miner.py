"""A thread that seals blocks, so that nobody who sends a transaction waits for a nonce."""

from __future__ import annotations

import logging
from threading import Event, Thread
from types import TracebackType
from typing import Self

from bflmec.devchain.chain import DevChain
from bflmec.errors import ChainError

RETRY_SECONDS = 1.0  # after a block could not be written

_log = logging.getLogger(__name__)


class Miner:
    """A context manager that mines while it is entered. With `block_time` (seconds) a block comes at each tick, empty
    ones too; without, as soon as a transaction waits that is valid now.

    A block that can't be written, as on a full disk, is logged, and tried again.
    """

    def __init__(self, chain: DevChain, block_time: float | None = None) -> None:
        self._chain = chain
        self._block_time = block_time
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="miner", daemon=True)

    def __enter__(self) -> Self:
        self._chain.auto_mine = False
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._chain.arrived.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._tick() if self._block_time is not None else self._work()
            except ChainError as error:
                if not self._stopped.is_set():
                    _log.error("no block: %s", error)
                self._stopped.wait(RETRY_SECONDS)

    def _tick(self) -> None:
        if not self._stopped.wait(self._block_time):
            self._chain.mine(self._stopped.is_set)

    def _work(self) -> None:
        while not self._stopped.is_set() and self._chain.mine_waiting(self._stopped.is_set) is not None:
            pass
        self._chain.arrived.wait()
        self._chain.arrived.clear()
