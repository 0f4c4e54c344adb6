"""What `bflmec inspect --json` prints: an object a line, bytes in hex, amounts and nonces as strings of digits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from bflmec.runs.inspection import InspectedBlock, Inspection
from bflmec.storage import Cid

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Readers of JSON keep whole numbers up to 2^53; these may be larger.
_LARGE = frozenset({"amount", "claimed", "difficulty", "nonce", "recorded", "rewards_total"})


def blocks(inspection: Inspection, last: int | None) -> None:
    """The ledger as a whole, then its newest `last` blocks (None: all) in ascending order."""
    overview = inspection.overview()
    _print("ledger", overview)
    first = 1 if last is None else overview.blocks - last + 1
    for block in inspection.blocks(first, overview.blocks):
        _print("block", _with_hash(block))


def one_block(inspection: Inspection, number: int) -> None:
    """A block with its certificate's signers and what its body says of each transaction."""
    block = inspection.block(number)
    transactions = [
        _fields(entry.transaction) | {"scheme": entry.scheme, "header": entry.header}
        for entry in inspection.transactions(block)
    ]
    _print("block", _with_hash(block) | {"signers": inspection.signers(number), "transactions": transactions})


def anchors(inspection: Inspection) -> None:
    for anchor in inspection.anchors():
        _print("anchor", anchor)


def rewards(inspection: Inspection) -> None:
    for reward in inspection.rewards():
        _print("reward", reward)


def _with_hash(block: InspectedBlock) -> dict[str, Any]:
    return {"hash": block.header.hash, "body": block.body} | _fields(block)


def _fields(value: DataclassInstance) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _print(kind: str, value: Any) -> None:
    print(json.dumps({"kind": kind} | _plain("", value), separators=(",", ":")))


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Cid):
        return str(value)
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, Enum):
        return value.name.lower()
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(name, _fields(value))
    if isinstance(value, Mapping):
        return {key: _plain(key, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(name, item) for item in value]
    return str(value) if name in _LARGE else value
