"""What the recorded blocks imply, in bytes, for an edge node's journal. Block hashes and anchors grow with every block
and are kept beside it, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated

import msgspec

from bflmec.errors import MessageError
from bflmec.protocol.blocks import decode_transactions, encode_transactions
from bflmec.protocol.ledger_state import LedgerParameters, LedgerState
from bflmec.protocol.ports import Anchor
from bflmec.protocol.sequence import SequenceWindow

_VERSION = 1
_AMOUNT = 32  # bytes of a token amount

_Unsigned = Annotated[int, msgspec.Meta(ge=0)]
_Account = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
_Word = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class _Fields(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: Annotated[int, msgspec.Meta(ge=_VERSION, le=_VERSION)]
    number: _Unsigned
    anchor: _Unsigned
    pending: bytes
    balances: dict[_Account, _Word]
    rewards_root: _Word
    rewards_total: _Word
    recorded: _Unsigned
    windows: dict[_Account, tuple[_Unsigned, _Unsigned]]
    gradients: dict[_Account, dict[_Unsigned, _Word]]


def encode_state(state: LedgerState) -> bytes:
    """The state without hashes and anchors, led by the SHA-256 of the rest."""
    fields = _Fields(
        _VERSION,
        state.number,
        state.anchor,
        encode_transactions(state.pending),
        {account: amount.to_bytes(_AMOUNT, "big") for account, amount in state.balances.items()},
        state.rewards_root,
        state.rewards_total.to_bytes(_AMOUNT, "big"),
        state.recorded,
        {client: (window.highest, window.taken) for client, window in state.windows.items()},
        state.gradients,
    )
    data = msgspec.msgpack.encode(fields)
    return sha256(data).digest() + data


def decode_state(
    data: bytes, parameters: LedgerParameters, hashes: Sequence[bytes], anchors: Mapping[int, Anchor]
) -> LedgerState:
    """Inverse of `encode_state`; `hashes` and `anchors` are those up to the state's block. Raises MessageError if
    `data` is damaged or hashes and anchors are not the state's."""
    digest, rest = data[:32], data[32:]
    if sha256(rest).digest() != digest:
        raise MessageError("the snapshot of the ledger's state has another checksum")
    try:
        fields = msgspec.msgpack.decode(rest, type=_Fields)
    except msgspec.MsgspecError as error:
        raise MessageError(f"the snapshot of the ledger's state is of another version: {error}") from error
    if len(hashes) != fields.number + 1 or fields.anchor not in anchors:
        raise MessageError("the snapshot of the ledger's state and its block hashes don't belong together")
    state = LedgerState(parameters)
    state.hashes = list(hashes)
    state.anchors = dict(anchors)
    state.anchor = fields.anchor
    state.pending = decode_transactions(fields.pending)
    state.balances = {account: int.from_bytes(amount, "big") for account, amount in fields.balances.items()}
    state.rewards_root = fields.rewards_root
    state.rewards_total = int.from_bytes(fields.rewards_total, "big")
    state.recorded = fields.recorded
    state.windows = {client: SequenceWindow(*window) for client, window in fields.windows.items()}
    state.gradients = fields.gradients
    return state
