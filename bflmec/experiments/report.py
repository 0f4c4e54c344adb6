"""One page with every experiment: what the paper says, what came out here, and the numbers behind the verdict."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Final

from bflmec import __version__
from bflmec.errors import RunDirectoryError
from bflmec.experiments.experiment import Experiment, Section, Table
from bflmec.files import write_atomically
from bflmec.runs.report import STYLE

_MORE_STYLE: Final = """
.verdict { display: inline-block; border-radius: 999px; padding: 0 .6rem; font-size: .8rem; font-weight: 600;
  color: #fff; background: #57606a; white-space: nowrap; }
.reproduced { background: #00705a; } .partly { background: #9a6700; } .not { background: #a4410b; }
.finding { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem;
  margin: .75rem 0; }
.finding p { margin: .25rem 0; color: var(--ink); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
td { white-space: normal; }
"""
_CLASSES: Final = {"reproduced": "reproduced", "partly": "partly", "not reproduced": "not"}


@dataclass(frozen=True)
class Chapter:
    """An experiment that was run: its section, and where its figures are."""

    experiment: Experiment
    section: Section
    pictures: Sequence[Path]
    cells: int
    seeds: int
    cpu_seconds: float


def write_report(path: Path, chapters: Sequence[Chapter], command: str) -> None:
    """Raises RunDirectoryError if a picture can't be read or the page not be written."""
    style = STYLE + _MORE_STYLE
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    lines = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<title>BFL-MEC: the paper's evaluation, measured again</title>",
        f"<style>{style}</style></head><body>",
        "<h1>BFL-MEC: the paper's evaluation, measured again</h1>",
        f"<p>bflmec {escape(__version__)}, {_today()}: <code>{escape(command)}</code></p>",
        f'<p class="notice">{escape(caution)}</p>' if (caution := _caution(chapters)) else "",
        *_summary(chapters),
        *(line for chapter in chapters for line in _chapter(chapter)),
        "</body></html>",
        "",
    ]
    try:
        write_atomically(path, "\n".join(lines).encode())
    except OSError as error:
        raise RunDirectoryError(f"can't write {path}: {error.strerror}") from error


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


FEW_SEEDS: Final = 10


def _caution(chapters: Sequence[Chapter]) -> str:
    """What has to be said before the verdicts of few seeds."""
    few = [chapter.experiment.name for chapter in chapters if chapter.seeds < FEW_SEEDS]
    if not few:
        return ""
    return (
        f"Fewer than {FEW_SEEDS} seeds in {', '.join(few)}: intervals are too narrow there, p-values can't be small, "
        f"and "
        "verdicts are hints."
    )


def _summary(chapters: Sequence[Chapter]) -> Iterator[str]:
    yield "<h2>Verdicts</h2>"
    rows = [
        (chapter.experiment.name, finding.claim, _badge(finding.verdict))
        for chapter in chapters
        for finding in chapter.section.findings
    ]
    heads = _cells("th", ("experiment", "claim or question", "verdict"))
    yield f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>'
    for name, claim, badge in rows:
        yield f'<tr><td><a href="#{escape(name)}">{escape(name)}</a></td><td>{escape(claim)}</td><td>{badge}</td></tr>'
    yield "</tbody></table></div>"


def _badge(verdict: str) -> str:
    return f'<span class="verdict {_CLASSES.get(verdict, "")}">{escape(verdict)}</span>'


def _chapter(chapter: Chapter) -> Iterator[str]:
    experiment, section = chapter.experiment, chapter.section
    yield f'<h2 id="{escape(experiment.name)}">{escape(experiment.title)}</h2>'
    yield f"<p><b>The paper:</b> {escape(experiment.paper)}</p>"
    for finding in section.findings:
        yield f'<div class="finding"><p>{_badge(finding.verdict)} {escape(finding.claim)}</p>'
        yield f"<p>{escape(finding.measured)}</p></div>"
    for plot, picture in zip(section.plots, chapter.pictures, strict=True):
        yield f'<figure><img alt="{escape(plot.caption)}" src="data:image/png;base64,{_encoded(picture)}">'
        yield f"<figcaption>{escape(plot.caption)}</figcaption></figure>"
    for table in section.tables:
        yield from _table(table)
    for note in section.notes:
        yield f"<p>{escape(note)}</p>"
    seeds = f"{chapter.seeds} seed{'s' if chapter.seeds != 1 else ''}"
    yield f"<p>{chapter.cells} cells, {seeds}, {chapter.cpu_seconds:,.0f} CPU seconds.</p>"


def _table(table: Table) -> Iterator[str]:
    yield f'<h3>{escape(table.title)}</h3><div class="wide"><table><thead><tr>{_cells("th", table.heads)}</tr></thead>'
    yield "<tbody>"
    for row in table.rows:
        yield f"<tr>{_cells('td', row)}</tr>"
    yield "</tbody></table></div>"


def _cells(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)


def _encoded(picture: Path) -> str:
    try:
        return b64encode(picture.read_bytes()).decode()
    except OSError as error:
        raise RunDirectoryError(f"can't read {picture}: {error.strerror}") from error


def as_markdown(chapters: Sequence[Chapter], command: str) -> str:
    """Verdicts and tables for reading in a repository."""
    lines = ["# Results", "", f"`{command}`, bflmec {__version__}, {_today()}.", "", _caution(chapters), ""]
    for chapter in chapters:
        lines += [f"## {chapter.experiment.title}", "", f"The paper: {chapter.experiment.paper}", ""]
        lines += ["| claim or question | measured | verdict |", "|---|---|---|"]
        lines += [_line((f.claim, f.measured, f.verdict)) for f in chapter.section.findings]
        for table in chapter.section.tables:
            lines += ["", f"**{table.title}**", "", _line(table.heads), "|" + "---|" * len(table.heads)]
            lines += [_line(row) for row in table.rows]
        lines += ["", *chapter.section.notes, ""]
        lines += [f"{chapter.cells} cells, seeds: {chapter.seeds}, {chapter.cpu_seconds:,.0f} CPU seconds.", ""]
    return "\n".join(lines)


def _line(texts: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
