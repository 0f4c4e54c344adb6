"""Calls and transactions of one account on an Ethereum network, with every refusal as a LedgerError."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.exceptions import ContractLogicError, TimeExhausted, Web3Exception

from bflmec.errors import LedgerError, LedgerRevertedError
from bflmec.ledger.interface import decode_error

MAX_GAS = 16_777_216  # EIP-7825: the cap of one transaction
_FALLBACK_TIP = 10**9


class Sender:
    """Signs and sends for `account`, or only reads if that is None. Accounts and hashes are raw bytes.

    Fees follow the chain: EIP-1559 where blocks have a base fee, a legacy gas price elsewhere.
    """

    def __init__(self, w3: Web3, account: LocalAccount | None, timeout: float = 120.0) -> None:
        self.w3 = w3
        self._account = account
        self._timeout = timeout
        self._lock = Lock()
        self._tip: int | None = None
        with ledger_errors():
            self.chain_id = w3.eth.chain_id

    @property
    def address(self) -> bytes:
        """The account's 20 bytes."""
        return bytes.fromhex(self._signing_account().address[2:])

    def call(self, to: bytes, data: bytes, block: int | str = "latest") -> bytes:
        """What a contract answers. Raises LedgerRevertedError when it reverts, LedgerError when nothing answers."""
        with ledger_errors():
            return bytes(self.w3.eth.call({"to": to_checksum_address(to), "data": data}, block))  # type: ignore[arg-type]

    def submit(self, to: bytes | None, data: bytes, gas: int, value: int = 0) -> bytes:
        """Send a transaction (`to` None: create a contract), with `value` wei, without waiting for it; its hash."""
        account = self._signing_account()
        fields: dict[str, Any] = {"data": data, "gas": gas, "value": value, "chainId": self.chain_id}
        if to is not None:
            fields["to"] = to_checksum_address(to)
        with ledger_errors(), self._lock:
            fields["nonce"] = self.w3.eth.get_transaction_count(account.address, "pending")
            signed = account.sign_transaction(fields | self._fees())
            return bytes(self.w3.eth.send_raw_transaction(signed.raw_transaction))

    def confirm(self, transaction_hash: bytes) -> Mapping[str, Any]:
        """Wait for a transaction's receipt. Raises LedgerRevertedError if it reverted, LedgerError if it takes longer
        than the timeout."""
        try:
            with ledger_errors():
                receipt = self.w3.eth.wait_for_transaction_receipt(transaction_hash, timeout=self._timeout)  # type: ignore[arg-type]
        except TimeExhausted as error:
            raise LedgerError(
                f"no block has transaction 0x{transaction_hash.hex()} after {self._timeout} s; is the chain mining?"
            ) from error
        if receipt["status"] != 1:
            raise self._reason(transaction_hash, receipt)
        return receipt

    def send(self, to: bytes | None, data: bytes, gas: int, value: int = 0) -> Mapping[str, Any]:
        """`submit`, then `confirm`."""
        return self.confirm(self.submit(to, data, gas, value))

    def estimate(self, to: bytes | None, data: bytes) -> int:
        """Gas that a transaction would need, with a tenth on top. Raises LedgerRevertedError if it would revert."""
        fields: dict[str, Any] = {"from": self._signing_account().address, "data": data}
        if to is not None:
            fields["to"] = to_checksum_address(to)
        with ledger_errors():
            return min(self.w3.eth.estimate_gas(fields) * 11 // 10, MAX_GAS)  # type: ignore[arg-type]

    def _signing_account(self) -> LocalAccount:
        if self._account is None:
            raise LedgerError("this client only reads; give it an account to send transactions")
        return self._account

    def _fees(self) -> dict[str, Any]:
        base_fee = self.w3.eth.get_block("latest").get("baseFeePerGas")
        if base_fee is None:
            return {"gasPrice": self.w3.eth.gas_price}
        tip = self._suggested_tip()
        return {"maxFeePerGas": 2 * base_fee + tip, "maxPriorityFeePerGas": tip}

    def _suggested_tip(self) -> int:
        if self._tip is None:
            try:
                self._tip = self.w3.eth.max_priority_fee
            except Web3Exception:  # an old or small node may not know the method
                self._tip = _FALLBACK_TIP
        return self._tip

    def _reason(self, transaction_hash: bytes, receipt: Mapping[str, Any]) -> LedgerError:
        """Why a mined transaction reverted: it is called again on the state before its block."""
        with ledger_errors():
            transaction = self.w3.eth.get_transaction(transaction_hash)  # type: ignore[arg-type]
        fields = {"from": transaction["from"], "data": transaction["input"], "gas": transaction["gas"]}
        if transaction.get("to"):
            fields["to"] = transaction["to"]
        try:
            with ledger_errors():
                self.w3.eth.call(fields, receipt["blockNumber"] - 1)  # type: ignore[arg-type]
        except LedgerRevertedError as error:
            return error
        except LedgerError:
            pass
        used, limit = receipt["gasUsed"], transaction["gas"]
        return LedgerRevertedError(
            f"transaction 0x{transaction_hash.hex()} reverted after {used} of {limit} gas, and says no reason: "
            "it ran out of gas, or another transaction of its block came first"
        )


@contextmanager
def ledger_errors() -> Iterator[None]:
    """Turns what web3 and its transports raise into LedgerErrors."""
    try:
        yield
    except TimeExhausted:
        raise
    except ContractLogicError as error:
        raise _reverted(error) from error
    except Web3Exception as error:
        raise LedgerError(f"the chain refused a request: {_text(error)}") from error
    except (OSError, TimeoutError) as error:
        raise LedgerError(f"the chain can't be reached: {_text(error)}; check its URL and that it runs") from error


def _reverted(error: ContractLogicError) -> LedgerRevertedError:
    data = error.data
    known = None
    if isinstance(data, str) and data.startswith("0x"):
        try:
            known = decode_error(bytes.fromhex(data[2:]))
        except ValueError:
            known = None
    if known is None:
        return LedgerRevertedError(f"a contract refused: {_text(error)}")
    name, arguments = known
    return LedgerRevertedError(f"a contract refused: {name}({', '.join(map(_shown, arguments))})", name, arguments)


def _shown(argument: object) -> str:
    return "0x" + argument.hex() if isinstance(argument, bytes) else str(argument)


def _text(error: Exception) -> str:
    response = getattr(error, "rpc_response", None) or {}
    message = response.get("error", {}).get("message") if isinstance(response, dict) else None
    return (str(message or error).splitlines() or [type(error).__name__])[0][:300]
