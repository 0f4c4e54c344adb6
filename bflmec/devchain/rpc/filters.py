"""Filters that a client polls: new blocks, transactions or logs. Bounded, and forgotten when nobody asks for them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from bflmec.devchain.chain import DevChain
from bflmec.devchain.logs import MAX_BLOCK_RANGE, LogFilter
from bflmec.devchain.rpc.codes import LIMIT_EXCEEDED
from bflmec.devchain.rpc.format import Json, data, log_json
from bflmec.errors import ChainError, RpcError

CAPACITY = 1024
LIFETIME = 300.0  # seconds since it was last asked for


@dataclass(slots=True)
class Filter:
    """`wanted`: which logs, or else of what the hashes. `first` and `last` bound the blocks of logs, None: the newest;
    `next` is the number of the first block, or transaction, that was not reported yet."""

    wanted: LogFilter | Literal["blocks", "transactions"]
    first: int
    last: int | None
    next: int
    asked: float


class Filters:
    """The open filters of all clients. Safe to use from several threads."""

    def __init__(self, chain: DevChain, clock: Callable[[], float] = time.monotonic) -> None:
        self._chain = chain
        self._clock = clock
        self._open: dict[str, Filter] = {}
        self._lock = Lock()

    def watch_blocks(self) -> str:
        after = self._chain.head.number + 1
        return self._add(Filter("blocks", after, None, after, 0))

    def watch_transactions(self) -> str:
        """Transactions that are taken from now on, mined or not."""
        _, count = self._chain.arrivals(0)
        return self._add(Filter("transactions", 0, None, count, 0))

    def watch_logs(self, wanted: LogFilter, first: int, last: int | None) -> str:
        """Logs of the blocks that come from now on, within `first` and `last`."""
        return self._add(Filter(wanted, first, last, max(first, self._chain.head.number + 1), 0))

    def close(self, name: str) -> bool:
        """Whether there was such a filter."""
        with self._lock:
            return self._open.pop(name, None) is not None

    def changes(self, name: str) -> list[Json]:
        """Hashes, or logs, that came since it was last asked; of at most MAX_BLOCK_RANGE blocks at a time."""
        with self._lock:
            found = self._find(name)
            if found.wanted == "transactions":
                hashes, found.next = self._chain.arrivals(found.next)
                return [data(one) for one in hashes]
            last = min(self._chain.head.number, found.next + MAX_BLOCK_RANGE - 1)
            if found.last is not None:
                last = min(last, found.last)
            result = self._blocks(found.next, last) if found.wanted == "blocks" else self._logs(found, found.next, last)
            found.next = max(found.next, last + 1)
            return result

    def logs(self, name: str) -> list[Json]:
        """All logs that a log filter matches."""
        with self._lock:
            found = self._find(name)
            return self._logs(found, found.first, self._chain.head.number if found.last is None else found.last)

    def _add(self, filter_: Filter) -> str:
        with self._lock:
            self._forget()
            if len(self._open) >= CAPACITY:
                raise RpcError(LIMIT_EXCEEDED, f"{CAPACITY} filters are open; uninstall one, or use eth_getLogs")
            filter_.asked = self._clock()
            name = hex(1 << 127 | secrets.randbits(127))  # no client can guess, and close, another one's
            self._open[name] = filter_
            return name

    def _find(self, name: str) -> Filter:
        self._forget()
        found = self._open.get(name)
        if found is None:
            raise ChainError(f"filter not found: it never was, or nobody asked for {LIFETIME:.0f} s; install it again")
        found.asked = self._clock()
        return found

    def _forget(self) -> None:
        oldest = self._clock() - LIFETIME
        for name in [name for name, one in self._open.items() if one.asked < oldest]:
            del self._open[name]

    def _blocks(self, first: int, last: int) -> list[Json]:
        blocks = (self._chain.block(number) for number in range(first, last + 1))
        return [data(block.hash) for block in blocks if block is not None]

    def _logs(self, found: Filter, first: int, last: int) -> list[Json]:
        if not isinstance(found.wanted, LogFilter):
            raise ChainError(f"this filter is for {found.wanted}; only eth_getFilterChanges reads it")
        return [log_json(log) for log in self._chain.logs(found.wanted, first, last)]
