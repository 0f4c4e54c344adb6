"""What a ledger's participants have in common follows from the configuration alone."""

from __future__ import annotations

from bflmec.configuration import load
from bflmec.consortium.commitments import deployment_parameters
from bflmec.consortium.genesis import create_genesis, genesis_of
from bflmec.learning.datasets import dataset_shape, load_dataset


def test_genesis_needs_no_data_set() -> None:
    config = load(None, ["data.dataset=digits", "learning.model=mlp-200"])
    loaded = load_dataset("digits")
    assert genesis_of(config).blob == create_genesis(config, loaded.features, loaded.classes).blob


def test_known_shape_is_the_data_sets() -> None:
    loaded = load_dataset("digits")
    assert dataset_shape("digits") == (loaded.features, loaded.classes)


def test_commitments_follow_the_configuration() -> None:
    first, second = (load(None, ["learning.model=mlp-200", f"seed={seed}"]) for seed in (1, 2))
    assert deployment_parameters(first, genesis_of(first)) == deployment_parameters(first, genesis_of(first))
    assert deployment_parameters(first, genesis_of(first)) != deployment_parameters(second, genesis_of(second))
