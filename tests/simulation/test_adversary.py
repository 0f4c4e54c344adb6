"""Malicious clients send what they make of their updates, and are judged by what the global update says."""

from __future__ import annotations

import numpy as np
from small_runs import SMALL, digits

from bflmec.configuration import load
from bflmec.experiments.attacked_world import NOBODY, adversary_of, attackers_reward, harm, run_attacked
from bflmec.experiments.light_world import LightWorld
from bflmec.simulation.adversary import Adversary
from bflmec.simulation.conduct import HONEST

WORLD = (*SMALL, "clients=10", "aggregation_threshold=10", "aggregations=4", "partition=iid", "arrival_spread=0")


def world_of(attack: str, moves: bool = False, attackers: list[int] | None = None) -> tuple[LightWorld, Adversary]:
    config = load(settings=WORLD)
    adversary = adversary_of(config, attack, 10, moves, attackers)
    return LightWorld.of(config, digits(), adversary), adversary


def test_nobody_attacking_is_the_honest_run_bit_for_bit() -> None:
    world, adversary = world_of(NOBODY)
    honest = LightWorld.of(load(settings=WORLD), digits(), HONEST)
    expected = [update.weights for _, update in honest.updates()]
    assert np.array_equal(run_attacked(world, adversary).weights, expected[-1])
    assert adversary.attackers == set()


def test_strong_scaling_is_found_and_paid_nothing() -> None:
    world, adversary = world_of("reverse")
    outcome = run_attacked(world, adversary)
    total = outcome.total()
    assert total.attacks > 0
    assert total.found == total.attacks
    assert total.false == 0
    assert attackers_reward(outcome, adversary.attackers, 10) == 0


def test_a_third_of_the_clients_attack_and_stay_who_they_are() -> None:
    world, adversary = world_of("sign-flip")
    before = set(adversary.attackers)
    run_attacked(world, adversary)
    assert len(before) == 3
    assert adversary.attackers == before


def test_crafty_attackers_move_on_when_they_are_found() -> None:
    world, adversary = world_of("reverse", moves=True)
    before = set(adversary.attackers)
    run_attacked(world, adversary)
    assert len(adversary.attackers) == 3
    assert adversary.attackers != before


def test_an_attacker_goes_on_with_its_own_true_weights() -> None:
    config = load(settings=[*WORLD, "start_from=own", "mobility=static"])
    adversary = adversary_of(config, "reverse", 10, False, [0])
    world = LightWorld.of(config, digits(), adversary)
    run_attacked(world, adversary)
    (attacker, *others) = world.simulation.held_weights()
    norms = [float(np.linalg.norm(own)) for own in others]
    assert np.linalg.norm(attacker) < 2 * max(norms)


def test_flooders_upload_more_often_and_everybody_s_gradients_are_counted() -> None:
    world, adversary = world_of("flooding", attackers=[1, 2, 3])
    outcome = run_attacked(world, adversary)
    rules = [process.client.rules.data_threshold for process in world.simulation.clients]
    assert rules == [20, 2, 2, 2, *[20] * 6]
    assert outcome.total().attacks > 0


def test_harm_is_measured_on_the_whole_and_on_the_weakest() -> None:
    world, _ = world_of(NOBODY)
    nothing_learnt = harm(world.population, np.zeros_like(world.population.initial), set())
    assert nothing_learnt["worst_recall"] == 0.0
    assert nothing_learnt["worst_decile"] <= nothing_learnt["accuracy"] < 0.2
    assert nothing_learnt["backdoor"] == 0.0
