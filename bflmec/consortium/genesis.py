"""The model that a ledger's participants train, and its genesis global gradient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bflmec.configuration.sections import Config
from bflmec.learning.blob import encode_blob
from bflmec.learning.datasets import dataset_shape
from bflmec.learning.models import Model, create_model

_PURPOSE = 2
"""Sets the draw of the start weights apart from a run's other ones."""


@dataclass(frozen=True, eq=False)
class Genesis:
    """The model, and `initial` (P,) float32, the global gradient of block 0."""

    model: Model
    initial: NDArray[np.float32]

    @property
    def blob(self) -> bytes:
        """The genesis global gradient as it is stored."""
        return encode_blob(self.model.spec, self.initial)


def create_genesis(config: Config, features: int, classes: int) -> Genesis:
    """The genesis of a ledger whose samples have so many features and classes; a function of the configuration alone.

    Raises ConfigError for an unknown model or one that does not fit, MissingExtraError for one that needs PyTorch.
    """
    model = create_model(config.learning.model, features, classes)
    return Genesis(model, model.init(np.random.default_rng([config.experiment.seed, 0xDA7A, _PURPOSE])))


def genesis_of(config: Config) -> Genesis:
    """The genesis that the configuration names. Loads the data set only if it is a plug-in, for its shape."""
    folder = Path(config.data.directory) if config.data.directory else None
    return create_genesis(config, *dataset_shape(config.data.dataset, folder))
