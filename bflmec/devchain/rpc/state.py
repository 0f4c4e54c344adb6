"""Methods that read the state, execute calls on it and send transactions."""

from __future__ import annotations

from bflmec.devchain.chain import DevChain
from bflmec.devchain.rpc.format import Json, data
from bflmec.devchain.rpc.methods import Methods
from bflmec.devchain.rpc.params import parse_address, parse_call, parse_data, parse_slot, state_block


class StateMethods:
    def __init__(self, chain: DevChain) -> None:
        self._chain = chain

    def methods(self) -> Methods:
        return {
            "eth_getTransactionCount": self._transaction_count,
            "eth_getBalance": self._balance,
            "eth_getCode": self._code,
            "eth_getStorageAt": self._storage_at,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate_gas,
            "eth_sendRawTransaction": self._send_raw_transaction,
        }

    def _at(self, tag: Json) -> int:
        return state_block(self._chain, tag)

    def _transaction_count(self, account: Json, tag: Json = "latest") -> Json:
        address = parse_address(account)
        nonce = self._chain.next_nonce(address) if tag == "pending" else self._chain.nonce(address, self._at(tag))
        return hex(nonce)

    def _balance(self, account: Json, tag: Json = "latest") -> Json:
        return hex(self._chain.balance(parse_address(account), self._at(tag)))

    def _code(self, account: Json, tag: Json = "latest") -> Json:
        return data(self._chain.code(parse_address(account), self._at(tag)))

    def _storage_at(self, account: Json, slot: Json, tag: Json = "latest") -> Json:
        value = self._chain.storage(parse_address(account), parse_slot(slot), self._at(tag))
        return f"0x{value:064x}"

    def _call(self, request: Json, tag: Json = "latest") -> Json:
        return data(self._chain.call(parse_call(request), self._at(tag)))

    def _estimate_gas(self, request: Json, tag: Json = "latest") -> Json:
        return hex(self._chain.estimate_gas(parse_call(request), self._at(tag)))

    def _send_raw_transaction(self, raw: Json) -> Json:
        return data(self._chain.send(parse_data(raw, "transaction")))
