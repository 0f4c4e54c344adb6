"""The three pictures of a run: accuracy, rewards and timing, drawn from its metrics and from nothing else."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bflmec.configuration.sections import TOKEN
from bflmec.errors import RunDirectoryError
from bflmec.files import write_atomically
from bflmec.runs.directory import RunDirectory
from bflmec.runs.formats import short_hex, time_unit
from bflmec.runs.measured import measured
from bflmec.runs.metrics import Metrics, read_metrics

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

ACCURACY: Final = "accuracy.png"
REWARDS: Final = "rewards.png"
TIMING: Final = "timing.png"
PICTURES: Final = (ACCURACY, REWARDS, TIMING)

# Okabe and Ito's palette, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
VERMILION, PURPLE, SKY, GREY = "#D55E00", "#CC79A7", "#56B4E9", "#5F6B76"

FEW_CLIENTS: Final = 12
"""Up to so many clients get a line of their own in the picture of rewards."""
CLIENT_SIDE: Final = {"T_local": BLUE, "T_sign": ORANGE, "T_up": GREEN}
EDGE_SIDE: Final = {"T_ex": PURPLE, "T_gl": SKY, "T_bl": VERMILION}

_INCHES: Final = (10.0, 4.2)
_DOTS_PER_INCH: Final = 130
STYLE: Final = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E7EA",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


def draw(directory: RunDirectory) -> list[Path]:
    """Draws accuracy.png, rewards.png and timing.png from what the metrics file holds by now; a run that goes on or was
    interrupted will do. The same metrics give the same bytes.

    Raises RunDirectoryError if the metrics file is damaged, or if a picture can't be written.
    """
    metrics = read_metrics(directory.metrics_file)
    clients = directory.config().experiment.clients
    return [
        _picture(directory.path / ACCURACY, lambda figure: _draw_accuracy(figure, metrics)),
        _picture(directory.path / REWARDS, lambda figure: _draw_rewards(figure, metrics, clients)),
        _picture(directory.path / TIMING, lambda figure: _draw_timing(figure, metrics)),
    ]


def _picture(path: Path, fill: Callable[[Figure], None]) -> Path:
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Whatever the user's own matplotlibrc says, a run has one look.
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        fill(figure)
        picture = BytesIO()
        _lay_out(figure)
        figure.savefig(picture, format="png", metadata={"Software": None})
        try:
            write_atomically(path, picture.getvalue())
        except OSError as error:
            raise RunDirectoryError(f"can't write {path}: {error.strerror}") from error
    return path


def _lay_out(figure: Figure) -> None:
    """Once: with a layout engine of its own a figure is laid out and drawn twice when it is saved."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


# ---------------------------------------------------------------- accuracy


def _draw_accuracy(figure: Figure, metrics: Metrics) -> None:
    over_updates, over_time = figure.subplots(1, 2, sharey=True)
    over_updates.set(title="Accuracy over global updates", xlabel="global updates", ylabel="accuracy [%]")
    updates = list(metrics.updates)
    if not updates:
        over_time.set(title="Accuracy over virtual time", xlabel="virtual time")
        _note(over_updates, "no global update yet")
        _note(over_time, "no global update yet")
        return
    unit, length = time_unit(updates[-1][0].time)
    over_time.set(title="Accuracy over virtual time", xlabel=f"virtual time [{unit}]")
    marker = "o" if len(updates) <= 20 else ""
    curves = (
        ("global test set", BLUE, "-", [100 * update.accuracy for _, update in updates]),
        (
            r"mean of the clients, $\sum acc_i\,/\,n$",
            ORANGE,
            "--",
            [100 * update.client_accuracy for _, update in updates],
        ),
    )
    times = [block.time / length for block, _ in updates]
    for name, colour, dashes, values in curves:
        for axes, places in ((over_updates, list(range(1, len(updates) + 1))), (over_time, times)):
            axes.plot(places, values, dashes, color=colour, marker=marker, markersize=4, label=name)
    tested, held = curves[0][3][-1], curves[1][3][-1]
    for value, colour, above in ((tested, BLUE, tested >= held), (held, ORANGE, tested < held)):
        over_time.annotate(
            f"{value:.1f}",
            (times[-1], value),
            xytext=(5, 0),
            textcoords="offset points",
            color=colour,
            va="bottom" if above else "top",
            annotation_clip=False,
        )
    over_updates.set_ylim(0, 100)
    over_updates.set_xlim(left=0)
    over_time.set_xlim(left=0)
    _whole_numbers(over_updates)
    over_updates.legend(loc="lower right")


# ---------------------------------------------------------------- rewards


def _draw_rewards(figure: Figure, metrics: Metrics, clients: int) -> None:
    over_updates, at_the_end = figure.subplots(1, 2, width_ratios=(3, 2))
    over_updates.set(title="Rewards of each client", xlabel="global updates", ylabel="cumulative reward [tokens]")
    at_the_end.set(title="Rewards so far", xlabel="clients, highest reward first", ylabel="cumulative reward [tokens]")
    accounts, rewards = cumulative_rewards(metrics, clients)
    if not rewards[-1].any():
        _note(over_updates, "nobody was paid yet")
        _note(at_the_end, "nobody was paid yet")
        return
    _whole_numbers(over_updates)
    if clients <= FEW_CLIENTS:
        _each_client(over_updates, accounts, rewards)
    else:
        _bands(over_updates, rewards)
    over_updates.legend(loc="upper left", fontsize=9)
    over_updates.set_ylim(bottom=0)
    over_updates.set_xlim(0, len(rewards) - 1)
    _final_rewards(at_the_end, rewards[-1])


def cumulative_rewards(metrics: Metrics, clients: int) -> tuple[list[str], NDArray[np.float64]]:
    """Accounts in ascending order, and after each global update (row 0: before the first) what each was paid so far, in
    tokens: shape (updates + 1, at least `clients`). Columns without an account belong to clients that got nothing."""
    import numpy as np

    paid = [{account: int(amount) for account, amount in update.rewards.items()} for _, update in metrics.updates]
    accounts = sorted({account for rewards in paid for account in rewards})
    column = {account: index for index, account in enumerate(accounts)}
    rewards = np.zeros((len(paid) + 1, max(clients, len(accounts), 1)))
    for row, amounts in enumerate(paid, start=1):
        for account, amount in amounts.items():
            rewards[row, column[account]] = amount / TOKEN
    return accounts, np.cumsum(rewards, axis=0)


def _each_client(axes: Axes, accounts: list[str], rewards: NDArray[np.float64]) -> None:
    colours = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY)
    order = sorted(range(len(accounts)), key=lambda index: (-rewards[-1, index], accounts[index]))
    for place, index in enumerate(order):
        axes.plot(
            rewards[:, index],
            "-" if place < len(colours) else "--",
            color=colours[place % len(colours)],
            label=short_hex(accounts[index]),
        )
    unpaid = rewards.shape[1] - len(accounts)
    if unpaid:
        axes.plot(rewards[:, -1], ":", color=GREY, label=f"{unpaid} never paid")


def _bands(axes: Axes, rewards: NDArray[np.float64]) -> None:
    import numpy as np

    updates = np.arange(len(rewards))
    lowest, low, middle, high, highest = np.percentile(rewards, (0, 25, 50, 75, 100), axis=1)
    axes.fill_between(updates, lowest, highest, color=SKY, alpha=0.3, linewidth=0, label="all clients")
    axes.fill_between(updates, low, high, color=BLUE, alpha=0.35, linewidth=0, label="the middle half")
    axes.plot(updates, middle, color=BLUE, label="median")
    order = np.argsort(rewards[-1], kind="stable")
    for place, index in enumerate(order[::-1][:3]):
        axes.plot(updates, rewards[:, index], color=GREEN, lw=1, label="highest three" if place == 0 else None)
    for place, index in enumerate(order[:3]):
        axes.plot(updates, rewards[:, index], color=VERMILION, lw=1, label="lowest three" if place == 0 else None)


def _final_rewards(axes: Axes, final: NDArray[np.float64]) -> None:
    ranked = sorted(final, reverse=True)
    mean = sum(ranked) / len(ranked)
    if len(ranked) <= FEW_CLIENTS:
        axes.bar(range(1, len(ranked) + 1), ranked, color=BLUE, alpha=0.8)
    else:
        axes.stairs(ranked, [place + 0.5 for place in range(len(ranked) + 1)], fill=True, color=BLUE, alpha=0.8)
    axes.axhline(mean, color=VERMILION, linestyle="--", lw=1.2, label=f"mean {mean:,.1f}")
    axes.set_xlim(0.5, len(ranked) + 0.5)
    axes.set_ylim(0, 1.25 * ranked[0])
    axes.grid(visible=False, axis="x")
    _whole_numbers(axes)
    unpaid = sum(reward == 0 for reward in ranked)
    if unpaid:
        axes.plot([], [], " ", label=f"{unpaid} of {len(ranked)} never paid")
    axes.legend(loc="upper right")


# ---------------------------------------------------------------- timing


def _draw_timing(figure: Figure, metrics: Metrics) -> None:
    parts, over_time = figure.subplots(1, 2)
    _draw_latencies(parts, metrics)
    over_time.set(title="What the ledger recorded", xlabel="virtual time", ylabel="recorded so far")
    if not metrics.blocks:
        _note(over_time, "no block yet")
        return
    unit, length = time_unit(metrics.blocks[-1].time)
    over_time.set_xlabel(f"virtual time [{unit}]")
    times = [0.0, *(block.time / length for block in metrics.blocks)]
    counts = (
        ("local gradients", GREEN, "-", accumulate(block.transactions for block in metrics.blocks)),
        ("blocks", BLUE, "-", accumulate(1 for _ in metrics.blocks)),
        ("global updates", ORANGE, "--", accumulate(int(block.update is not None) for block in metrics.blocks)),
    )
    for name, colour, dashes, values in counts:
        steps = [0, *values]
        over_time.plot(times, steps, dashes, color=colour, drawstyle="steps-post", label=f"{steps[-1]:,} {name}")
    over_time.set_ylim(bottom=0)
    over_time.set_xlim(left=0)
    over_time.legend(loc="upper left")


def _draw_latencies(axes: Axes, metrics: Metrics) -> None:
    axes.set(title="Mean latency of each part", ylabel="virtual time [s]")
    figures = measured(metrics)
    if figures is None:
        _note(axes, "measured when the run has ended")
        return
    latencies = figures.latencies
    tallest = max(sum(latencies.get(part, 0.0) for part in side) for side in (CLIENT_SIDE, EDGE_SIDE))
    for place, side in enumerate((CLIENT_SIDE, EDGE_SIDE)):
        bottom = 0.0
        for part, colour in side.items():
            seconds = latencies.get(part, 0.0)
            axes.bar(place, seconds, bottom=bottom, color=colour, width=0.45, edgecolor="white", linewidth=0.8)
            axes.plot([], [], "s", color=colour, markersize=8, label=f"{_symbol(part)}  {seconds:.3g} s")
            bottom += seconds
        axes.annotate(f"{bottom:.3g} s", (place, bottom), ha="center", xytext=(0, 4), textcoords="offset points")
    axes.set_xticks((0, 1), ("client", "edge node"))
    axes.set_ylim(0, 1.12 * tallest or 1)
    axes.set_xlim(-0.5, 2.6)
    axes.grid(visible=False, axis="x")
    axes.legend(loc="center right")


def _symbol(part: str) -> str:
    letter, _, index = part.partition("_")
    return rf"${letter}_\mathrm{{{index}}}$"


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))


def _note(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
    axes.set_xticks([])
    axes.set_yticks([])
