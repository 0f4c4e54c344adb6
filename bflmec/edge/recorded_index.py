"""What became of the newest local gradients, for clients that ask by digest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from bflmec.protocol.blocks import SealedBlock, Transaction

REMEMBERED: Final = 20_000


@dataclass(frozen=True, slots=True)
class Fate:
    """`block` recorded it (None: one before the edge node started), `anchor` took it in, `is_high` if it was paid."""

    client: bytes
    block: int | None
    anchor: int | None = None
    is_high: bool | None = None


class RecordedIndex:
    """The newest recorded local gradients by digest; `pending` are those that no global update has taken in yet."""

    def __init__(self, pending: Iterable[Transaction]) -> None:
        self._fates: OrderedDict[bytes, Fate] = OrderedDict()
        self._pending: dict[bytes, None] = {}
        for transaction in pending:
            self._enter(transaction, None)

    def __getitem__(self, digest: bytes) -> Fate:
        """Raises KeyError for what is not recorded, or was too long ago."""
        return self._fates[digest]

    def add(self, block: SealedBlock) -> None:
        number = block.header.number
        for transaction in block.transactions:
            self._enter(transaction, number)
        if block.header.is_global_update:
            paid = {reward.account for reward in block.rewards}
            for digest in self._pending:
                if digest in self._fates:
                    fate = self._fates[digest]
                    self._fates[digest] = replace(fate, anchor=number, is_high=fate.client in paid)
            self._pending.clear()

    def remove(self, block: SealedBlock) -> None:
        """Takes the newest block back."""
        if block.header.is_global_update:
            for digest, fate in self._fates.items():
                if fate.anchor == block.header.number:
                    self._fates[digest] = replace(fate, anchor=None, is_high=None)
                    self._pending[digest] = None
        for transaction in block.transactions:
            self._fates.pop(transaction.gradient, None)
            self._pending.pop(transaction.gradient, None)

    def _enter(self, transaction: Transaction, block: int | None) -> None:
        self._fates[transaction.gradient] = Fate(transaction.client, block)
        self._pending[transaction.gradient] = None
        if len(self._fates) > REMEMBERED:
            self._fates.popitem(last=False)
