"""The report of a run: one HTML file that needs nothing else, for reading and for passing on."""

from __future__ import annotations

import json
import shlex
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Final

from bflmec.configuration import Config, as_toml
from bflmec.errors import RunDirectoryError
from bflmec.files import write_atomically
from bflmec.runs.directory import RunDirectory
from bflmec.runs.figures import ACCURACY, PICTURES, REWARDS, TIMING, draw
from bflmec.runs.formats import duration, share, short_hex, tokens
from bflmec.runs.measured import Measured, measured
from bflmec.runs.metrics import BlockMetrics, Metrics, read_metrics

LAST_BLOCKS: Final = 20
MAX_VERSIONS: Final = 2**16

_CAPTIONS: Final = {
    ACCURACY: "How often the model is right: the newest global gradient on the test set, and the mean over all clients "
    "of the model that each holds on the samples that it held out.",
    REWARDS: "What the ledger recorded for each client: a flat line is a client whose local gradients were low "
    "contributions, or that has sent none.",
    TIMING: "Where the time goes: the mean latency of each part on the client's side and on the edge node's, and what "
    "the ledger recorded meanwhile. Virtual time follows the profile in [world], not the clock of this machine.",
}
_LATENCIES: Final = {
    "T_local": "local update on the client",
    "T_sign": "signature on the client",
    "T_up": "upload to an edge node",
    "T_ex": "exchange between edge nodes",
    "T_gl": "clustering, contributions and fair aggregation",
    "T_bl": "search for the proof of work",
}

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f23; --soft: #57606a; --line: #d0d7de; --page: #fff; --card: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --page: #0d1117; --card: #151b23; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1040px; padding: 2rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
p, figcaption { color: var(--soft); margin: .4rem 0; }
.numbers { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: .75rem; margin: 1.5rem 0;
  padding: 0; }
.numbers div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem; }
.numbers dt { color: var(--soft); font-size: .85rem; }
.numbers dd { margin: 0; font-size: 1.3rem; font-weight: 600; }
.notice { border-left: 4px solid #d55e00; background: var(--card); padding: .5rem .9rem; color: var(--ink); }
figure { margin: 1.5rem 0; }
img { display: block; width: 100%; height: auto; background: #fff; border-radius: 8px; border: 1px solid var(--line); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem; overflow-x: auto;
  font-size: .85rem; }
summary { cursor: pointer; }
"""


def write_report(directory: RunDirectory) -> Path:
    """Writes report.html from metrics, configuration, versions and pictures; a run that was interrupted will do.

    Pictures that are not there yet are drawn. Raises RunDirectoryError if a part of the directory is damaged, or the
    report can't be written.
    """
    if not all((directory.path / name).is_file() for name in PICTURES):
        draw(directory)
    page = _page(directory, read_metrics(directory.metrics_file), directory.config())
    try:
        write_atomically(directory.report_file, page.encode())
    except OSError as error:
        raise RunDirectoryError(f"can't write {directory.report_file}: {error.strerror}") from error
    return directory.report_file


def _page(directory: RunDirectory, metrics: Metrics, config: Config) -> str:
    name = directory.path.resolve().name
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(name)} – BFL-MEC</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            f"<h1>{escape(name)}</h1>",
            f"<p>{escape(_subject(config))}</p>",
            *_state(directory, metrics, config),
            *_numbers(metrics, config),
            *_pictures(directory),
            *_blocks(metrics),
            *_measurements(measured(metrics)),
            *_commands(directory),
            *_details("Configuration", as_toml(config)),
            *_details("Versions", _versions(directory)),
            "</body>",
            "</html>",
            "",
        ]
    )


def _policy() -> str:
    """Nothing is loaded and nothing runs, whatever a configuration or a metrics line may have smuggled in."""
    digest = b64encode(sha256(STYLE.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _subject(config: Config) -> str:
    experiment, data = config.experiment, config.data
    return (
        f"{data.dataset}, {data.partition} partition, {config.learning.model} model, {experiment.clients} clients, "
        f"{experiment.edge_nodes} edge nodes, N = {config.learning.data_threshold}, "
        f"φ = {config.ledger.aggregation_threshold}, {config.signatures.scheme}, seed {experiment.seed}"
    )


def _state(directory: RunDirectory, metrics: Metrics, config: Config) -> Iterator[str]:
    if metrics.summary is None:
        done = sum(1 for _ in metrics.updates)
        yield (
            f'<p class="notice">This run has not ended: {done} of {config.experiment.aggregations} global updates so '
            f"far. Go on with <code>bflmec run --resume {escape(_argument(directory))}</code></p>"
        )


def _numbers(metrics: Metrics, config: Config) -> Iterator[str]:
    summary, updates = metrics.summary, [update for _, update in metrics.updates]
    gradients = sum(block.transactions for block in metrics.blocks)
    gas = sum(block.gas for block in metrics.blocks)
    paid = sum(int(amount) for update in updates for amount in update.rewards.values())
    high, low = sum(update.high for update in updates), sum(update.low for update in updates)
    numbers = {
        "test accuracy": f"{100 * updates[-1].accuracy:.2f} %" if updates else "–",
        "mean accuracy of the clients": f"{100 * updates[-1].client_accuracy:.2f} %" if updates else "–",
        "global updates": f"{len(updates):,} of {config.experiment.aggregations:,}",
        "blocks": f"{len(metrics.blocks):,}",
        "local gradients": f"{gradients:,}",
        "low contributions": share(low, high + low),
        "rewards recorded": f"{tokens(paid)} tokens",
        "virtual time": duration(metrics.blocks[-1].time) if metrics.blocks else "–",
        f"gas per local gradient{', archiving' if config.ledger.archive else ''}": f"{gas / gradients:,.0f}"
        if gradients
        else "–",
        "CPU time": f"{summary.cpu_seconds:,.1f} s" if summary else "–",
        "peak memory": f"{summary.peak_memory / 2**20:,.0f} MiB" if summary else "–",
    }
    yield '<dl class="numbers">'
    for name, value in numbers.items():
        yield f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
    yield "</dl>"


def _pictures(directory: RunDirectory) -> Iterator[str]:
    for name in PICTURES:
        try:
            data = b64encode((directory.path / name).read_bytes()).decode()
        except OSError as error:
            raise RunDirectoryError(f"can't read {directory.path / name}: {error.strerror}") from error
        title = name.removesuffix(".png")
        yield f'<h2>{title.capitalize()}</h2><figure><img alt="{title}" src="data:image/png;base64,{data}">'
        yield f"<figcaption>{escape(_CAPTIONS[name])}</figcaption></figure>"


def _blocks(metrics: Metrics) -> Iterator[str]:
    if not metrics.blocks:
        return
    shown = metrics.blocks[: -LAST_BLOCKS - 1 : -1]
    yield f"<h2>{'The last' if len(metrics.blocks) > LAST_BLOCKS else 'All'} {len(shown)} blocks</h2>"
    heads = ("block", "hash", "virtual time", "edge node", "local gradients", "global update", "accuracy", "gas")
    yield from _table(heads, map(_block, shown))


def _block(block: BlockMetrics) -> tuple[str, ...]:
    update = block.update
    return (
        str(block.number),
        short_hex(block.hash),
        f"{block.time:,.1f} s",
        str(block.edge_node),
        str(block.transactions),
        f"{update.outcome}, {update.high} high, {update.low} low" if update else "–",
        f"{100 * update.accuracy:.2f} %" if update else "–",
        f"{block.gas:,}",
    )


def _measurements(figures: Measured | None) -> Iterator[str]:
    if figures is None:
        return
    yield "<h2>Latencies</h2>"
    means = figures.latencies
    rows = [(name, meaning, f"{means[name]:.4g} s") for name, meaning in _LATENCIES.items() if name in means]
    yield from _table(("symbol", "part", "mean, virtual time"), rows)
    asynchrony = figures.asynchrony
    yield "<h2>Concurrency and delay</h2>"
    yield from _table(
        ("quantity", "value"),
        (
            ("steps T (recorded local gradients)", f"{asynchrony.steps:,}"),
            ("local gradients under way at the end, |C_T|", f"{asynchrony.unfinished:,}"),
            ("maximum concurrency τ_C", f"{asynchrony.concurrency_max:,}"),
            ("average concurrency", f"{asynchrony.concurrency:.3f}"),
            ("average delay τ_avg", f"{asynchrony.delay:.3f}"),
            ("global updates missed by a local gradient, mean", f"{asynchrony.staleness:.3f}"),
            ("uploads cut off, failed", f"{figures.uploads_cut_off:,}, {figures.uploads_failed:,}"),
            ("local updates sent as part of an average", f"{figures.updates_averaged:,}"),
        ),
    )
    yield (
        "<p>Theorem 1 bounds convergence through the average delay, which equals (T + 1) / (T + |C_T| − 1) times the "
        f"average concurrency. Here that product is {asynchrony.predicted_delay:.3f}, and the measured delay is "
        f"{asynchrony.delay:.3f}.</p>"
    )


def _commands(directory: RunDirectory) -> Iterator[str]:
    path = _argument(directory)
    yield "<h2>Look closer</h2>"
    yield f"<pre>{escape(_COMMANDS.format(path=path))}</pre>"


_COMMANDS: Final = """\
bflmec inspect {path}               # all blocks
bflmec inspect {path} --block 1     # header, TX_1 and transactions of one
bflmec inspect {path} --anchors     # every global gradient
bflmec inspect {path} --rewards     # what each client was paid
bflmec verify {path}                # check every seal, certificate, hash and sum again
bflmec run --resume {path}          # go on after an interruption"""


def _argument(directory: RunDirectory) -> str:
    return shlex.quote(str(directory.path))


def _versions(directory: RunDirectory) -> str:
    try:
        data = directory.versions_file.read_bytes()[: MAX_VERSIONS + 1]
        versions = json.loads(data) if len(data) <= MAX_VERSIONS else None
    except (OSError, ValueError, RecursionError):
        versions = None
    if not isinstance(versions, Mapping):
        raise RunDirectoryError(f"{directory.versions_file} is missing or damaged; `bflmec run` writes it")
    return "\n".join(f"{name:<14} {version}" for name, version in versions.items())


def _details(title: str, text: str) -> Iterator[str]:
    yield f"<h2>{title}</h2><details><summary>show</summary><pre>{escape(text)}</pre></details>"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    yield '<div class="wide"><table><thead><tr>'
    yield "".join(f"<th>{escape(head)}</th>" for head in heads)
    yield "</tr></thead><tbody>"
    for row in rows:
        yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
    yield "</tbody></table></div>"
