"""What a group of methods is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bflmec.devchain.rpc.format import Json

Methods = dict[str, Callable[..., Json]]


class MethodGroup(Protocol):
    def methods(self) -> Methods:
        """Each method's name and what answers it: positional parameters in, the result out.

        Raises RpcError, CallRevertedError or another ChainError, with nothing changed.
        """
        ...
