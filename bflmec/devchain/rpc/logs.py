"""Methods for logs, and for filters of logs, blocks and transactions."""

from __future__ import annotations

from bflmec.devchain.chain import DevChain
from bflmec.devchain.rpc.filters import Filters
from bflmec.devchain.rpc.format import Json, log_json
from bflmec.devchain.rpc.methods import Methods
from bflmec.devchain.rpc.params import block_of_hash, parse_filter, parse_object, parse_quantity, range_end


class LogMethods:
    def __init__(self, chain: DevChain) -> None:
        self._chain = chain
        self._filters = Filters(chain)

    def methods(self) -> Methods:
        return {
            "eth_getLogs": self._logs,
            "eth_newFilter": self._new_filter,
            "eth_newBlockFilter": self._filters.watch_blocks,
            "eth_newPendingTransactionFilter": self._filters.watch_transactions,
            "eth_getFilterChanges": lambda name: self._filters.changes(_name(name)),
            "eth_getFilterLogs": lambda name: self._filters.logs(_name(name)),
            "eth_uninstallFilter": lambda name: self._filters.close(_name(name)),
        }

    def _logs(self, request: Json) -> Json:
        wanted = parse_object(request, "a log filter")
        if wanted.get("blockHash") is not None:
            first = last = block_of_hash(self._chain, wanted["blockHash"])
        else:
            first, last = (range_end(self._chain, wanted.get(end)) for end in ("fromBlock", "toBlock"))
        return [log_json(found) for found in self._chain.logs(parse_filter(wanted), first, last)]

    def _new_filter(self, request: Json) -> Json:
        wanted = parse_object(request, "a log filter")
        if wanted.get("blockHash") is not None:
            first = last = block_of_hash(self._chain, wanted["blockHash"])
            return self._filters.watch_logs(parse_filter(wanted), first, last)
        end = wanted.get("toBlock")
        return self._filters.watch_logs(
            parse_filter(wanted),
            range_end(self._chain, wanted.get("fromBlock")),
            range_end(self._chain, end) if isinstance(end, str) and end.startswith("0x") else None,
        )


def _name(value: Json) -> str:
    return hex(parse_quantity(value, "filter"))
