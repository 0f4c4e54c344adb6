"""Runs the experiment of a run directory, from its start or from its last block, and leaves everything readable."""

from __future__ import annotations

import resource
import shlex
import sys
import time
from pathlib import Path

from bflmec.configuration.sections import Config
from bflmec.errors import BFLMECError
from bflmec.learning.contribution import Label
from bflmec.learning.datasets import load_dataset
from bflmec.runs.directory import RunDirectory
from bflmec.runs.measured import measured
from bflmec.runs.metrics import BlockMetrics, MetricsWriter, Summary, UpdateMetrics, read_metrics
from bflmec.runs.progress import Progress
from bflmec.simulation.assembly import assemble
from bflmec.simulation.chain_consortium import ChainFiles, open_consortium
from bflmec.simulation.population import Population, create_population
from bflmec.simulation.simulation import AppendedBlock, Simulation
from bflmec.simulation.trace import Trace


def run(directory: RunDirectory, progress: Progress) -> Summary:
    """Runs to the configured number of global updates. The directory must be locked.

    A run that was interrupted before retraces its recorded blocks and goes on; one that has ended is left as it is.
    Whatever ends the run, trace, pictures and report of what is new are left behind. Raises BFLMECError for all that
    can go wrong.
    """
    config = directory.config()
    metrics = read_metrics(directory.metrics_file)
    measured(metrics)  # whoever reads the summary of an ended run reads these
    ended = metrics.summary
    if ended and ended.aggregations >= config.experiment.aggregations and directory.report_file.exists():
        progress.phase(f"nothing to do: this run has ended, with {ended.aggregations} global updates")
        progress.finished(ended)
        return ended
    try:
        summary = _run(config, directory, progress)
    except KeyboardInterrupt:
        progress.phase(f"interrupted; go on with: bflmec run --resume {shlex.quote(str(directory.path))}")
        raise
    progress.finished(summary)
    return summary


def _run(config: Config, directory: RunDirectory, progress: Progress) -> Summary:
    progress.phase(f"loading {config.data.dataset}")
    folder = Path(config.data.directory) if config.data.directory else None
    population = create_population(config, load_dataset(config.data.dataset, folder, progress.phase))
    progress.phase(
        f"chain and contracts, {config.experiment.clients} clients, {config.experiment.edge_nodes} edge nodes"
    )
    files = ChainFiles(directory.chain_file, directory.deployment_file, directory.blobs)
    with open_consortium(config, population, files) as opened:
        simulation = assemble(config, population, opened.consortium)
        opened.clock.follow(lambda: simulation.env.now)
        if opened.recording.height:
            progress.phase(f"retracing {opened.recording.height} recorded blocks")
        writer = MetricsWriter(directory.metrics_file, opened.recording.height)
        try:
            for appended in simulation.run(config.experiment.aggregations, config.experiment.horizon):
                progress.block(_measure(appended, simulation, population, writer))
            summary = _summary(simulation, writer)
            writer.summary(summary)
        finally:
            writer.close()
            if writer.has_written or not directory.report_file.exists():
                _leave_readable(directory, simulation.trace, progress)
    return summary


def _measure(
    appended: AppendedBlock, simulation: Simulation, population: Population, writer: MetricsWriter
) -> BlockMetrics:
    header, update = appended.block.header, appended.update
    if writer.has_next():
        return writer.skip(header.hash)
    measured = None
    if update is not None:
        high = sum(label is Label.HIGH for label in update.labels)
        measured = UpdateMetrics(
            accuracy=population.global_accuracy(update.weights),
            client_accuracy=population.mean_client_accuracy(simulation.held_weights()),
            outcome=str(update.outcome),
            high=high,
            low=len(update.labels) - high,
            rewards={reward.account.hex(): str(reward.amount) for reward in appended.block.rewards},
        )
    line = BlockMetrics(
        number=header.number,
        time=appended.time,
        hash=header.hash.hex(),
        edge_node=simulation.edge_node_id(header.edge_node),
        transactions=header.transaction_count,
        gas=appended.gas,
        update=measured,
    )
    writer.block(line)
    return line


def _summary(simulation: Simulation, writer: MetricsWriter) -> Summary:
    blocks = writer.blocks
    updates = [block.update for block in blocks if block.update is not None]
    # The kernel counts in kilobytes, but for macOS, which counts in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return Summary(
        aggregations=len(updates),
        blocks=len(blocks),
        local_gradients=sum(block.transactions for block in blocks),
        time=blocks[-1].time,
        accuracy=updates[-1].accuracy,
        client_accuracy=updates[-1].client_accuracy,
        rewards=str(sum(int(amount) for update in updates for amount in update.rewards.values())),
        cpu_seconds=time.process_time(),
        peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
        measurements=simulation.measurements.summary(),
    )


def _leave_readable(directory: RunDirectory, trace: Trace, progress: Progress) -> None:
    """Trace, pictures and report of what there is. What can't be made is told: it can be made again by resuming, and
    must not hide why the run ended."""
    from bflmec.runs.figures import draw
    from bflmec.runs.report import write_report

    try:
        trace.write(directory.trace_file)
        draw(directory)
        write_report(directory)
    except (BFLMECError, OSError) as error:
        progress.phase(f"trace, pictures and report are not complete: {error}")
