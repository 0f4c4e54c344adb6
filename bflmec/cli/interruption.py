"""How Ctrl-C and a request to terminate end a command: in order, with the exit codes that shells use."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_SHELL_OFFSET = 128


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as service managers and batch systems send it before they kill."""


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM interrupts the block as Ctrl-C does. After either the process ends with 128 + the signal's number."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except _Terminated:
        sys.exit(_SHELL_OFFSET + signal.SIGTERM)
    except KeyboardInterrupt:
        sys.exit(_SHELL_OFFSET + signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)
