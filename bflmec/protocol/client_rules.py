"""How a client works (Algorithm 2), by named options."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bflmec.errors import ConfigError
from bflmec.protocol.messages import Mode
from bflmec.protocol.pending import ATTEMPTS


class AnchorSearch(StrEnum):
    """How a client finds the newest global gradient: asks for it, or walks block by block from its own anchor."""

    LATEST = "latest"
    WALK = "walk"


class AfterTraining(StrEnum):
    """What becomes of the samples that a local update was trained on."""

    CONSUME = "consume"
    SLIDING = "sliding"
    ACCUMULATE = "accumulate"


class StartFrom(StrEnum):
    """Where training starts when there is no newer global gradient."""

    ANCHOR = "anchor"
    OWN = "own"


@dataclass(frozen=True, kw_only=True)
class ClientRules:
    """How a client works. `data_threshold` is N; `strict_threshold` asks for more than N samples (Algorithm 2, line 1)
    instead of at least N. At most `pending_limit` vectors are kept for updates that could not be sent."""

    data_threshold: int = 75
    strict_threshold: bool = False
    mode: Mode = Mode.DELTA
    anchor_search: AnchorSearch = AnchorSearch.LATEST
    after_training: AfterTraining = AfterTraining.CONSUME
    sliding_window: int = 300
    start_from: StartFrom = StartFrom.ANCHOR
    pending_limit: int = 32

    def __post_init__(self) -> None:
        if self.data_threshold < 1:
            raise ConfigError("data_threshold must be at least 1 sample")
        if self.sliding_window < self.data_threshold:
            raise ConfigError("sliding_window must hold at least data_threshold samples")
        if self.pending_limit < ATTEMPTS + 2:
            raise ConfigError(f"pending_limit must be at least {ATTEMPTS + 2} vectors")
