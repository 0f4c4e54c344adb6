"""Settings that are fine one by one and impossible together."""

from __future__ import annotations

from bflmec.configuration.sections import Config
from bflmec.errors import ConfigError

ARCHIVE_LIMIT = 24_575
"""Bytes of transactions and rewards that one contract's code can archive (BlockArchive.sol)."""
TRANSACTION_SIZE, REWARD_SIZE = 86, 32


def check(config: Config) -> None:
    """Raises ConfigError for settings that are fine one by one and impossible together."""
    data, learning, ledger = config.data, config.learning, config.ledger
    held_out = min(max(1, round(data.holdout * data.samples_per_client)), data.samples_per_client - 1)
    own = data.samples_per_client - held_out
    if learning.data_threshold + learning.strict_threshold > own:
        raise ConfigError(
            f"data_threshold = {learning.data_threshold} can never be reached: a client has {own} samples to train on "
            "(samples_per_client without the held-out share); lower the one or raise the other"
        )
    if learning.batch_size > learning.data_threshold:
        raise ConfigError(
            f"batch_size = {learning.batch_size} is more than data_threshold = {learning.data_threshold} samples"
        )
    if config.aggregation.k_min > ledger.aggregation_threshold:
        raise ConfigError(
            f"k_min = {config.aggregation.k_min} distinct clients can't be found among aggregation_threshold = "
            f"{ledger.aggregation_threshold} local gradients; lower k_min or collect more"
        )
    if config.aggregation.k_min > config.experiment.clients:
        raise ConfigError(
            f"k_min = {config.aggregation.k_min} distinct clients can't be found among {config.experiment.clients}; "
            "lower k_min or raise clients"
        )
    threshold = ledger.aggregation_threshold + learning.strict_threshold
    if threshold > ledger.per_client * config.experiment.clients:
        raise ConfigError(
            f"aggregation_threshold = {threshold} can't be reached by {config.experiment.clients} "
            f"clients with {ledger.per_client} recorded local gradients each"
        )
    if config.world.speed_least > config.world.speed_most:
        raise ConfigError("speed_least must not be above speed_most")
    if learning.after_training == "sliding" and learning.sliding_window < learning.data_threshold:
        raise ConfigError("sliding_window must hold at least data_threshold samples")
    most_rewards = threshold - 1 + ledger.max_transactions
    largest = ledger.max_transactions * TRANSACTION_SIZE + most_rewards * REWARD_SIZE
    if ledger.archive and largest > ARCHIVE_LIMIT:
        raise ConfigError(
            f"a block of max_transactions = {ledger.max_transactions} can take {largest} bytes, the archive holds "
            f"{ARCHIVE_LIMIT}; lower max_transactions or set archive to false"
        )
