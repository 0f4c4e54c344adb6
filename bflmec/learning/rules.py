"""Everything that the recomputation of a global update depends on, in one value that a ledger can commit to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from bflmec.errors import ConfigError

ALGORITHM_VERSION = 1
"""Grows with every change that could alter one bit of a global update."""

Mode = Literal["delta", "weights"]
HistoryOf = Literal["all", "accepted"]
Option = int | float | str


@dataclass(frozen=True, kw_only=True)
class AggregationRules:
    """The rules of contribution identification (Algorithm 4) and fair aggregation (Eq. II.4).

    The defaults are what measured best; `PAPER_RULES` is the paper's literal reading. Names are looked up in the
    registries when the rules are put to use. Raises ConfigError for impossible values.
    """

    mode: Mode = "delta"
    """What a local gradient is: the change since the anchor, or the trained weights themselves."""
    strategy: str = "discard"
    """What becomes of low contributions (registry `strategies`)."""
    theta: str = "mean-cosine"
    """The weight of a kept contribution (registry `thetas`)."""
    features: str = "direction-and-norm"
    """The distance between two local gradients (registry `features`)."""
    norm_weight: float = 4.0
    """Weight of the squared logarithmic norm ratio in `direction-and-norm`."""
    norm_cap: float | None = 1.1
    """Logarithmic norm ratios count as at most this in `direction-and-norm` (1.1: a factor of 3), so that one member
    at a huge distance can't make the others look alike; None: unbounded."""
    clustering: str = "linkage-gap"
    """The clustering algorithm (registry `clusterings`)."""
    gap: float = 1.2
    """`linkage-gap` cuts where the merge height grows by more than this factor."""
    eps: float | None = None
    """Neighbourhood radius of `dbscan`; None takes it from the distances."""
    min_samples: int | None = None
    """Neighbours (itself included) that make a core member in `dbscan`; None asks for more than half."""
    reference: str = "median"
    """The global gradient that is appended to the clustered set (registry `references`)."""
    combination: str = "fair"
    """How the kept local gradients become one: `fair` aggregation (Eq. II.4), or a robust statistic (registry
    `combinations`)."""
    require_majority: bool = True
    """Whether the global gradient's cluster has to hold more than half of the clustered set."""
    history: int = 60
    """So many other clients' newest local gradients of earlier global updates are clustered with the new ones."""
    history_of: HistoryOf = "all"
    """Whose: of all other clients, or of those whose newest one was high, so that clients who attacked once don't
    count towards a majority."""
    clip: float | None = 1.5
    """Bound on the norm of a delta that is aggregated, in medians of the accepted ones; None: unbounded."""
    k_min: int = 3
    """A global update with fewer kept clients leaves the model as it is and pays nobody."""
    base_reward: int = 100 * 10**18
    """Paid out by one global update, in the reward token's smallest units."""
    options: Mapping[str, Option] = field(default_factory=dict)
    """Constants of plug-ins from outside; part of what the ledger commits to."""

    def __post_init__(self) -> None:
        if self.mode not in ("delta", "weights"):
            raise ConfigError(f"mode must be 'delta' or 'weights', not {self.mode!r}")
        if self.history_of not in ("all", "accepted"):
            raise ConfigError(f"history_of must be 'all' or 'accepted', not {self.history_of!r}")
        if self.mode == "weights" and self.clip is not None:
            raise ConfigError("clip bounds deltas; set clip to none or mode to 'delta'")
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if name in _WHOLE and not isinstance(value, int | None):
                raise ConfigError(f"{name} must be a whole number, not {value!r}")
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise ConfigError(f"{name} must be between {low:g} and {high:g}, not {value!r}")
        for name, value in self.options.items():
            if not isinstance(value, int | float | str) or (isinstance(value, float) and not math.isfinite(value)):
                raise ConfigError(f"option {name!r} must be a finite number or a string, not {value!r}")
        object.__setattr__(self, "options", dict(sorted(self.options.items())))

    def canonical(self) -> dict[str, int | str]:
        """Plain integers and strings that say everything, for the ledger's `rulesDigest`; equal for equal rules only.

        Fractions are written in the shortest decimal form that gives them back.
        """
        plain: dict[str, int | str] = {"version": ALGORITHM_VERSION}
        for rule in fields(self):
            value = getattr(self, rule.name)
            # Younger than the first ledgers, so they are written where they differ: these keep their digest.
            is_as_ever = rule.name in _YOUNGER and value == _YOUNGER[rule.name]
            if rule.name != "options" and not is_as_ever:
                plain[rule.name] = (
                    repr(float(value)) if rule.name in _FRACTIONS and value is not None else _plain(value)
                )
        for name, value in self.options.items():
            plain[f"options.{name}"] = value if isinstance(value, int) else repr(value)
        return plain


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("norm_weight", 0, 1e6),
    ("norm_cap", 1e-3, 1e3),
    ("gap", 1, 1e6),
    ("eps", 0, 1e30),
    ("min_samples", 1, 1e6),
    ("history", 0, 1000),
    ("clip", 1e-3, 1e6),
    ("k_min", 1, 1000),
    ("base_reward", 0, 2**96 - 1),
)
_YOUNGER = {"combination": "fair", "history_of": "all"}
_WHOLE = frozenset({"min_samples", "history", "k_min", "base_reward"})
_FRACTIONS = frozenset({"norm_weight", "norm_cap", "gap", "eps", "clip"})

DEFAULT_RULES = AggregationRules()
PAPER_RULES = AggregationRules(
    mode="weights",
    theta="reference-distance",
    features="euclidean",
    clustering="dbscan",
    eps=0.5,
    min_samples=5,
    reference="mean",
    require_majority=False,
    history=0,
    clip=None,
    k_min=1,
)
PRESETS: Mapping[str, AggregationRules] = {"default": DEFAULT_RULES, "paper": PAPER_RULES}


def _plain(value: int | str | None) -> int | str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else int(value)
