"""Calls that may wait long, in threads that nobody waits for when the edge node ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """`asyncio.to_thread` for calls to the ledger: the end of the event loop does not wait for a node that is gone."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work(*arguments)
        except Exception as error:
            _tell(loop, _fail, future, error)
        else:
            _tell(loop, _succeed, future, result)

    threading.Thread(target=run, name=getattr(work, "__name__", "ledger"), daemon=True).start()
    return await future


def _tell(loop: asyncio.AbstractEventLoop, how: Callable[..., None], future: asyncio.Future[Any], what: object) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(how, future, what)


def _succeed(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
