"""Raw transactions: decoded, and checked for everything that does not depend on the state."""

from __future__ import annotations

from typing import Any

import rlp
from eth.constants import SECPK1_N
from eth.exceptions import UnrecognizedTransactionType
from eth.vm.forks.prague.constants import STANDARD_TOKEN_COST, TOTAL_COST_FLOOR_PER_TOKEN
from eth.vm.forks.prague.transactions import PragueTransactionBuilder
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from bflmec.devchain.consensus import GAS_LIMIT
from bflmec.errors import ChainError

MAX_TRANSACTION_SIZE = 128 * 1024

Transaction = Any  # eth.abc.SignedTransactionAPI; py-evm is checked without its types

_BLOB_TYPE = 3
_FIRST_LEGACY_BYTE = 0xC0


def decode_transaction(raw: bytes, chain_id: int) -> Transaction:
    """The signed transaction in `raw` (legacy with EIP-155, EIP-2930, EIP-1559 or EIP-7702).

    Raises ChainError when it is malformed, unprotected, signed for another chain, of another type, or can't be valid in
    any state.
    """
    if len(raw) > MAX_TRANSACTION_SIZE:
        raise ChainError(f"oversized transaction: {len(raw)} bytes, the limit is {MAX_TRANSACTION_SIZE}")
    if raw[:1] == bytes([_BLOB_TYPE]):
        raise ChainError("blob transactions are not supported; send the data in the transaction itself")
    try:
        transaction = PragueTransactionBuilder.decode(raw)
        transaction.validate()
        sender = transaction.sender
    except (
        rlp.exceptions.RLPException,
        UnrecognizedTransactionType,
        ValidationError,
        BadSignature,
        ValueError,
        TypeError,
        IndexError,
        NotImplementedError,
    ) as error:
        raise ChainError(f"malformed transaction: {_first_line(error)}") from error
    if len(sender) != 20:
        raise ChainError("malformed transaction: its signature recovers no account")
    if transaction.s > SECPK1_N // 2:
        raise ChainError("malformed transaction: s of its signature is not the lower one (EIP-2)")
    _check_chain(transaction, chain_id)
    _check_gas(transaction)
    return transaction


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _check_chain(transaction: Transaction, chain_id: int) -> None:
    if transaction.chain_id is None:
        raise ChainError("the transaction is not bound to a chain; sign it with a chain id (EIP-155)")
    if transaction.chain_id != chain_id:
        raise ChainError(f"the transaction is signed for chain {transaction.chain_id}, this is chain {chain_id}")


def _check_gas(transaction: Transaction) -> None:
    if transaction.max_priority_fee_per_gas > transaction.max_fee_per_gas:
        raise ChainError("max priority fee per gas is higher than max fee per gas")
    if transaction.max_fee_per_gas >= 1 << 256:
        raise ChainError("max fee per gas is 2^256 or more")
    if transaction.gas > GAS_LIMIT:
        raise ChainError(f"exceeds block gas limit: {transaction.gas} wanted, {GAS_LIMIT} allowed")
    needed = minimum_gas(transaction)
    if transaction.gas < needed:
        raise ChainError(f"intrinsic gas too low: {transaction.gas} given, {needed} needed")


def minimum_gas(transaction: Transaction) -> int:
    """The gas below which a transaction is invalid: the intrinsic cost, or the calldata floor of EIP-7623.

    py-evm charges the floor, but does not demand that the limit covers it.
    """
    zeros = transaction.data.count(0)
    tokens = zeros + STANDARD_TOKEN_COST * (len(transaction.data) - zeros)
    floor: int = 21_000 + TOTAL_COST_FLOOR_PER_TOKEN * tokens
    return max(int(transaction.intrinsic_gas), floor)
