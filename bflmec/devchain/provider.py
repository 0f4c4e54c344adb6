"""web3.py on an embedded chain of the same process."""

from __future__ import annotations

from itertools import count
from typing import Any

from web3.providers import BaseProvider
from web3.types import RPCEndpoint, RPCResponse

from bflmec.devchain.chain import DevChain
from bflmec.devchain.rpc import JsonRpc


class DevChainProvider(BaseProvider):
    """`Web3(DevChainProvider(chain))`. Works with web3 7.16 and 8."""

    def __init__(self, chain: DevChain) -> None:
        super().__init__()
        self.chain = chain
        self._rpc = JsonRpc(chain)
        self._ids = count()

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        response: RPCResponse = self._rpc.respond(
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        )
        return response

    def is_connected(self, show_traceback: bool = False) -> bool:
        return True
