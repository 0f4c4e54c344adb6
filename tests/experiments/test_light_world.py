"""A light world learns what the real one learns."""

import numpy as np
from simulation.small_runs import SMALL, digits, real, run

from bflmec.configuration import load
from bflmec.experiments.light_world import LightWorld, client_account, client_index


def test_same_times_same_global_gradients_and_same_labels_as_with_signatures_and_proof_of_work() -> None:
    settings = ("edge_nodes=3", "ledger.difficulty=64")
    full = [(a.time, a.update) for a in run(*settings, consortium=real).blocks if a.update is not None]
    light = list(LightWorld.of(load(settings=[*SMALL, *settings]), digits()).updates())
    assert [time for time, _ in light] == [time for time, _ in full]
    for (_, ours), (_, theirs) in zip(light, full, strict=True):
        assert np.array_equal(ours.weights, theirs.weights)
        assert ours.labels == theirs.labels


def test_the_same_seed_gives_the_same_run_and_another_one_another() -> None:
    def weights(seed: int) -> bytes:
        world = LightWorld.of(load(settings=[*SMALL, f"seed={seed}"]), digits())
        return b"".join(update.weights.tobytes() for _, update in world.updates())

    assert weights(1) == weights(1) != weights(2)


def test_accounts_are_numbered() -> None:
    assert [client_index(client_account(index)) for index in (0, 7, 99)] == [0, 7, 99]
    assert len(client_account(5)) == 20
