"""The keys of the configuration, section by section, with their defaults, their meaning and their range."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from bflmec.learning.rules import AggregationRules

TOKEN = 10**18
"""Smallest units of one reward token."""


def number(default: float, least: float, most: float = float("inf")) -> Any:
    """A key with a range; both ends belong to it."""
    return field(default=default, metadata={"least": least, "most": most})


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What is run, for how long, with how many."""

    seed: int = number(1, 0)
    """Everything random follows from it: the same seed gives the same run."""
    clients: int = number(100, 1, 100_000)
    """n, clients."""
    edge_nodes: int = number(2, 1, 64)
    """m, edge nodes; two tolerate no crash, three tolerate one."""
    aggregations: int = number(100, 1)
    """Global updates after which the run ends."""
    horizon: float = number(1e6, 1)
    """Seconds of virtual time after which the run ends all the same."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """The data set and how it is spread over the clients."""

    dataset: str = "mnist"
    """mnist, digits, torchvision:NAME, or the name of a plug-in."""
    directory: str = ""
    """Where the data set lies or is put; empty: $BFLMEC_DATA, else the usual places."""
    partition: str = "dirichlet"
    """iid, dirichlet, shard, or the name of a plug-in."""
    alpha: float = number(0.3, 1e-3, 1e6)
    """Concentration of the Dirichlet partition; small values are far from IID."""
    shards: int = number(2, 1)
    """Shards sorted by class that each client gets in the shard partition."""
    samples_per_client: int = number(600, 2)
    """Samples of one client, held-out ones included."""
    holdout: float = number(0.1, 0.001, 0.9)
    """Share of them that only measures the client's own accuracy."""


@dataclass(frozen=True, kw_only=True)
class Learning:
    """The model and the local update of a client (Algorithm 2, Eq. II.2)."""

    model: str = "logistic"
    """logistic, mlp-200, mlp-200-200, cnn-small, cnn-mcmahan, torch:MODULE:FACTORY, torchvision:NAME, or a plug-in."""
    data_threshold: int = number(75, 1)
    """N, fresh samples that start a local update."""
    strict_threshold: bool = False
    """Ask for more than N samples, and for more than phi transactions, instead of at least as many."""
    learning_rate: float = number(0.01, 1e-9, 100.0)
    """eta."""
    epochs: int = number(5, 1)
    """E."""
    batch_size: int = number(10, 1)
    """B."""
    proximal: float = number(0.0, 0.0)
    """Weight of FedProx's proximal term; 0 for plain SGD."""
    anchor_search: Literal["latest", "walk"] = "latest"
    """Ask the ledger for the newest anchor, or walk block by block from the own one."""
    after_training: Literal["consume", "sliding", "accumulate"] = "consume"
    """What becomes of the samples that a local update was trained on."""
    sliding_window: int = number(300, 1)
    """Samples that a client holds when after_training is sliding."""
    start_from: Literal["anchor", "own"] = "anchor"
    """Where training starts when there is no newer global gradient."""


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What the contracts fix at deployment, and how edge nodes fill blocks."""

    aggregation_threshold: int = number(10, 1)
    """phi, local gradients since the anchor that make a global update due."""
    difficulty: int = number(4096, 1, 2**64)
    """Expected SHA-256 evaluations of a seal (Eq. II.3)."""
    base_reward: int = number(100, 0, 10**9)
    """base, tokens that a global update pays in all."""
    miner_reward: int = number(0, 0, 10**6)
    """Tokens for the edge node that seals a block."""
    max_transactions: int = number(200, 1, 4096)
    """Local gradients that a block can record."""
    per_client: int = number(2, 1)
    """Local gradients of one client that are recorded between two anchors."""
    omission_limit: int = number(8, 1)
    """Blocks after which one that leaves out a known local gradient finds no approval."""
    record_after: float = number(15.0, 0.0)
    """Seconds that a local gradient waits for others before it is recorded without them."""
    registration: Literal["allow-list", "open"] = "allow-list"
    """Who may register as a client."""
    archive: bool = True
    """Keep transaction sets and reward lists in contract storage too."""
    certificates: Literal["ecdsa", "xmss"] = "ecdsa"
    """How edge nodes sign blocks: ecdsa, or xmss for hash-based one-time keys, which are post-quantum."""
    tree_height: int = number(12, 4, 20)
    """With xmss: an edge node's tree has 2^tree_height one-time keys, a block takes one."""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The embedded proof-of-work chain."""

    chain_id: int = number(1337, 1, 2**53 - 1)
    """EIP-155 chain id."""
    difficulty: int = number(256, 1, 2**40)
    """Expected SHA-256 evaluations of a chain block's seal."""


@dataclass(frozen=True, kw_only=True)
class Signatures:
    """The clients' post-quantum signatures."""

    scheme: str = "ML-DSA-44"
    """ML-DSA-44, ML-DSA-65 or ML-DSA-87 (FIPS 204)."""
    backend: str = "cryptography"
    """cryptography (fast, randomised) or dilithium-py (pure Python, deterministic)."""


@dataclass(frozen=True, kw_only=True)
class World:
    """Virtual time: arrival of data, movement, coverage, latencies. Lengths in metres, times in seconds."""

    arrival_rate: float = number(1.0, 1e-6)
    """Samples a second that reach a client, on average."""
    arrival_spread: float = number(0.4, 0.0, 3.0)
    """Standard deviation of the logarithm of a client's own rate."""
    mobility: Literal["waypoint", "static"] = "waypoint"
    """Random waypoint between edge nodes, or always covered by one of them."""
    area: float = number(2000.0, 1.0)
    """Side of the square that clients move in."""
    coverage: float = number(900.0, 1.0)
    """Radius that an edge node covers."""
    speed_least: float = number(5.0, 0.01)
    """Speed of the slowest leg."""
    speed_most: float = number(20.0, 0.01)
    """Speed of the fastest leg."""
    pause: float = number(10.0, 0.0)
    """Longest rest at a waypoint."""
    outage_interval: float = number(0.0, 0.0)
    """Mean time between two outages of an edge node's radio; 0: none."""
    outage_length: float = number(30.0, 0.01)
    """Mean length of such an outage."""
    step_time: float = number(0.005, 0.0)
    """One SGD step on a client's device."""
    sign_time: float = number(0.085, 0.0)
    """One signature on a client's device."""
    verify_time: float = number(0.002, 0.0)
    """One verification at an edge node."""
    upload_latency: float = number(0.05, 0.0)
    """Fixed part of an upload."""
    upload_rate: float = number(250_000.0, 1.0)
    """Bytes a second of an upload."""
    upload_jitter: float = number(0.2, 0.0)
    """Mean of the exponential part of an upload."""
    exchange_latency: float = number(0.05, 0.0)
    """One message between edge nodes."""
    recompute_time: float = number(0.03, 0.0)
    """One global update at an edge node."""
    hash_rate: float = number(4096.0, 1.0)
    """SHA-256 evaluations a second of an edge node's nonce search."""
    append_time: float = number(1.0, 0.0)
    """From a complete certificate to the block in the ledger."""
    trace: str = ""
    """Replay arrivals, contacts and delays from this trace file."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """All sections. `preset` chose the defaults: `default`, or `paper` for the paper's literal reading."""

    preset: str = "default"
    experiment: Experiment = field(default_factory=Experiment)
    data: Data = field(default_factory=Data)
    learning: Learning = field(default_factory=Learning)
    aggregation: AggregationRules = field(default_factory=AggregationRules)
    ledger: Ledger = field(default_factory=Ledger)
    chain: Chain = field(default_factory=Chain)
    signatures: Signatures = field(default_factory=Signatures)
    world: World = field(default_factory=World)
