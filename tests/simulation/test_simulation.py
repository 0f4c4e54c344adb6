"""Whole runs in virtual time, on the protocol's own objects and scikit-learn's digits."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from small_runs import Run, prepare, real, run

from bflmec.errors import ConfigError, DataError
from bflmec.protocol.blocks import SealedBlock

EVERYWHERE = ("coverage=5000", "mobility=static")


def learned(played: Run) -> list[tuple[float, bytes, tuple[object, ...]]]:
    """What a run came to, leaving out what signatures are part of."""
    return [(appended.time, appended.block.header.global_digest, appended.block.rewards) for appended in played.blocks]


def blocks_of(played: Run) -> list[SealedBlock]:
    return [appended.block for appended in played.blocks]


@pytest.fixture(scope="module")
def standard() -> Run:
    return run()


# ---------------------------------------------------------------- repeatable


def test_the_same_seed_gives_the_same_blocks(standard: Run) -> None:
    assert run().hashes == standard.hashes


def test_another_seed_gives_another_run(standard: Run) -> None:
    assert learned(run("seed=2")) != learned(standard)


def test_random_signatures_change_blocks_and_nothing_else() -> None:
    first, second = run(consortium=real), run(consortium=real)
    assert first.hashes != second.hashes
    assert learned(first) == learned(second)


def test_the_deterministic_backend_gives_every_byte_again() -> None:
    settings = ("backend=dilithium-py", "clients=4", "aggregation_threshold=3", "aggregations=1")
    assert run(*settings, consortium=real).hashes == run(*settings, consortium=real).hashes


def test_walking_to_the_anchor_gives_the_same_run_as_asking_for_it(standard: Run) -> None:
    assert run("anchor_search=walk").hashes == standard.hashes


def test_a_recorded_world_gives_the_same_run(standard: Run, tmp_path: Path) -> None:
    standard.simulation.trace.write(tmp_path / "trace.jsonl")
    assert run(f"trace={tmp_path / 'trace.jsonl'}").hashes == standard.hashes


def test_two_algorithms_can_see_the_same_world(standard: Run, tmp_path: Path) -> None:
    standard.simulation.trace.write(tmp_path / "trace.jsonl")
    other = run(f"trace={tmp_path / 'trace.jsonl'}", "learning_rate=0.05", "aggregations=2")
    assert [appended.time for appended in other.blocks] == [a.time for a in standard.blocks][: len(other.blocks)]
    assert other.hashes != standard.hashes[: len(other.blocks)]


def test_a_run_does_not_outlast_its_recorded_world(tmp_path: Path) -> None:
    run("aggregations=1").simulation.trace.write(tmp_path / "trace.jsonl")
    with pytest.raises(DataError, match="ends before the run does"):
        run(f"trace={tmp_path / 'trace.jsonl'}", "aggregations=9")


# ---------------------------------------------------------------- what a run leaves in the ledger


def test_blocks_follow_each_other(standard: Run) -> None:
    blocks = blocks_of(standard)
    assert [block.header.number for block in blocks] == list(range(1, len(blocks) + 1))
    assert all(later.header.parent == earlier.header.hash for earlier, later in pairwise(blocks))
    assert all(later.time >= earlier.time for earlier, later in pairwise(standard.blocks))


def test_a_run_ends_with_the_global_update_that_was_asked_for(standard: Run) -> None:
    assert sum(block.header.is_global_update for block in blocks_of(standard)) == 3
    assert standard.blocks[-1].update is not None


def test_a_local_gradient_is_recorded_once(standard: Run) -> None:
    sequences = [(header.client, header.sequence) for header in standard.headers]
    assert len(set(sequences)) == len(sequences)


def test_each_global_update_takes_in_as_many_as_the_threshold_asks_for(standard: Run) -> None:
    since = 0
    for block in blocks_of(standard):
        since += block.header.transaction_count
        assert block.header.is_global_update == (since >= 4)
        since = 0 if block.header.is_global_update else since


def test_the_strict_threshold_asks_for_one_more() -> None:
    since = 0
    for block in blocks_of(run("strict_threshold=true")):
        since += block.header.transaction_count
        assert block.header.is_global_update == (since > 4)
        since = 0 if block.header.is_global_update else since


def test_rewards_sum_to_the_base_or_to_nothing(standard: Run) -> None:
    base = standard.consortium.parameters.base_reward
    for block in blocks_of(standard):
        assert sum(reward.amount for reward in block.rewards) in ((0, base) if block.header.is_global_update else (0,))


def test_all_edge_nodes_end_in_the_same_state(standard: Run) -> None:
    first, second = (process.node for process in standard.simulation.edge_nodes)
    assert first.state == second.state
    assert first.assembler.aggregator.weights.tobytes() == second.assembler.aggregator.weights.tobytes()


def test_nobody_is_rejected_in_a_healthy_world(standard: Run) -> None:
    assert [process.rejected for process in standard.simulation.edge_nodes] == [[], []]
    assert all(process.rejections == [] for process in standard.simulation.clients)


# ---------------------------------------------------------------- the paper's quantities


@pytest.mark.parametrize("settings", [(), ("coverage=300",), ("edge_nodes=3", "data_threshold=10")])
def test_average_delay_and_concurrency_obey_the_relation_of_theorem_1(settings: tuple[str, ...]) -> None:
    measured = run(*settings).simulation.measurements.asynchrony()
    assert measured.delay == pytest.approx(measured.predicted_delay, rel=1e-12)
    assert 0 < measured.concurrency <= measured.concurrency_max <= 8 * 3


def test_steps_are_recorded_local_gradients(standard: Run) -> None:
    recorded = sum(block.header.transaction_count for block in blocks_of(standard))
    assert standard.simulation.measurements.asynchrony().steps == recorded


def test_every_part_of_the_latency_is_measured(standard: Run) -> None:
    assert list(standard.simulation.measurements.latencies()) == [
        "T_local",
        "T_sign",
        "T_up",
        "T_ex",
        "T_gl",
        "T_bl",
    ]


# ---------------------------------------------------------------- disconnections, outages, races


def test_who_was_disconnected_sends_the_average_of_its_updates() -> None:
    played = run("coverage=200", "data_threshold=10", "aggregations=4")
    assert played.simulation.measurements.updates_averaged > 0
    assert max(header.updates for header in played.headers) > 1


def test_uploads_that_are_cut_off_are_made_good_for() -> None:
    played = run("upload_rate=100", "coverage=300", "aggregations=2", "data_threshold=5", "batch_size=5")
    assert played.simulation.measurements.uploads_cut_off > 0
    sequences = [(header.client, header.sequence) for header in played.headers]
    assert len(set(sequences)) == len(sequences)


def test_the_next_edge_node_is_used_while_the_nearest_is_down() -> None:
    played = run(*EVERYWHERE, "outage_interval=5", "outage_length=20", "aggregations=4")
    assert played.simulation.measurements.uploads_failed > 0
    nearest = {client.account: index % 2 + 1 for index, client in enumerate(played.consortium.clients)}
    entries = [entry for block in blocks_of(played) for entry in block.transactions]
    assert {entry.receiver == nearest[entry.client] for entry in entries} == {True, False}


def test_without_outages_the_nearest_edge_node_is_used() -> None:
    played = run(*EVERYWHERE)
    nearest = {client.account: index % 2 + 1 for index, client in enumerate(played.consortium.clients)}
    assert all(entry.receiver == nearest[entry.client] for block in blocks_of(played) for entry in block.transactions)


@pytest.mark.parametrize("edge_nodes", [1, 2, 3])
def test_any_number_of_edge_nodes_works(edge_nodes: int) -> None:
    played = run(f"edge_nodes={edge_nodes}")
    states = [process.node.state for process in played.simulation.edge_nodes]
    assert len(states) == edge_nodes
    assert all(state == states[0] for state in states)
    assert states[0].number == len(played.blocks)


def test_edge_nodes_race_and_stay_consistent() -> None:
    played = run("edge_nodes=3", "exchange_latency=2", "ledger.difficulty=16", "aggregations=5")
    processes = played.simulation.edge_nodes
    assert sum(process.sealed for process in processes) > len(played.blocks)
    assert len({block.header.edge_node for block in blocks_of(played)}) > 1
    assert all(process.node.state == processes[0].node.state for process in processes)


def test_edge_nodes_fetch_what_a_block_brings_before_its_announcement() -> None:
    played = run(
        "edge_nodes=3", "verify_time=30", "ledger.difficulty=1", "append_time=0", "record_after=0", "aggregations=4"
    )
    processes = played.simulation.edge_nodes
    assert all(process.node.state == processes[0].node.state for process in processes)
    assert sum(process.sealed for process in processes) >= len(played.blocks)


# ---------------------------------------------------------------- learning


def test_a_client_learns_digits_from_others_without_their_data() -> None:
    played = run(
        "clients=20", "samples_per_client=70", "data_threshold=30", "aggregation_threshold=10", "aggregations=40"
    )
    assert played.accuracy > 0.75


def test_the_papers_preset_runs() -> None:
    played = run("preset=paper", "aggregation_threshold=4", "data_threshold=20")
    assert sum(block.header.is_global_update for block in blocks_of(played)) == 3


@pytest.mark.parametrize("after_training", ["consume", "sliding", "accumulate"])
def test_all_that_can_become_of_samples_runs(after_training: str) -> None:
    assert len(run(f"after_training={after_training}", "aggregations=2").blocks) >= 2


# ---------------------------------------------------------------- runs that can't end


def test_a_run_without_contacts_ends_at_its_horizon() -> None:
    with pytest.raises(ConfigError, match="only 0 of 3 global updates"):
        run("coverage=1", "area=1e6", "horizon=20000")


def test_a_run_can_be_stopped_after_any_block() -> None:
    prepared = prepare()
    blocks = prepared.simulation.run(3, 1e6)
    assert next(blocks).block.header.number == 1
    blocks.close()  # type: ignore[attr-defined]
