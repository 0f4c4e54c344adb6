"""The unit of work: one setting of one experiment with one seed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeAlias

from bflmec import __version__
from bflmec.configuration import Config, as_toml, load
from bflmec.learning.rules import ALGORITHM_VERSION

Value: TypeAlias = str | int | float | bool | None
Row: TypeAlias = dict[str, Value]
Tables: TypeAlias = dict[str, list[Row]]
"""Rows by the name of the table that they belong to."""


@dataclass(frozen=True)
class Cell:
    """One computation. `labels` tell it from the experiment's others, and stand in each row that comes of it;
    `settings` are configuration keys as for `bflmec run --set`."""

    experiment: str
    labels: Mapping[str, Value]
    seed: int
    settings: tuple[str, ...] = ()
    revision: int = field(default=1, kw_only=True)
    """Grows when the experiment measures something else, so that nothing old is taken for new."""

    def config(self) -> Config:
        """Raises ConfigError if the settings don't fit."""
        return load(None, [*self.settings, f"seed={self.seed}"])

    @property
    def digest(self) -> str:
        """Names the cell's result: 32 hexadecimal digits over everything that it follows from."""
        parts = [
            __version__,
            ALGORITHM_VERSION,
            self.experiment,
            self.revision,
            dict(self.labels),
            self.seed,
            as_toml(self.config()),
        ]
        return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def title(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in {**self.labels, "seed": self.seed}.items())


@dataclass(frozen=True)
class Scope:
    """How much is computed: `quick` takes few settings, `seed_count` overrides the experiment's number of seeds."""

    quick: bool = False
    seed_count: int | None = None

    def seeds(self, quick: int, full: int) -> range:
        """The seeds of an experiment, from 1."""
        return range(1, 1 + (self.seed_count or (quick if self.quick else full)))
