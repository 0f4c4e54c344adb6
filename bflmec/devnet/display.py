"""A devnet's state as a table, and as one line."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bflmec.devnet.network import Watch
from bflmec.devnet.observation import EdgeState, Observation, ProcessState
from bflmec.devnet.plan import CHAIN

_WINDOW = 20.0
LINE_SECONDS = 5.0
"""Between two lines where there is no terminal to keep a table on."""


class ReceiptRate:
    """Receipts a second of all edge nodes, over the last seconds. One that starts again counts from 0 again."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def update(self, seen: Observation) -> float:
        new = 0
        for name, state in seen.edge_nodes.items():
            before = self._last.get(name, state.receipts)
            new += state.receipts - before if state.receipts >= before else state.receipts
            self._last[name] = state.receipts
        now = time.monotonic()
        self._seen.append((now, new))
        while len(self._seen) > 2 and self._seen[0][0] < now - _WINDOW:
            self._seen.popleft()
        total = sum(count for _, count in list(self._seen)[1:])
        return total / max(now - self._seen[0][0], 1e-3)


def line(seen: Observation, accuracy: float | None, rate: float | None = None) -> str:
    """Where the whole stands."""
    newest = seen.newest
    running = sum(process.pid is not None for process in seen.processes)
    processes = f"{running}/{len(seen.processes)} processes"
    if newest is None:
        return f"no edge node answers, {processes}"
    parts = [f"head {newest.head}", f"anchor {newest.anchor}"]
    parts.append("accuracy not known" if accuracy is None else f"accuracy {accuracy:.4f}")
    parts.append(f"{newest.recorded} local gradients recorded")
    if rate is not None:
        parts.append(f"{rate:.1f} receipts/s")
    return ", ".join([*parts, processes])


def table(seen: Observation, accuracy: float | None, rate: float | None = None) -> Table:
    """A row for each process that is not a client, one for all clients."""
    made = Table(title=line(seen, accuracy, rate), title_justify="left", title_style="bold", box=None, padding=(0, 1))
    made.add_column("process")
    for column in ("state", "pid", "starts", "MB", "head", "anchor", "pending", "pool", "peers"):
        made.add_column(column, justify="left" if column == "state" else "right")
    made.add_column("troubles", overflow="fold")
    clients = []
    for process in seen.processes:
        if process.name == CHAIN or process.name.startswith("edge-"):
            made.add_row(process.name, *_process(process), *_edge(seen.edge_nodes.get(process.name)))
        else:
            clients.append(process)
    if clients:
        running = [process for process in clients if process.pid is not None]
        state = f"{len(running)} of {len(clients)} running"
        memory = f"{sum(process.memory for process in running) / 2**20:.0f}"
        made.add_row("clients", state, "", str(sum(process.starts for process in clients)), memory)
    return made


def _process(process: ProcessState) -> tuple[str, str, str, str]:
    state, pid = ("down", "") if process.pid is None else ("running", str(process.pid))
    return state, pid, str(process.starts), f"{process.memory / 2**20:.0f}"


def _edge(state: EdgeState | None) -> tuple[str, ...]:
    if state is None:
        return ()
    numbers = (state.head, state.anchor, state.pending, state.pool, state.peers_up)
    return (*map(str, numbers), "; ".join(state.troubles))


@contextmanager
def shown() -> Iterator[Watch]:
    """Shows what is seen: a table that stays in its place on a terminal, elsewhere a line now and then."""
    rate, console = ReceiptRate(), Console()
    with Live(console=console, auto_refresh=False, transient=False) as live:
        said = 0.0

        def watch(seen: Observation, accuracy: float | None) -> None:
            nonlocal said
            speed = rate.update(seen)
            if console.is_terminal:
                live.update(table(seen, accuracy, speed), refresh=True)
            elif time.monotonic() - said > LINE_SECONDS:
                said = time.monotonic()
                print(line(seen, accuracy, speed))
                sys.stdout.flush()

        yield watch
