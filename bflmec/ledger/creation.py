"""Creating contracts one after the other, each of them once, however often that is interrupted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import msgspec
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address
from msgspec import Meta
from rlp import encode

from bflmec.errors import LedgerError
from bflmec.files import write_atomically
from bflmec.ledger.artifacts import load
from bflmec.ledger.interface import interface
from bflmec.ledger.refusals import ledger_errors
from bflmec.ledger.sender import MAX_GAS, Sender

_MAX_FILE = 1 << 16

_Address = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{40}\Z")]
_Digest = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{64}\Z")]
_Block = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Created(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contract that is on the chain: its name, its address, and a host block in which it is there."""

    contract: str
    address: _Address
    block: _Block


class _Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    chain_id: int
    account: _Address
    purpose: _Digest
    created: Annotated[list[Created], Meta(max_length=64)]


class Creation:
    """What one account creates for one purpose (32 bytes), in a fixed order.

    With a `file`, what is done is kept there, and a creation with the same file, account and purpose goes on after it.
    A contract that was created last before an interruption is recognised by its code. Raises LedgerError if the file
    is damaged or of something else.
    """

    def __init__(self, sender: Sender, purpose: bytes, file: Path | None = None) -> None:
        self._sender = sender
        self._file = file
        self._place = (sender.chain_id, "0x" + sender.address.hex(), "0x" + purpose.hex())
        self._done = self._read(file) if file is not None and file.exists() else []
        self._steps = 0
        self._is_resumed = bool(file is not None and file.exists())
        if not self._is_resumed:
            self._save()

    def create(self, contract: str, *arguments: object) -> tuple[bytes, int]:
        """The address (20 bytes) and block of the next contract, created unless it is there already.

        Raises LedgerRevertedError if its constructor refuses, LedgerError if the chain does or the order is another.
        """
        if self._steps == len(self._done):
            self._done.append(self._new(contract, load(contract).bytecode, arguments))
            self._save()
        step = self._done[self._steps]
        if step.contract != contract or not self._code(bytes.fromhex(step.address[2:])):
            raise LedgerError(f"{self._file} names no {contract} that is on this chain; remove the file to start anew")
        self._steps += 1
        return bytes.fromhex(step.address[2:]), step.block

    def _new(self, contract: str, bytecode: bytes, arguments: tuple[object, ...]) -> Created:
        data = bytecode + interface(contract).encode_constructor(*arguments)
        if self._is_resumed:
            self._is_resumed = False  # only the first missing one can have been created unnoticed
            found = self._last_creation(contract, data)
            if found is not None:
                return found
        receipt = self._sender.send(None, data, min(self._sender.estimate(None, data), MAX_GAS))
        return Created(contract, str(receipt["contractAddress"]).lower(), int(receipt["blockNumber"]))

    def _last_creation(self, contract: str, data: bytes) -> Created | None:
        """The contract, if the account's newest transaction created it."""
        eth, account = self._sender.w3.eth, self._sender.address
        with ledger_errors():
            block = eth.block_number
            count = eth.get_transaction_count(to_checksum_address(account))
        if count == 0:
            return None
        address = contract_address(account, count - 1)
        taken = {"0x" + address.hex()} & {step.address for step in self._done}
        code = self._code(address)
        if taken or not code or code != self._code_of(data):
            return None
        return Created(contract, "0x" + address.hex(), block)

    def _code(self, address: bytes) -> bytes:
        with ledger_errors():
            return bytes(self._sender.w3.eth.get_code(to_checksum_address(address)))

    def _code_of(self, data: bytes) -> bytes:
        """The code that a creation with `data` would leave."""
        with ledger_errors():
            return bytes(self._sender.w3.eth.call({"from": to_checksum_address(self._sender.address), "data": data}))

    def _read(self, file: Path) -> list[Created]:
        try:
            with file.open("rb") as opened:
                progress = msgspec.json.decode(opened.read(_MAX_FILE), type=_Progress)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise LedgerError(f"{file}, an interrupted deployment, can't be read: {error}") from error
        if (progress.chain_id, progress.account, progress.purpose) != self._place:
            raise LedgerError(
                f"{file} is an interrupted deployment of other parameters, account or chain; go on "
                "with that, or remove the file"
            )
        return progress.created

    def _save(self) -> None:
        if self._file is None:
            return
        progress = _Progress(*self._place, self._done)
        text = json.dumps(msgspec.to_builtins(progress), indent=2) + "\n"
        try:
            write_atomically(self._file, text.encode())
        except OSError as error:
            raise LedgerError(f"{self._file} can't be written: {error}") from error


def contract_address(creator: bytes, nonce: int) -> bytes:
    """The 20 bytes of the contract that an account creates with the transaction of that nonce."""
    return bytes(keccak(encode([creator, nonce]))[-20:])
