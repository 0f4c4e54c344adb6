"""What a ledger commits to at its deployment, computed from the configuration that its edge nodes start with."""

from __future__ import annotations

from bflmec.configuration.sections import TOKEN, Config
from bflmec.learning.blob import encode_blob
from bflmec.ledger.deployment import DeploymentParameters
from bflmec.simulation.assembly import rules_of, threshold_of
from bflmec.simulation.population import Population
from bflmec.storage.unixfs import cid_of


def deployment_parameters(config: Config, population: Population) -> DeploymentParameters:
    """The constructors' arguments. Edge nodes with another configuration or population refuse such a ledger."""
    return DeploymentParameters(
        difficulty=config.ledger.difficulty,
        aggregation_threshold=threshold_of(config),
        max_transactions=config.ledger.max_transactions,
        base_reward=config.ledger.base_reward * TOKEN,
        miner_reward=config.ledger.miner_reward * TOKEN,
        rules_digest=rules_of(config, population.model).digest,
        genesis=cid_of(encode_blob(population.model.spec, population.initial)),
        archive=config.ledger.archive,
        open_registration=config.ledger.registration == "open",
    )
