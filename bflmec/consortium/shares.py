"""Who of the clients gets which samples of a data set."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bflmec.configuration.sections import Config
from bflmec.learning.partition import create_partition
from bflmec.learning.schedule import Indices

_PURPOSE = 0
"""Sets the draw of the partition apart from a run's other ones."""


def shares_of(config: Config, labels: npt.NDArray[np.int64], clients: int) -> list[Indices]:
    """The training samples of each of so many clients; a function of the configuration and of `labels` (D,).

    Raises ConfigError if they are not enough.
    """
    data = config.data
    options: dict[str, dict[str, object]] = {"dirichlet": {"alpha": data.alpha}, "shard": {"k": data.shards}}
    partition = create_partition(data.partition, options.get(data.partition))
    return partition(
        np.random.default_rng([config.experiment.seed, 0xDA7A, _PURPOSE]), labels, clients, data.samples_per_client
    )
