"""What `bflmec inspect` prints for people: bounded tables, each with a hint how to see the rest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from bflmec.cli.inspect import SHOWN_BLOCKS
from bflmec.runs.formats import printable, short_hex, tokens
from bflmec.runs.inspection import InspectedBlock, Inspection, RecordedTransaction
from bflmec.storage import Cid

MAX_ROWS = 60
_PIPED_WIDTH = 120


def blocks(inspection: Inspection, last: int | None) -> None:
    """The ledger as a whole, and its newest blocks."""
    overview = inspection.overview()
    out = _console()
    out.print(
        _facts(
            ("ledger", f"0x{overview.ledger.hex()} on chain {overview.chain_id}"),
            ("blocks", f"{overview.blocks:,}, {overview.global_updates:,} of them with a global update"),
            ("anchor", f"block {overview.anchor}, {overview.pending} local gradients since"),
            ("rewards", f"{tokens(overview.rewards_total)} tokens recorded"),
            ("rules", f"φ = {overview.aggregation_threshold}, difficulty {overview.difficulty:,}"),
        )
    )
    table = _table("block", "hash", "chain time", "edge node", "local gradients", "TX_1: global gradient", "rewards")
    shown = last or SHOWN_BLOCKS
    for block in inspection.blocks(overview.blocks - shown + 1, overview.blocks):
        content = block.global_gradient
        table.add_row(
            str(block.header.number),
            short_hex(block.header.hash),
            f"{block.time:,} s",
            "–" if block.miner is None else str(block.miner),
            str(block.header.transaction_count),
            _short_cid(content) if content else "",
            _paid(block) if content else "",
        )
    out.print()
    out.print(table)
    earlier = overview.blocks - shown
    if earlier > 0:
        out.print(f"\n{earlier:,} earlier blocks: --last {overview.blocks}")
    if overview.blocks:
        out.print(f"\none in full: --block {overview.blocks}", style="dim")


def one_block(inspection: Inspection, number: int) -> None:
    """A block in the layout of the paper's Figure 4: header, TX_1, the other transactions."""
    block = inspection.block(number)
    header, content = block.header, block.global_gradient
    nodes = ", ".join(sorted(_node(inspection, account) for account in inspection.signers(number)))
    out = _console()
    out.print(f"Block {number}: header", style="bold")
    out.print(
        _facts(
            ("hash", f"0x{header.hash.hex()}"),
            ("parent", f"0x{header.parent.hex()}"),
            ("anchor", f"block {header.anchor}"),
            ("edge node", f"{_node(inspection, header.edge_node)}, 0x{header.edge_node.hex()}"),
            ("transactions", f"0x{header.transactions_hash.hex()}"),
            ("body", f"{block.body} {_presence(inspection, block.body)}"),
            ("rewards root", f"0x{header.rewards_root.hex()}"),
            ("rewards total", f"{tokens(header.rewards_total)} tokens"),
            ("nonce", str(block.nonce)),
            ("certificate", f"edge nodes {nodes}"),
            ("chain", f"block {block.host_block} after {block.time:,} s, 0x{block.host_transaction.hex()}"),
        )
    )
    first = 1
    if content is not None:
        first = 2
        _global_update(out, inspection, block, content)
    _transactions(out, inspection.transactions(block), first)


def anchors(inspection: Inspection) -> None:
    """The newest anchors, the newest last."""
    known = list(inspection.anchors())
    table = _table("anchor", "block", "global gradient", "blob")
    for anchor in known[-MAX_ROWS:]:
        where = f"{anchor.number}" if anchor.index else "genesis"
        table.add_row(str(anchor.index), where, str(anchor.content), "stored" if anchor.stored else "missing")
    out = _console()
    out.print(table)
    _more(out, len(known) - MAX_ROWS, "older anchors")


def rewards(inspection: Inspection) -> None:
    """Accounts with the highest rewards first."""
    paid = inspection.rewards()
    table = _table("account", "recorded", "claimed", "to claim", right=(1, 2, 3))
    for reward in paid[:MAX_ROWS]:
        amounts = reward.recorded, reward.claimed, reward.recorded - reward.claimed
        table.add_row(f"0x{reward.account.hex()}", *map(tokens, amounts))
    out = _console()
    out.print(table)
    _more(out, len(paid) - MAX_ROWS, "further accounts")
    recorded, claimed = sum(reward.recorded for reward in paid), sum(reward.claimed for reward in paid)
    out.print(f"\n{len(paid):,} accounts, {tokens(recorded)} tokens recorded, {tokens(claimed)} claimed")


def _global_update(out: Console, inspection: Inspection, block: InspectedBlock, content: Cid) -> None:
    out.print("\nTX_1: global update", style="bold")
    out.print(
        _facts(
            ("global gradient", f"{content} {_presence(inspection, content)}"),
            ("reward list", _paid(block)),
        )
    )
    if not block.rewards:
        return
    table = _table("account", "tokens", right=(1,))
    for reward in islice(block.rewards, MAX_ROWS):
        table.add_row(f"0x{reward.account.hex()}", tokens(reward.amount))
    out.print()
    out.print(table)
    _more(out, len(block.rewards) - MAX_ROWS, "further rewards")


def _transactions(out: Console, recorded: Sequence[RecordedTransaction], first: int) -> None:
    names = f"TX_{first} … TX_{first + len(recorded) - 1}" if len(recorded) > 1 else f"TX_{first}"
    out.print(f"\n{names}: local gradients", style="bold")
    table = _table("", "sender", "receiver", "gradient digest", "signature digest", "scheme", "anchor", "averages")
    for number, entry in enumerate(recorded[:MAX_ROWS], start=first):
        transaction, header = entry.transaction, entry.header
        table.add_row(
            f"TX_{number}",
            short_hex(transaction.client),
            str(transaction.receiver),
            short_hex(transaction.gradient),
            short_hex(transaction.signature),
            printable(entry.scheme) if entry.scheme else "–",
            str(header.anchor) if header else "–",
            str(header.updates) if header else "–",
        )
    out.print(table)
    _more(out, len(recorded) - MAX_ROWS, "further transactions")
    if any(entry.header is None for entry in recorded):
        out.print("\nThe body of this block is not in the blob store: scheme and anchor are unknown.")


def _console() -> Console:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = max(console.width, _PIPED_WIDTH)
    return console


def _facts(*facts: tuple[str, str]) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name, value in facts:
        grid.add_row(Text(name, style="dim"), Text(value))
    return grid


def _table(*heads: str, right: Sequence[int] = ()) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for index, head in enumerate(heads):
        table.add_column(head, justify="right" if index in right else "left", no_wrap=True)
    return table


def _more(out: Console, count: int, what: str) -> None:
    if count > 0:
        out.print(f"… {count:,} {what}: --json", style="dim")


def _paid(block: InspectedBlock) -> str:
    if not block.rewards:
        return "nobody is paid"
    return f"{len(block.rewards)} clients, {tokens(sum(reward.amount for reward in block.rewards))} tokens"


def _node(inspection: Inspection, account: bytes) -> str:
    number = inspection.edge_node_id(account)
    return short_hex(account) if number is None else str(number)


def _presence(inspection: Inspection, content: Cid) -> str:
    return "(stored)" if inspection.is_stored(content) else "(not in the blob store)"


def _short_cid(content: Cid) -> str:
    text = str(content)
    return f"{text[:8]}…{text[-8:]}"
