"""What a chain file must withstand: a quick check whenever it is opened, and an auditor's execution of everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bflmec.devchain.blocks import Block
from bflmec.devchain.consensus import check_child, child_header
from bflmec.devchain.database import ChainFile
from bflmec.devchain.execution import BlockExecution
from bflmec.devchain.genesis import Genesis
from bflmec.devchain.history import BlockHistory
from bflmec.devchain.state import NodeStore, write_genesis
from bflmec.devchain.transactions import decode_transaction
from bflmec.errors import ChainError


def check_file(file: ChainFile, genesis: Genesis) -> Block:
    """Seals, links, numbers, difficulty, lists, transaction index and the newest state; returns the newest block.

    Raises ChainError for the first thing that is wrong. Executes nothing: `execute_again` does.
    """
    newest: Block | None = None
    transactions = 0
    for block in _linked_blocks(file, genesis):
        for index, transaction_hash in enumerate(block.transaction_hashes):
            if file.position_of(transaction_hash) != (block.number, index):
                raise _damaged_index(file)
        transactions += len(block.transaction_hashes)
        newest = block
    if newest is None:
        raise ChainError(f"{file.name} holds no block; {_REMEDY}")
    if file.transaction_count() != transactions:
        raise _damaged_index(file)
    _check_state(newest, file, NodeStore(file))
    return newest


def execute_again(file: ChainFile, genesis: Genesis, progress: Callable[[int], None]) -> int:
    """Execute every block on its parent's state; returns the number of blocks after block 0.

    Raises ChainError at the first block whose header is not what the execution gives, or whose state is not complete in
    the file. `progress` is told each number.
    """
    store = NodeStore(file)
    parent: Block | None = None
    number = 0
    for block in _linked_blocks(file, genesis):
        if parent is not None:
            _check_execution(block, parent, store, genesis, BlockHistory(file).hashes_down_from(parent.number))
        for key, value in store.pending.items():
            if file.node(key) != value:
                raise ChainError(f"a part of the state of block {block.number} is missing in {file.name}; {_REMEDY}")
        store.clear()
        _check_state(block, file, store)
        progress(block.number)
        parent, number = block, block.number
    return number


_REMEDY = "restore it from a copy or start a new chain"


def _linked_blocks(file: ChainFile, genesis: Genesis) -> Iterator[Block]:
    parent: Block | None = None
    for block in map(Block.from_stored, file.blocks()):
        block.check_lists()
        if parent is not None:
            check_child(block.header, parent.header)
        elif block.hash != write_genesis(genesis, NodeStore(None)).hash:
            raise ChainError(f"block 0 of {file.name} is not the one of its genesis parameters; {_REMEDY}")
        yield block
        parent = block


def _check_execution(
    block: Block, parent: Block, store: NodeStore, genesis: Genesis, block_hashes: Iterator[bytes]
) -> None:
    execution = BlockExecution(child_header(parent.header, block.timestamp), store, genesis.chain_id, block_hashes)
    for raw in block.raw_transactions:
        execution.apply(decode_transaction(raw, genesis.chain_id))
    if execution.finish().header.copy(nonce=block.header.nonce).hash != block.hash:
        raise ChainError(f"block {block.number} is not what its transactions give when they are executed again")


def _check_state(block: Block, file: ChainFile, store: NodeStore) -> None:
    if not store.holds_state(block.header.state_root):
        raise ChainError(f"the state of block {block.number} is missing in {file.name}; {_REMEDY}")


def _damaged_index(file: ChainFile) -> ChainError:
    return ChainError(f"the index of transactions in {file.name} is damaged; {_REMEDY}")
