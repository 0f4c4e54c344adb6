"""The rules that all edge nodes of a ledger share, and the digest by which the ledger commits to them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256

from bflmec.errors import ConfigError, RulesMismatchError
from bflmec.learning.pipeline import Pipeline
from bflmec.learning.rules import AggregationRules
from bflmec.protocol.messages import VERSION, Mode
from bflmec.protocol.sequence import WINDOW


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Everything that recomputation by another edge node depends on.

    `schemes` are the signature schemes that clients may use. `per_client` bounds how many local gradients of one client
    are recorded between two anchors. A block that leaves out what was known `omission_limit` blocks ago finds no
    approval. Without a `quorum` nobody recomputes on another machine, and plug-ins need not give the same bits there.
    """

    model: str
    parameters: int
    schemes: tuple[str, ...] = ("ML-DSA-44",)
    aggregation_threshold: int = 10
    per_client: int = 2
    omission_limit: int = 8
    aggregation: AggregationRules = field(default_factory=AggregationRules)
    quorum: bool = True

    def __post_init__(self) -> None:
        if self.aggregation_threshold < 1:
            raise ConfigError("aggregation_threshold must be at least 1")
        if self.per_client < 1 or self.omission_limit < 1:
            raise ConfigError("per_client and omission_limit must be at least 1")
        if self.aggregation.k_min > self.aggregation_threshold:
            raise ConfigError(
                f"k_min = {self.aggregation.k_min} distinct clients can't be kept out of "
                f"aggregation_threshold = {self.aggregation_threshold} local gradients; lower k_min or collect more"
            )
        pipeline = Pipeline.of(self.aggregation)
        if self.quorum:
            pipeline.require_deterministic()
        if not self.schemes:
            raise ConfigError("no signature scheme is allowed; name at least one")

    @property
    def mode(self) -> Mode:
        """What local gradients carry on this ledger."""
        return Mode[self.aggregation.mode.upper()]

    def canonical(self) -> bytes:
        """Sorted JSON of plain integers, strings and lists: the same bytes on every machine."""
        document = {
            "protocol": VERSION,
            "model": self.model,
            "parameters": self.parameters,
            "schemes": sorted(self.schemes),
            "aggregation_threshold": self.aggregation_threshold,
            "per_client": self.per_client,
            "omission_limit": self.omission_limit,
            "sequence_window": WINDOW,
            "aggregation": self.aggregation.canonical(),
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical form: the ledger's `rulesDigest`."""
        return sha256(self.canonical()).digest()

    def require(self, recorded: bytes) -> None:
        """Raises RulesMismatchError unless the ledger committed to these rules."""
        if recorded != self.digest:
            raise RulesMismatchError(
                f"these rules have the digest {self.digest.hex()}, the ledger committed to {recorded.hex()}; "
                "start with the configuration that the ledger was deployed with"
            )
