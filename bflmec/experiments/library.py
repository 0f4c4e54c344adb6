"""Data sets, loaded once: worker processes are forked afterwards and share the memory."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from bflmec.configuration import Config
from bflmec.learning.datasets import Dataset, load_dataset


@cache
def _loaded(name: str, folder: str) -> Dataset:
    return load_dataset(name, Path(folder) if folder else None)


def dataset_of(config: Config) -> Dataset:
    """The configuration's data set. Raises like `load_dataset`."""
    return _loaded(config.data.dataset, config.data.directory)
