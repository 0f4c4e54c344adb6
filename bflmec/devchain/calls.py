"""Calls without a transaction: eth_call and eth_estimateGas."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from eth.exceptions import OutOfGas, PyEVMError
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.transactions import PragueTransactionBuilder
from eth.vm.spoof import SpoofTransaction
from eth_abi.abi import decode
from eth_utils.exceptions import ValidationError

from bflmec.devchain.consensus import GAS_LIMIT
from bflmec.devchain.state import State
from bflmec.devchain.transactions import minimum_gas
from bflmec.errors import CallRevertedError, ChainError

_ERROR_STRING = bytes.fromhex("08c379a0")  # Error(string)
_CALL_STIPEND = 2300


@dataclass(frozen=True, slots=True)
class CallRequest:
    """`to` empty creates a contract, `gas` is an upper bound, amounts are in wei."""

    sender: bytes = bytes(20)
    to: bytes = b""
    gas: int = GAS_LIMIT
    gas_price: int = 0
    value: int = 0
    data: bytes = b""


def call(state: State, request: CallRequest) -> bytes:
    """What the contract returns. Raises CallRevertedError with the revert data, ChainError if the call is impossible.

    `state` must be in a context with a base fee of zero; it is left as it was.
    """
    computation = _run(state, _transaction(state, request))
    if computation.is_error:
        raise _reverted(computation)
    return bytes(computation.output)


def estimate_gas(state: State, request: CallRequest) -> int:
    """The least gas, within 1.5 %, with which the request succeeds. Raises like `call`.

    What a run without a limit used is tried first, then that plus what a call keeps back (EIP-150): mostly enough.
    """
    transaction = _transaction(state, request)
    computation = _run(state, transaction)
    if computation.is_error:
        raise _reverted(computation)
    used = PragueVM.finalize_gas_used(transaction, computation)
    low, high = max(minimum_gas(transaction), used) - 1, request.gas
    guess = low + 1 + computation.get_gas_refund()
    generous = (guess + _CALL_STIPEND) * 64 // 63
    while high - low > max(1, high * 15 // 1000):
        if _run(state, _transaction(state, replace(request, gas=guess))).is_error:
            low = guess
        else:
            high = guess
        guess = generous if low < generous < high else (low + high) // 2
    return high


def _transaction(state: State, request: CallRequest) -> Any:
    """Unsigned, spoofed with the sender, the account's next nonce and no price to pay."""
    unsigned = PragueTransactionBuilder.create_unsigned_transaction(
        nonce=state.get_nonce(request.sender),
        gas_price=request.gas_price,
        gas=request.gas,
        to=request.to,
        value=request.value,
        data=request.data,
    )
    return SpoofTransaction(unsigned, from_=request.sender)


def _run(state: State, transaction: Any) -> Any:
    needed = minimum_gas(transaction)
    if transaction.gas < needed:
        raise ChainError(f"intrinsic gas too low: {transaction.gas} given, {needed} needed")
    snapshot = state.snapshot()
    try:
        return state.costless_execute_transaction(transaction)
    except (ValidationError, PyEVMError) as error:
        raise ChainError(f"the call is not possible: {error}") from error
    finally:
        state.revert(snapshot)


def _reverted(computation: Any) -> CallRevertedError:
    data = bytes(computation.output)
    if data[:4] == _ERROR_STRING:
        try:
            (reason,) = decode(["string"], data[4:])
        except Exception:  # eth_abi raises many kinds; the data goes along in any case
            reason = "malformed reason"
        return CallRevertedError(f"execution reverted: {reason}", data)
    if isinstance(computation.error, OutOfGas):
        return CallRevertedError(f"out of gas: {computation.error}", data)
    kind = type(computation.error).__name__
    return CallRevertedError("execution reverted" if kind == "Revert" else f"execution failed: {kind}", data)
