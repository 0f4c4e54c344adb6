"""Calls and transactions of one account on an Ethereum network, with every refusal as a LedgerError."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from web3 import Web3

from bflmec.errors import LedgerError, LedgerRevertedError
from bflmec.ledger.fees import FeePolicy
from bflmec.ledger.mailer import Mailer, receipt_of
from bflmec.ledger.outbox import Call, Outbox, Sent, usual_outbox
from bflmec.ledger.refusals import ledger_errors as ledger_errors

MAX_GAS = 16_777_216  # EIP-7825: the cap of one transaction
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
_CARE_SECONDS = 2.0  # between two looks at why a transaction takes long


class Sender:
    """Signs and sends for `account`, or only reads if that is None. Accounts and hashes are raw bytes.

    Fees follow the chain and `fees`: EIP-1559 where blocks have a base fee, a legacy gas price elsewhere. Several
    senders, processes and machines may use one account: the same call is not sent again while it waits, a transaction
    that a node forgot is sent again, one that pays too little is replaced, and one whose nonce another one took gets a
    new nonce.
    """

    def __init__(
        self,
        w3: Web3,
        account: LocalAccount | None,
        timeout: float = 120.0,
        *,
        fees: FeePolicy | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        self.w3 = w3
        self._account = account
        self._timeout = timeout
        self._fees = fees or FeePolicy()
        self._outbox = outbox
        self._mailer: Mailer | None = None
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
        """Send a transaction (`to` None: create a contract), with `value` wei, without waiting for it; its hash.

        If the same call waits already, or was mined last and `confirm` was never told, it counts as this one: so does
        what a process sent that ended before it saw the receipt.
        """
        with ledger_errors():
            return self._mail().post(Call(to, data, gas, value)).hashes[-1]

    def confirm(self, transaction_hash: bytes) -> Mapping[str, Any]:
        """Wait for a transaction's receipt, or that of the one that replaced it. Sees to it that a block takes it.

        Raises LedgerRevertedError if it reverted, LedgerError if it takes longer than the timeout; then it still waits,
        and `submit` of the same call finds it.
        """
        end = time.monotonic() + self._timeout
        pause, care_at = _FIRST_PAUSE, time.monotonic() + _CARE_SECONDS
        sent = self._mailer.find(transaction_hash) if self._mailer is not None else None
        while True:
            problem: LedgerError | None = None
            try:
                receipt = self._receipt([transaction_hash] if sent is None else sent.hashes)
                if receipt is not None:
                    return self._settled(sent, receipt)
                if sent is not None and time.monotonic() >= care_at:
                    with ledger_errors():
                        sent = self._mail().care(sent)
                    care_at = time.monotonic() + _CARE_SECONDS
            except LedgerRevertedError:
                raise
            except LedgerError as error:  # a connection that broke may come back
                problem = error
            if time.monotonic() >= end:
                raise problem or LedgerError(
                    f"no block has transaction 0x{transaction_hash.hex()} after {self._timeout} s; is the chain mining?"
                )
            time.sleep(min(pause, max(end - time.monotonic(), 0)))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

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

    def _mail(self) -> Mailer:
        if self._mailer is None:
            account = self._signing_account()
            outbox = self._outbox or usual_outbox(self.w3, self.address)
            self._mailer = Mailer(self.w3, account, self.chain_id, self._fees, outbox)
        return self._mailer

    def _receipt(self, hashes: list[bytes]) -> Mapping[str, Any] | None:
        with ledger_errors():
            receipts = (receipt_of(self.w3, one) for one in reversed(hashes))
            return next((receipt for receipt in receipts if receipt is not None), None)

    def _settled(self, sent: Sent | None, receipt: Mapping[str, Any]) -> Mapping[str, Any]:
        if sent is not None:
            self._mail().settle(sent)
        if receipt["status"] != 1:
            raise self._reason(bytes(receipt["transactionHash"]), receipt)
        return receipt

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
