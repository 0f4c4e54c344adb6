"""Methods about the node itself, its fees included."""

from __future__ import annotations

from eth_hash.auto import keccak

from bflmec import __version__
from bflmec.devchain.chain import DevChain
from bflmec.devchain.fees import fee_history
from bflmec.devchain.rpc.codes import INVALID_PARAMS
from bflmec.devchain.rpc.format import Json, data
from bflmec.devchain.rpc.methods import Methods
from bflmec.devchain.rpc.params import existing_block, parse_data, parse_quantity
from bflmec.errors import RpcError

TIP = 10**9  # wei per gas, suggested to whoever asks
_MAX_PERCENTILES = 100


class NodeMethods:
    def __init__(self, chain: DevChain) -> None:
        self._chain = chain

    def methods(self) -> Methods:
        return {
            "web3_clientVersion": lambda: f"bflmec/{__version__}",
            "web3_sha3": lambda text: data(keccak(parse_data(text, "data"))),
            "net_version": lambda: str(self._chain.chain_id),
            "net_listening": lambda: True,
            "net_peerCount": lambda: "0x0",
            "eth_chainId": lambda: hex(self._chain.chain_id),
            "eth_syncing": lambda: False,
            "eth_accounts": list,
            "eth_coinbase": lambda: data(self._chain.genesis.miner),
            "eth_mining": lambda: True,
            "eth_hashrate": lambda: "0x0",  # not measured
            "eth_blockNumber": lambda: hex(self._chain.head.number),
            "eth_gasPrice": lambda: hex(self._chain.next_base_fee + TIP),
            "eth_maxPriorityFeePerGas": lambda: hex(TIP),
            "eth_blobBaseFee": lambda: "0x1",  # the least there is: no block holds a blob
            "eth_feeHistory": self._fee_history,
        }

    def _fee_history(self, count: Json, newest: Json, percentiles: Json = None) -> Json:
        wanted = [] if percentiles is None else percentiles
        if (
            not isinstance(wanted, list | tuple)
            or len(wanted) > _MAX_PERCENTILES
            or not all(_is_percentage(p) for p in wanted)
        ):
            raise RpcError(INVALID_PARAMS, f"percentiles are at most {_MAX_PERCENTILES} numbers from 0 to 100")
        number = existing_block(self._chain, newest)
        blocks = count if isinstance(count, int) else parse_quantity(count, "block count")
        if number is None or blocks < 1:
            raise RpcError(INVALID_PARAMS, "a fee history has at least one block, up to one that exists")
        history = fee_history(self._chain, blocks, number, wanted)
        result: dict[str, Json] = {
            "oldestBlock": hex(history.oldest),
            "baseFeePerGas": [hex(fee) for fee in history.base_fees],
            "gasUsedRatio": list(history.gas_used_ratios),
        }
        if wanted:
            result["reward"] = [[hex(tip) for tip in tips] for tips in history.tips]
        return result


def _is_percentage(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100
