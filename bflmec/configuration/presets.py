"""Named sets of defaults."""

from __future__ import annotations

from dataclasses import replace

from bflmec.configuration.sections import Config
from bflmec.errors import ConfigError
from bflmec.learning.rules import PRESETS as AGGREGATION_PRESETS
from bflmec.registry import nearest

DEFAULT = Config()
PAPER = replace(
    DEFAULT,
    preset="paper",
    data=replace(DEFAULT.data, partition="shard"),
    learning=replace(DEFAULT.learning, strict_threshold=True, after_training="accumulate", start_from="own"),
    aggregation=AGGREGATION_PRESETS["paper"],
    ledger=replace(DEFAULT.ledger, aggregation_threshold=5),
)
PRESETS = {"default": DEFAULT, "paper": PAPER}


def preset(name: str) -> Config:
    """The configuration of that preset. Raises ConfigError with the nearest known name."""
    if name not in PRESETS:
        raise ConfigError(f"no preset {name!r}; {nearest(name, list(PRESETS))}")
    return PRESETS[name]
