"""The embedded proof-of-work Ethereum chain: Prague rules on py-evm, a SHA-256 seal, one writer, one SQLite file.

The names below are imported when they are first used, because py-evm takes most of a second to load.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bflmec.devchain.chain import DevChain as DevChain
    from bflmec.devchain.genesis import Genesis as Genesis
    from bflmec.devchain.provider import DevChainProvider as DevChainProvider
    from bflmec.devchain.rpc import JsonRpc as JsonRpc

_HOMES = {"DevChain": "chain", "DevChainProvider": "provider", "Genesis": "genesis", "JsonRpc": "rpc"}

__all__ = ["DevChain", "DevChainProvider", "Genesis", "JsonRpc"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
