"""Figures as PNG and SVG, in the look of the pictures of a run."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bflmec.errors import RunDirectoryError
from bflmec.experiments.experiment import Plot
from bflmec.files import write_atomically
from bflmec.runs.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, STYLE, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: Final = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY, "#000000", "#F0E442")
DASHES: Final = ("-", "--", ":", "-.")
_DOTS_PER_INCH: Final = 110


def save(plot: Plot, folder: Path) -> Path:
    """Draws NAME.png and NAME.svg; the path of the PNG. Equal figures give equal bytes. Raises RunDirectoryError."""
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", STYLE, {"svg.hashsalt": "bflmec", "svg.fonttype": "none"}]):
        figure = Figure(figsize=plot.inches, dpi=_DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        plot.draw(figure)
        for kind, metadata in (("svg", {"Date": None, "Creator": None}), ("png", {"Software": None})):
            picture = BytesIO()
            figure.savefig(picture, format=kind, metadata=metadata)
            path = folder / f"{plot.name}.{kind}"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                write_atomically(path, picture.getvalue())
            except OSError as error:
                raise RunDirectoryError(f"can't write {path}: {error.strerror}") from error
    return path


def band(
    axes: Axes, x: Sequence[float], curves: Sequence[Sequence[float]], colour: str, label: str, dashes: str = "-"
) -> None:
    """The mean of curves of one length over `x`, and the range between the lowest and the highest of them."""
    import numpy as np

    values = np.array(curves, np.float64)
    axes.plot(x, values.mean(axis=0), dashes, color=colour, label=label)
    if len(values) > 1:
        axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15, linewidth=0)


def heat(
    axes: Axes,
    values: Sequence[Sequence[float | None]],
    texts: Sequence[Sequence[str]],
    x: Sequence[str],
    y: Sequence[str],
) -> None:
    """A table of figures with their size as colour; `values[row][column]`, None stays white."""
    import numpy as np

    table = np.array([[np.nan if value is None else value for value in row] for row in values], np.float64)
    known = table[~np.isnan(table)]
    axes.imshow(table, cmap="cividis", aspect="auto")
    middle = float((known.min() + known.max()) / 2) if len(known) else 0.0
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            value = table[row, column]
            colour = "black" if np.isnan(value) or value > middle else "white"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(x)), x)
    axes.set_yticks(range(len(y)), y)
    axes.grid(visible=False)
