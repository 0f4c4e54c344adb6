"""All experiments, in the order of the report."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from bflmec.experiments.experiment import Experiment, experiments
from bflmec.experiments.sweep import Sweep

ORDER = (
    "table2",
    "thresholds",
    "attacks",
    "baselines",
    "rewards",
    "privacy",
    "convergence",
    "latency",
    "ablation",
    "scale",
)


def experiment(name: str) -> Experiment:
    """The experiment of that name, ours or a plug-in's, or the sweep in the TOML file of that path.

    Raises ConfigError that names the nearest known one, or what is wrong with the file.
    """
    if name.endswith(".toml"):
        return Sweep.read(Path(name))
    for known in ORDER:
        import_module(f"bflmec.experiments.{known}")
    return experiments.get(name)()
