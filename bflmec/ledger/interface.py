"""The contracts' ABI, encoded and decoded directly: addresses are 20 raw bytes on our side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_hash.auto import keccak
from eth_utils.abi import get_abi_input_types, get_abi_output_types

from bflmec.errors import LedgerError
from bflmec.ledger.artifacts import CONTRACTS, load

_PANIC = "Panic"
_REASON = "Error"


@dataclass(frozen=True, slots=True)
class Signature:
    """A function or custom error: its selector (4 bytes) and the ABI types of what goes in and comes out."""

    name: str
    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Interface:
    """One contract as its ABI describes it."""

    name: str
    abi: Sequence[Mapping[str, Any]]
    functions: Mapping[str, Signature]
    errors: Mapping[bytes, Signature]

    def encode(self, function: str, *arguments: object) -> bytes:
        """Calldata. Raises LedgerError if the arguments are not of the function's types."""
        signature = self.functions[function]
        return signature.selector + _encoded(f"{self.name}.{function}", signature.inputs, arguments)

    def encode_constructor(self, *arguments: object) -> bytes:
        """What is appended to the creation code."""
        entry = next((entry for entry in self.abi if entry["type"] == "constructor"), None)
        types = () if entry is None else tuple(get_abi_input_types(entry))  # type: ignore[arg-type]
        return _encoded(f"the constructor of {self.name}", types, arguments)

    def decode_call(self, function: str, data: bytes) -> tuple[Any, ...]:
        """The arguments in calldata. Raises LedgerError if it is not a call of that function."""
        signature = self.functions[function]
        try:
            if data[:4] == signature.selector:
                return decode_values(signature.inputs, data[4:])
        except DecodingError:
            pass
        raise LedgerError(f"the calldata is no call of {self.name}.{function}")

    def decode(self, function: str, data: bytes) -> tuple[Any, ...]:
        """The values that a function returned. Raises LedgerError if they are not of its types."""
        try:
            return decode_values(self.functions[function].outputs, data)
        except DecodingError as error:
            raise LedgerError(
                f"{self.name}.{function} can't answer such {len(data)} bytes: is another contract deployed there?"
            ) from error


@cache
def interface(contract: str) -> Interface:
    """The interface of a contract from its artifact. Raises ArtifactError when that is missing or damaged."""
    abi = load(contract).abi
    return Interface(
        contract,
        abi,
        {entry["name"]: _signature(entry) for entry in abi if entry["type"] == "function"},
        {
            signature.selector: signature
            for signature in (_signature(entry) for entry in abi if entry["type"] == "error")
        },
    )


@cache
def event_topic(contract: str, event: str) -> bytes:
    """The first topic of an event's logs. 32 bytes."""
    entry = next(entry for entry in load(contract).abi if entry["type"] == "event" and entry["name"] == event)
    return bytes(keccak(_canonical(entry["name"], get_abi_input_types(entry)).encode()))  # type: ignore[arg-type]


def decode_error(data: bytes) -> tuple[str, tuple[Any, ...]] | None:
    """Name and arguments of the error in revert data, whichever of the contracts it comes from; None if unknown."""
    signature = _known_errors().get(data[:4])
    if signature is None:
        return None
    try:
        return signature.name, decode_values(signature.inputs, data[4:])
    except DecodingError:
        return None


def decode_values(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """eth_abi's decoding with addresses as 20 bytes. Raises DecodingError."""
    return tuple(_raw(type_, value) for type_, value in zip(types, decode(list(types), data), strict=True))


@cache
def _known_errors() -> dict[bytes, Signature]:
    known = {
        signature.selector: signature for contract in CONTRACTS for signature in interface(contract).errors.values()
    }
    for name, types in ((_REASON, ("string",)), (_PANIC, ("uint256",))):
        selector = bytes(keccak(_canonical(name, types).encode()))[:4]
        known[selector] = Signature(name, selector, types, ())
    return known


def _signature(entry: Mapping[str, Any]) -> Signature:
    inputs = tuple(get_abi_input_types(entry))  # type: ignore[arg-type]
    outputs = tuple(get_abi_output_types(entry)) if entry["type"] == "function" else ()  # type: ignore[arg-type]
    return Signature(entry["name"], bytes(keccak(_canonical(entry["name"], inputs).encode()))[:4], inputs, outputs)


def _canonical(name: str, types: Sequence[str]) -> str:
    return f"{name}({','.join(types)})"


def _encoded(what: str, types: Sequence[str], arguments: Sequence[object]) -> bytes:
    try:
        return bytes(encode(list(types), list(arguments)))
    except (EncodingError, TypeError, ValueError) as error:
        raise LedgerError(f"the arguments do not fit {what}: {error}") from error


def _raw(type_: str, value: Any) -> Any:
    if type_ == "address":
        return bytes.fromhex(value[2:])
    if type_.startswith("(") and isinstance(value, tuple):
        return tuple(_raw(inner, part) for inner, part in zip(_parts(type_), value, strict=True))
    return value


@cache
def _parts(type_: str) -> tuple[str, ...]:
    """The types inside a tuple type of no nested tuples, which is all that these contracts have."""
    return tuple(type_[1:-1].split(","))
