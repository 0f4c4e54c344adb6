"""The Ethereum JSON-RPC methods of the embedded chain, without a server."""

from __future__ import annotations

from bflmec.devchain.rpc.dispatch import JsonRpc

__all__ = ["JsonRpc"]
