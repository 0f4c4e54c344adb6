"""The worlds, attacks and defences of the attacks experiment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bflmec.experiments.attacked_world import NOBODY, adversary_of, harm
from bflmec.experiments.cells import Cell, Row, Scope
from bflmec.experiments.defences import DEFENCES
from bflmec.experiments.methods import DEFENDED, METHODS, follow

if TYPE_CHECKING:
    from bflmec.learning.datasets import Dataset

SCALINGS = ("scale-up", "scale-down", "reverse")
PAPERS = ("scale-up", "scale-down", "push")
"""What "significantly increase or decrease the value of the actual gradient in some direction" can mean."""
ATTACKS = (
    NOBODY,
    *SCALINGS,
    "push",
    "sign-flip",
    "noise",
    "label-flip",
    "free-rider",
    "flooding",
    "collusion",
    "alie",
    "ipm",
    "min-max",
    "backdoor",
    "adaptive",
)
FEW = (NOBODY, "reverse", "sign-flip", "min-max", "label-flip")
TEN, HUNDRED, AWAY = "10 clients", "100 clients", "100 clients, 80 % away"
NETWORK, CONVOLUTION, DIGITS = "10 clients, 200-200 network", "10 clients, CNN", "10 clients, digits"
ADAPTED = ("default", "accepted history", "no history")
WHOLE = (*ADAPTED, "paper", "dbscan")
"""Defences that meet every attack; the others, to compare with, meet a few."""
WORLDS = {
    TEN: ("clients=10", "aggregation_threshold=10", "aggregations=10"),
    HUNDRED: ("clients=100", "aggregation_threshold=10"),
    AWAY: ("clients=100", "aggregation_threshold=10", "coverage=300"),
    NETWORK: ("clients=10", "aggregation_threshold=10", "aggregations=10", "model=mlp-200-200"),
    CONVOLUTION: ("clients=10", "aggregation_threshold=10", "aggregations=10", "model=cnn-small"),
    DIGITS: (
        "clients=10",
        "aggregation_threshold=10",
        "aggregations=10",
        "dataset=digits",
        "samples_per_client=140",
        "data_threshold=40",
    ),
}
SERVERS = {**DEFENDED, "FedBuff": METHODS["FedBuff"]}
SECONDS_PER_UPDATE = 7.0
"""That a global update of the default takes with a hundred clients, about."""
UNSEEN = (NETWORK, CONVOLUTION, DIGITS)
"""Worlds that no constant of a detector was chosen on."""
PARTITIONS = {"iid": (), "dirichlet": ("alpha=0.5",), "shard": ()}


def attack_cells(scope: Scope) -> list[Cell]:
    """Everything that the experiment computes."""
    if scope.quick:
        ten = [
            _cell(seed, TEN, partition, attack, defence)
            for seed in scope.seeds(quick=3, full=20)
            for partition in ("iid", "shard")
            for attack in ATTACKS
            for defence in ("default", "paper", "accepted history")
            if defence != "accepted history" or attack in (NOBODY, *PAPERS, "reverse", "sign-flip")
        ]
        hundred = [
            _cell(seed, HUNDRED, "dirichlet", attack, defence, "aggregations=40")
            for seed in scope.seeds(quick=1, full=10)
            for defence in DEFENCES
            for attack in (ATTACKS if defence == "default" else FEW)
        ]
        away = [
            _cell(seed, AWAY, "dirichlet", attack, defence, "aggregations=40")
            for seed in scope.seeds(quick=1, full=20)
            for defence in ADAPTED
            for attack in (NOBODY, *SCALINGS)
        ]
        hundred += _servers(scope.seeds(quick=1, full=10), ("dirichlet",), FEW, "aggregations=40")
        return ten + hundred + away + _unseen(scope.seeds(quick=1, full=20), (NETWORK, DIGITS))
    seeds = scope.seeds(quick=1, full=20)
    worlds = {TEN: tuple(DEFENCES), HUNDRED: tuple(DEFENCES), AWAY: ADAPTED}
    cells = [
        _cell(seed, world, partition, attack, defence)
        for world, defences in worlds.items()
        for seed in seeds
        for partition in PARTITIONS
        for defence in defences
        for attack in (ATTACKS if defence in WHOLE else FEW)
    ]
    return cells + _unseen(seeds, UNSEEN) + _servers(seeds, tuple(PARTITIONS), FEW)


def _cell(seed: int, world: str, partition: str, attack: str, defence: str, *more: str) -> Cell:
    # The preset comes first: it would overwrite what else is set.
    settings = () if defence in SERVERS else DEFENCES[defence].settings
    preset = [setting for setting in settings if setting.startswith("preset=")]
    others = [setting for setting in settings if not setting.startswith("preset=")]
    return Cell(
        "attacks",
        {"world": world, "partition": partition, "attack": attack, "defence": defence},
        seed,
        (*preset, f"partition={partition}", *PARTITIONS[partition], *WORLDS[world], *others, *more),
    )


def at_server(cell: Cell, dataset: Dataset) -> Row:
    """One trusted server in place of the ledger, for about as long as as many global updates take."""
    config = cell.config()
    adversary = adversary_of(config, str(cell.labels["attack"]), dataset.classes, False)
    method = SERVERS[str(cell.labels["defence"])]
    until = SECONDS_PER_UPDATE * config.experiment.aggregations
    found = follow(method, config, dataset, until, adversary, watch=adversary.observe)
    return harm(found.population, found.final, adversary.attackers)


def _servers(seeds: range, partitions: Sequence[str], attacks: Sequence[str], *more: str) -> list[Cell]:
    return [
        _cell(seed, HUNDRED, partition, attack, defence, *more)
        for seed in seeds
        for partition in partitions
        for defence in SERVERS
        for attack in attacks
    ]


def _unseen(seeds: range, worlds: Sequence[str]) -> list[Cell]:
    return [
        _cell(seed, world, partition, attack, defence)
        for world in worlds
        for seed in seeds
        for partition in ("iid", "shard")
        for defence in ADAPTED[:2]
        for attack in (NOBODY, *SCALINGS)
    ]
