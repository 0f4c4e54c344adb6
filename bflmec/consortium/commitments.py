"""What a ledger commits to at its deployment, computed from the configuration that its edge nodes start with."""

from __future__ import annotations

from bflmec.configuration.sections import TOKEN, Config
from bflmec.consortium.genesis import Genesis
from bflmec.consortium.rules import rules_of, threshold_of
from bflmec.ledger.deployment import DeploymentParameters
from bflmec.storage.unixfs import cid_of


def deployment_parameters(config: Config, genesis: Genesis) -> DeploymentParameters:
    """The constructors' arguments. Edge nodes with another configuration or genesis refuse such a ledger."""
    return DeploymentParameters(
        difficulty=config.ledger.difficulty,
        aggregation_threshold=threshold_of(config),
        max_transactions=config.ledger.max_transactions,
        base_reward=config.ledger.base_reward * TOKEN,
        miner_reward=config.ledger.miner_reward * TOKEN,
        rules_digest=rules_of(config, genesis.model).digest,
        genesis=cid_of(genesis.blob),
        archive=config.ledger.archive,
        open_registration=config.ledger.registration == "open",
        certificate_scheme=config.ledger.certificates,
    )
