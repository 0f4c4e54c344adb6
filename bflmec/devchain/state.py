"""The key-value store that py-evm keeps the state in: trie nodes and code, each under its own hash.

What a block writes stays in memory until the block is appended, and goes into the file in the block's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDBWriteBatch
from eth.db.backends.base import BaseAtomicDB
from eth.vm.chain_context import ChainContext
from eth.vm.forks.prague import PragueVM
from eth_hash.auto import keccak

from bflmec.devchain.consensus import Header, genesis_header
from bflmec.devchain.database import ChainFile
from bflmec.devchain.genesis import Genesis
from bflmec.errors import ChainError

State = Any  # eth.vm.forks.prague.state.PragueState; py-evm is checked without its types

_CACHED_NODES = 1 << 15


class NodeStore(BaseAtomicDB):  # type: ignore[misc]  # py-evm is checked without its types
    """`file` None keeps nothing but what is written. `pending` holds what was written since the last `clear`."""

    def __init__(self, file: ChainFile | None) -> None:
        self.pending: dict[bytes, bytes] = {}
        self._file = file
        self._cache: dict[bytes, bytes] = {}

    def clear(self) -> None:
        """Forget what was written and not appended."""
        self.pending.clear()

    def appended(self) -> None:
        """What was written is in the file now."""
        if len(self._cache) + len(self.pending) > _CACHED_NODES:
            self._cache.clear()
        self._cache.update(self.pending)
        self.pending.clear()

    def __getitem__(self, key: bytes) -> bytes:
        value = self.pending.get(key) or self._cache.get(key)
        if value is None:
            value = self._read(key)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.pending[key] = value

    def __delitem__(self, key: bytes) -> None:
        self.pending.pop(key, None)  # nodes of older blocks are never pruned

    def _exists(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    @contextmanager
    def atomic_batch(self) -> Iterator[Any]:
        with AtomicDBWriteBatch._commit_unless_raises(self) as batch:
            yield batch

    def _read(self, key: bytes) -> bytes:
        value = None if self._file is None else self._file.node(key)
        if value is None:
            raise KeyError(key)
        if keccak(value) != key:
            raise ChainError("the state in the chain file is damaged; restore it from a copy or start a new chain")
        if len(self._cache) >= _CACHED_NODES:
            self._cache.clear()
        self._cache[key] = value
        return value

    def holds_state(self, root: bytes) -> bool:
        return root == BLANK_ROOT_HASH or self._exists(root)


def state_at(header: Header, store: NodeStore, chain_id: int, ancestors: Iterable[bytes] = ()) -> State:
    """The state whose root `header` names, in the context of that header.

    `ancestors` are block hashes for BLOCKHASH, the parent's first, read lazily.
    """
    return PragueVM.build_state(store, header, ChainContext(chain_id), ancestors)


def write_genesis(genesis: Genesis, store: NodeStore) -> Header:
    """Put the genesis balances into `store`; returns block 0's header."""
    state = state_at(genesis_header(genesis, BLANK_ROOT_HASH), store, genesis.chain_id)
    for account, balance in genesis.balances.items():
        state.set_balance(account, balance)
    state.persist()
    return genesis_header(genesis, state.state_root)
