"""Which attackers contribution identification finds.

    python benchmarks/detection.py --clients 100 --rules default

Three of ten clients are attackers. Ten clients, drawn anew each time, contribute to a global update of a logistic
regression, with 100 samples each (40 of digits). For each way to cluster, partition and attack the table has: attacks
found (labelled low), honest contributions labelled low, the final accuracy, and how many global updates paid nobody.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bflmec.learning.contribution import Label
from bflmec.learning.datasets import Dataset, load_dataset
from bflmec.learning.evaluation import accuracy
from bflmec.learning.global_update import Contribution, Outcome, global_update
from bflmec.learning.history import advance
from bflmec.learning.local_update import LocalTask, LocalUpdateRules, local_updates
from bflmec.learning.models import create_model
from bflmec.learning.partition import create_partition
from bflmec.learning.rules import DEFAULT_RULES, PAPER_RULES, AggregationRules

CONTRIBUTORS = 10

RULES = {
    "default": DEFAULT_RULES,
    "no norm cap": replace(DEFAULT_RULES, norm_cap=None),
    "no history": replace(DEFAULT_RULES, history=0),
    "dbscan": replace(DEFAULT_RULES, clustering="dbscan"),
    "paper": PAPER_RULES,
}
PARTITIONS: dict[str, dict[str, object]] = {"iid": {}, "dirichlet": {"alpha": 0.5}, "shard": {"k": 2}}

Attack = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def scaled(*factors: float) -> Attack:
    """Each attacker multiplies its delta by a factor of its own."""
    return lambda delta, attacker, rng: delta * np.float32(factors[attacker % len(factors)])


def noise(factor: float) -> Attack:
    def attack(delta: np.ndarray, attacker: int, rng: np.random.Generator) -> np.ndarray:
        direction = rng.standard_normal(len(delta), np.float32)
        return delta + direction * np.float32(factor * np.linalg.norm(delta) / np.linalg.norm(direction))

    return attack


ATTACKS: dict[str, Attack] = {
    "nobody attacks": scaled(1),
    "scaled by 3": scaled(3),
    "scaled by 5": scaled(5),
    "scaled by 0.2": scaled(0.2),
    "scaled by -5": scaled(-5),
    "one hides two": scaled(1e6, -5, -5),
    "zero": scaled(0),
    "noise": noise(3),
    "scaled by 2": scaled(2),
    "sign flipped": scaled(-1),
}


@dataclass
class Count:
    found: int = 0
    attacks: int = 0
    false: int = 0
    honest: int = 0
    unpaid_updates: int = 0
    accuracy: float = 0.0


def run(
    data: Dataset, clients: int, partition: str, attack: str, rules: AggregationRules, seed: int, count: Count
) -> None:
    rng = np.random.default_rng(seed)
    model = create_model("logistic", data.features, data.classes)
    samples = 100 if len(data.train_y) >= 10_000 else 40
    per_client = min(600, len(data.train_y) // clients)
    parts = create_partition(partition, PARTITIONS[partition])(rng, data.train_y, clients, per_client)
    attackers = {} if attack == "nobody attacks" else _attackers(rng, clients)
    weights, history = model.init(rng), ()
    taken = [0] * clients
    for _ in range(clients if clients > CONTRIBUTORS else 10):
        chosen = rng.permutation(clients)[:CONTRIBUTORS].tolist()
        tasks = []
        for client, child in zip(chosen, rng.spawn(CONTRIBUTORS), strict=True):
            fresh = np.take(parts[client], taken[client] + np.arange(samples), mode="wrap")
            taken[client] += samples
            tasks.append(LocalTask(weights, data.train_x[fresh], data.train_y[fresh], child))
        contributions = []
        for client, local in zip(chosen, local_updates(model, tasks, LocalUpdateRules()), strict=True):
            delta = local - weights
            if client in attackers:
                delta = ATTACKS[attack](delta, attackers[client], rng)
            vector = weights + delta if rules.mode == "weights" else delta
            contributions.append(Contribution(client.to_bytes(20, "big"), [vector]))
        update = global_update(weights, contributions, history, rules)
        weights, history = update.weights, advance(history, update.entries, rules.history)
        for client, label in zip(chosen, update.labels, strict=True):
            if client in attackers:
                count.attacks += 1
                count.found += label is Label.LOW
            else:
                count.honest += 1
                count.false += label is Label.LOW
        count.unpaid_updates += update.outcome is not Outcome.FAIR
    count.accuracy += accuracy(model, weights, data.test_x, data.test_y)


def _attackers(rng: np.random.Generator, clients: int) -> dict[int, int]:
    """Three of ten clients, numbered."""
    return {int(client): k for k, client in enumerate(rng.choice(clients, 3 * clients // 10, replace=False))}


def row(data: Dataset, clients: int, partition: str, attack: str, rules: AggregationRules, seeds: int) -> str:
    count = Count()
    for seed in range(seeds):
        run(data, clients, partition, attack, rules, seed, count)
    found = f"{100 * count.found / count.attacks:5.0f} %" if count.attacks else "      –"
    false = f"{100 * count.false / count.honest:5.0f} %"
    return f"{found:>8} {false:>8} {count.accuracy / seeds:9.3f} {count.unpaid_updates:7}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist", help="mnist or digits (default mnist)")
    parser.add_argument("--clients", type=int, default=10, help="(default 10)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each row (default 3)")
    parser.add_argument("--rules", choices=RULES, nargs="*", default=list(RULES), help="(default all)")
    options = parser.parse_args(arguments)
    data = load_dataset(options.data)
    print(f"{'rules':12} {'partition':10} {'attack':15} {'found':>8} {'false':>8} {'accuracy':>9} {'unpaid':>7}")
    for name in options.rules:
        for partition in PARTITIONS:
            for attack in ATTACKS:
                figures = row(data, options.clients, partition, attack, RULES[name], options.seeds)
                print(f"{name:12} {partition:10} {attack:15} {figures}", flush=True)


if __name__ == "__main__":
    main()
