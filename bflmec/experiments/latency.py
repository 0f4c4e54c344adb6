"""Section III and Figure 5: the parts of the latency, in the simulated world and on this machine, and how they grow."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from bflmec.crypto.schemes import generate, signature_scheme
from bflmec.crypto.seal import NONCE_LIMIT, search
from bflmec.experiments.cells import Cell, Row, Scope, Tables
from bflmec.experiments.experiment import Finding, Plot, Section, Table, Verdict, experiments
from bflmec.experiments.library import dataset_of
from bflmec.experiments.light_world import LightWorld
from bflmec.experiments.plots import COLOURS
from bflmec.experiments.schemes import CONTEXT
from bflmec.experiments.statistics import growth_exponent, mean_interval
from bflmec.experiments.tables import grouped, number, numbers, where
from bflmec.learning.blob import decode_blob, encode_blob
from bflmec.learning.global_update import Contribution, global_update
from bflmec.learning.local_update import LocalTask, LocalUpdateRules, local_update
from bflmec.learning.models import create_model
from bflmec.learning.rules import DEFAULT_RULES
from bflmec.simulation.measurements import Latency

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLIENT_SIDE = (Latency.LOCAL, Latency.SIGN, Latency.UPLOAD)
EDGE_SIDE = (Latency.EXCHANGE, Latency.GLOBAL, Latency.BLOCK)
VIRTUAL = {
    "n": (("clients", (25, 50, 100, 200)), ("samples_per_client=300",)),
    "m": (("edge_nodes", (1, 2, 4, 8)), ()),
    "φ": (("aggregation_threshold", (5, 10, 20, 40)), ("archive=false",)),
    "P": (("model", ("logistic", "mlp-200", "mlp-200-200")), ()),
    "difficulty": (("ledger.difficulty", (1024, 4096, 16384, 65536)), ()),
}
SIZES = {"logistic": 7_850, "mlp-200": 159_010, "mlp-200-200": 199_210}
MACHINE_MODELS = ("logistic", "mlp-200", "mlp-200-200")
MACHINE_PHI = (5, 10, 20, 40)
MACHINE_DIFFICULTY = (1024, 4096, 16384)
N = 75


@experiments.register("latency")
class LatencyParts:
    """Mean latencies of the six parts over n, m, φ, P and difficulty, and what they cost in CPU time here."""

    name = "latency"
    title = "Latency (§III, Figure 5)"
    paper = (
        "A client needs T_local + T_sign + T_up, an edge node T_ex + T_gl + T_bl; both are about linear; T_sign is "
        "the most "
        "important part of the client's, T_bl is significant among the edge node's."
    )
    timed = True

    def cells(self, scope: Scope) -> list[Cell]:
        seeds = scope.seeds(quick=1, full=10)
        virtual = [
            Cell(
                "latency",
                {"stack": "virtual time", "grows": name, "value": value},
                seed,
                ("aggregations=10", f"{key}={value}", *more),
            )
            for seed in seeds
            for name, ((key, values), more) in VIRTUAL.items()
            for value in values
        ]
        machine = [
            Cell("latency", {"stack": "this machine", "grows": name, "value": value}, seed)
            for seed in seeds
            for name, values in (("P", MACHINE_MODELS), ("φ", MACHINE_PHI), ("difficulty", MACHINE_DIFFICULTY))
            for value in values
        ]
        return virtual + machine

    def measure(self, cell: Cell) -> Tables:
        if cell.labels["stack"] == "virtual time":
            return {"parts": _virtual(cell)}
        return {"parts": _machine(str(cell.labels["grows"]), cell.labels["value"], cell.seed)}

    def present(self, tables: Tables) -> Section:
        rows = [row | {"size": _size(row)} for row in tables["parts"]]
        tables_ = [_table(f"{stack}: mean of each part [s]", where(rows, stack=stack)) for stack in _STACKS]
        plot = Plot("growth", "Client's and edge node's sums over what grows, virtual time.", _draw(rows), (12, 3.4))
        return Section([_shares(rows), _growth(rows), _edge_share(rows)], tables_, [plot], _NOTES)


_STACKS = ("virtual time", "this machine")
_NOTES = (
    "Virtual time: the light world with the configured profile ([world]), which stands for devices, radio and a chain "
    "that "
    "takes a block a second. This machine: CPU seconds of one local update (75 samples), signature, envelope and blob "
    "decoding with verification (T_ex), global update and nonce search, without any network.",
    "T_up holds the radio alone; waiting for a contact is not in any part, as in the paper, which assumes sound "
    "transmission.",
)


def _virtual(cell: Cell) -> list[Row]:
    config = cell.config()
    world = LightWorld.of(config, dataset_of(config))
    for _ in world.updates():
        pass
    return [{"part": part, "seconds": value} for part, value in world.simulation.measurements.latencies().items()]


def _machine(grows: str, value: object, seed: int) -> list[Row]:
    rng = np.random.default_rng([seed, 0x7A7E])
    if grows == "difficulty":
        nonces = [sha256(rng.bytes(32)).digest() for _ in range(20)]
        return [_row(Latency.BLOCK, _median(lambda: search(nonces.pop(), int(str(value)), 0, NONCE_LIMIT), 15))]
    model = create_model(str(value) if grows == "P" else "logistic", 784, 10)
    phi = int(str(value)) if grows == "φ" else 10
    weights = model.init(rng)
    deltas = [0.01 * rng.standard_normal(model.spec.size, np.float32) for _ in range(phi)]
    contributions = [Contribution(number.to_bytes(20, "big"), [delta]) for number, delta in enumerate(deltas, 1)]
    rows = [_row(Latency.GLOBAL, _median(lambda: global_update(weights, contributions, (), DEFAULT_RULES), 5))]
    if grows == "φ":
        return rows
    x, y = rng.random((N, 784), np.float32), rng.integers(0, 10, N)
    task = LocalTask(weights, x, y, rng)
    scheme = signature_scheme("ML-DSA-44")
    key = generate(scheme)
    blob = encode_blob(model.spec, deltas[0])
    signature = key.sign(sha256(blob).digest(), CONTEXT)

    def take_in() -> None:
        scheme.verify(key.public_key, sha256(blob).digest(), signature, CONTEXT)
        decode_blob(model.spec, blob)

    return [
        _row(Latency.LOCAL, _median(lambda: local_update(model, task, LocalUpdateRules()), 5)),
        _row(Latency.SIGN, _median(lambda: key.sign(sha256(encode_blob(model.spec, deltas[0])).digest(), CONTEXT), 25)),
        _row(Latency.EXCHANGE, _median(take_in, 25)),
        *rows,
    ]


def _row(part: Latency, seconds: float) -> Row:
    return {"part": part.value, "seconds": seconds}


def _median(action: Callable[[], object], repetitions: int) -> float:
    times = []
    for _ in range(repetitions):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return statistics.median(times)


def _size(row: Row) -> float:
    value = row["value"]
    return float(SIZES[value]) if isinstance(value, str) else number(row, "value")


def _table(title: str, rows: list[Row]) -> Table:
    parts = [part.value for part in (*CLIENT_SIDE, *EDGE_SIDE)]
    lines = []
    for (grows, value), own in grouped(rows, "grows", "value").items():
        cells = [numbers(where(own, part=part), "seconds") for part in parts]
        lines.append((str(grows), str(value), *(f"{sum(cell) / len(cell):.4g}" if cell else "–" for cell in cells)))
    return Table(title, ("grows", "to", *parts), lines)


def _default(rows: list[Row]) -> dict[str, float]:
    own = where(rows, stack="virtual time", grows="n", value=100)
    return {str(part): mean_interval(numbers(r, "seconds")).estimate for (part,), r in grouped(own, "part").items()}


def _shares(rows: list[Row]) -> Finding:
    means = _default(rows)
    client = {part.value: means.get(part.value, 0.0) for part in CLIENT_SIDE}
    total = sum(client.values())
    text = ", ".join(f"{part} {1e3 * value:.0f} ms ({100 * value / total:.0f} %)" for part, value in client.items())
    machine = where(rows, stack="this machine", grows="P", value="logistic")
    own = {part: numbers(where(machine, part=part.value), "seconds") for part in (Latency.LOCAL, Latency.SIGN)}
    cpu = ", ".join(f"{part.value} {1e3 * sum(v) / len(v):.2f} ms" for part, v in own.items() if v)
    largest = max(client, key=lambda part: client[part])
    verdict = Verdict.REPRODUCED if largest == "T_sign" else Verdict.NOT
    measured = f"virtual time, paper's T_sign of 85 ms: {text}; CPU of this machine: {cpu}"
    return Finding("T_sign is the largest part of the client's latency.", measured, verdict)


def _edge_share(rows: list[Row]) -> Finding:
    means = _default(rows)
    edge = {part.value: means.get(part.value, 0.0) for part in EDGE_SIDE}
    total = sum(edge.values())
    text = ", ".join(f"{part} {1e3 * value:.0f} ms ({100 * value / total:.0f} %)" for part, value in edge.items())
    verdict = Verdict.REPRODUCED if edge["T_bl"] > total / 2 else Verdict.NOT
    return Finding("T_bl is significant among the edge node's parts (more than half).", text, verdict)


def _growth(rows: list[Row]) -> Finding:
    texts, holds, cases = [], 0, 0
    for (stack, grows), own in grouped(rows, "stack", "grows").items():
        for side, parts in (("client", CLIENT_SIDE), ("edge node", EDGE_SIDE)):
            names = {part.value for part in parts}
            here = [row for row in own if row["part"] in names]
            sums = [
                (size, sum(numbers(r, "seconds")) / len({row["seed"] for row in r}))
                for size, r in ((number(g[0], "size"), g) for g in grouped(here, "size").values())
            ]
            if len(sums) < 2:
                continue
            exponent = growth_exponent(*zip(*sums, strict=True))
            cases += 1
            holds += exponent <= 1.15
            texts.append(f"{stack}, {side} over {grows}: {exponent:+.2f}")
    claim = "Both sides grow at most linearly."
    return Finding(claim, "exponents: " + "; ".join(texts), Verdict.of(holds, cases))


def _draw(rows: list[Row]) -> Callable[[Figure], None]:
    def draw(figure: Figure) -> None:
        own = where(rows, stack="virtual time")
        panels = figure.subplots(1, len(VIRTUAL), sharey=True)
        for axes, grows in zip(panels, VIRTUAL, strict=True):
            for place, part in enumerate((*CLIENT_SIDE, *EDGE_SIDE)):
                here = where(own, grows=grows, part=part.value)
                points = [
                    (number(r[0], "size"), sum(numbers(r, "seconds")) / len(r)) for r in grouped(here, "size").values()
                ]
                if points:
                    axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[place], label=part.value, ms=3)
            axes.set(xscale="log", yscale="log", xlabel=grows)
        panels[0].set_ylabel("virtual time [s]")
        panels[0].legend(fontsize=7)

    return draw
