"""Who learns what: data set, shares of the clients, model, and the trainer that runs their local updates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bflmec.configuration.sections import Config
from bflmec.consortium.genesis import Genesis, create_genesis
from bflmec.consortium.shares import shares_of
from bflmec.learning.datasets import Dataset
from bflmec.learning.evaluation import HeldOut, accuracy, client_accuracies
from bflmec.learning.local_update import LocalUpdateRules
from bflmec.learning.models import Model
from bflmec.learning.partition import hold_out
from bflmec.simulation.training import Trainer

_HOLDOUT = 1
"""Sets the draw of the held-out samples apart from a run's other ones."""


@dataclass(frozen=True)
class Population:
    """The learning side of a run; `initial` is the genesis global gradient, (P,) float32."""

    dataset: Dataset
    genesis: Genesis
    trainer: Trainer
    held_out: HeldOut

    @property
    def model(self) -> Model:
        return self.genesis.model

    @property
    def initial(self) -> NDArray[np.float32]:
        return self.genesis.initial

    def global_accuracy(self, weights: NDArray[np.float32]) -> float:
        """Accuracy on the data set's test samples."""
        return accuracy(self.model, weights, self.dataset.test_x, self.dataset.test_y)

    def mean_client_accuracy(self, held: list[NDArray[np.float32] | None]) -> float:
        """The paper's sum of acc_i / n: each client on its held-out samples, with the weights that it holds."""
        weights = [self.initial if own is None else own for own in held]
        return float(client_accuracies(self.model, weights, self.held_out).mean())


def create_population(config: Config, dataset: Dataset) -> Population:
    """Divides the data set among the clients. Raises ConfigError or DataError if it can't be done."""
    data, learning = config.data, config.learning
    parts = shares_of(config, dataset.train_y, config.experiment.clients)
    rng = np.random.default_rng([config.experiment.seed, 0xDA7A, _HOLDOUT])
    divided = [hold_out(rng, part, data.holdout) for part in parts]
    genesis = create_genesis(config, dataset.features, dataset.classes)
    rules = LocalUpdateRules(learning.learning_rate, learning.epochs, learning.batch_size, learning.proximal)
    return Population(
        dataset=dataset,
        genesis=genesis,
        trainer=Trainer(genesis.model, dataset, [part.train for part in divided], rules, config.experiment.seed),
        held_out=HeldOut.of(dataset.train_x, dataset.train_y, [part.held_out for part in divided]),
    )
