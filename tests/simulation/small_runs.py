"""Runs of a few seconds of virtual time on scikit-learn's digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from dictionary_world import dictionary_consortium, repeatable

from bflmec.configuration import Config, load
from bflmec.learning.datasets import Dataset, load_dataset
from bflmec.protocol.messages import MAX_BODY, Body, GradientHeader, decode
from bflmec.simulation.assembly import Consortium, assemble
from bflmec.simulation.population import Population, create_population
from bflmec.simulation.simulation import AppendedBlock, Simulation
from bflmec.storage.cid import RAW, Cid

SMALL = (
    "dataset=digits",
    "clients=8",
    "samples_per_client=60",
    "data_threshold=20",
    "aggregation_threshold=4",
    "aggregations=3",
    "record_after=10",
)


@cache
def digits() -> Dataset:
    return load_dataset("digits")


@dataclass(frozen=True)
class Run:
    config: Config
    population: Population
    consortium: Consortium
    simulation: Simulation
    blocks: list[AppendedBlock]

    @property
    def hashes(self) -> list[str]:
        return [appended.block.header.hash.hex() for appended in self.blocks]

    @property
    def headers(self) -> list[GradientHeader]:
        """Of all recorded local gradients, in ledger order."""
        blobs = self.consortium.blobs
        bodies = [
            decode(Body, blobs.get(Cid(RAW, appended.block.header.body_digest), MAX_BODY)) for appended in self.blocks
        ]
        return [GradientHeader.decode(entry.header) for body in bodies for entry in body.entries]

    @property
    def accuracy(self) -> float:
        updates = [appended.update for appended in self.blocks if appended.update is not None]
        return self.population.global_accuracy(updates[-1].weights)


def prepare(*settings: str, consortium: Callable[[Consortium], Consortium] = repeatable) -> Run:
    """A run that has not begun; signatures are repeatable unless `consortium` says otherwise."""
    config = load(settings=[*SMALL, *settings])
    population = create_population(config, digits())
    members = consortium(dictionary_consortium(config, population))
    return Run(config, population, members, assemble(config, population, members), [])


def run(*settings: str, consortium: Callable[[Consortium], Consortium] = repeatable) -> Run:
    prepared = prepare(*settings, consortium=consortium)
    experiment = prepared.config.experiment
    prepared.blocks.extend(prepared.simulation.run(experiment.aggregations, experiment.horizon))
    return prepared


def real(consortium: Consortium) -> Consortium:
    """With ML-DSA signatures."""
    return consortium
