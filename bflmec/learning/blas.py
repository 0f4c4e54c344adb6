"""One BLAS thread, so that a machine gives the same bits however many threads it is set to use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from threading import Lock

from threadpoolctl import ThreadpoolController

_lock = Lock()
_users = 0
_limit = ExitStack()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Holds numpy's BLAS at one thread until the last of those that use this at the same time has left."""
    global _users
    with _lock:
        if _users == 0:
            _limit.enter_context(_controller().limit(limits=1, user_api="blas"))
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limit.close()


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    import numpy as np  # noqa: F401  # the controller sees only libraries that are loaded

    return ThreadpoolController()
