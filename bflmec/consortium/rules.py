"""The rules of edge nodes and clients, from the configuration."""

from __future__ import annotations

from bflmec.configuration.sections import Config
from bflmec.learning.models import Model
from bflmec.protocol.client import AfterTraining, AnchorSearch, ClientRules, StartFrom
from bflmec.protocol.messages import Mode
from bflmec.protocol.rules import Rules


def rules_of(config: Config, model: Model, *, quorum: bool = True) -> Rules:
    """The rules that all edge nodes of the ledger share. Only an experiment in one process goes without a quorum."""
    return Rules(
        model=config.learning.model,
        parameters=model.spec.size,
        schemes=(config.signatures.scheme,),
        aggregation_threshold=threshold_of(config),
        per_client=config.ledger.per_client,
        omission_limit=config.ledger.omission_limit,
        aggregation=config.aggregation,
        quorum=quorum,
    )


def threshold_of(config: Config) -> int:
    """The ledger asks for at least phi transactions; more than phi (Algorithm 3, line 19) is at least phi + 1."""
    return config.ledger.aggregation_threshold + config.learning.strict_threshold


def client_rules_of(config: Config) -> ClientRules:
    """How the clients of the ledger work."""
    learning = config.learning
    return ClientRules(
        data_threshold=learning.data_threshold,
        strict_threshold=learning.strict_threshold,
        mode=Mode[config.aggregation.mode.upper()],
        anchor_search=AnchorSearch(learning.anchor_search),
        after_training=AfterTraining(learning.after_training),
        sliding_window=max(learning.sliding_window, learning.data_threshold),
        start_from=StartFrom(learning.start_from),
    )
