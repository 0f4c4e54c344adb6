"""All methods run in one world, and come to what they are known for."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import DIGITS

from bflmec.configuration import load
from bflmec.experiments.library import dataset_of
from bflmec.experiments.methods import DEFENDED, METHODS, Trajectory, follow
from bflmec.simulation.servers import servers

ALL = {**METHODS, **DEFENDED}


def trajectory(name: str, until: float = 80.0) -> Trajectory:
    settings = ALL[name].settings
    preset = [setting for setting in settings if setting.startswith("preset=")]
    others = [setting for setting in settings if not setting.startswith("preset=")]
    config = load(settings=[*preset, *DIGITS, *others])
    return follow(ALL[name], config, dataset_of(config), until)


@pytest.mark.parametrize("name", ALL)
def test_every_method_moves_the_weights_within_its_time(name: str) -> None:
    found = trajectory(name, 150.0)
    times = [time for time, _ in found.versions]
    assert times == sorted(times)
    assert times[-1] <= 150
    assert np.isfinite(found.final).all()
    assert found.accuracy_at([0.0]) == found.accuracy_at([-1.0])
    assert found.samples >= found.uploads > 0


def test_a_replayed_world_gives_the_same_versions() -> None:
    first, second = trajectory("FedBuff"), trajectory("FedBuff")
    assert [time for time, _ in first.versions] == [time for time, _ in second.versions]
    assert np.array_equal(first.final, second.final)


def test_methods_with_one_server_see_the_uploads_of_the_same_clients_at_the_same_times() -> None:
    """What a method makes of an upload does not change when the next one comes."""
    buffered, mixed = trajectory("FedBuff"), trajectory("FedAsync")
    assert buffered.uploads == mixed.uploads
    assert {time for time, _ in buffered.versions} <= {time for time, _ in mixed.versions}


def test_every_server_is_one_of_the_methods() -> None:
    assert {method.server for method in ALL.values()} - {""} == set(servers.names())
