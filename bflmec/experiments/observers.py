"""What somebody who watches can compute: other clients' deltas from rewards, samples from deltas, membership."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bflmec.errors import MissingExtraError
from bflmec.learning.local_update import LocalTask, LocalUpdateRules, local_update
from bflmec.learning.models import Model
from bflmec.simulation.conduct import Honest

Vector = NDArray[np.float32]
Labels = NDArray[np.int64]
Batch = tuple[Vector, Labels]


class Recorder(Honest):
    """Honest clients whose samples are remembered for judging attacks on them. With `clip` their deltas are cut to that
    length, then get Gaussian noise of `noise` times that length in every coordinate."""

    def __init__(self, seed: int, noise: float = 0.0, clip: float | None = None) -> None:
        self.batches: dict[bytes, list[Batch]] = {}
        self.uploads: dict[int, int] = defaultdict(int)
        self._noise = noise
        self._clip = clip
        self._rng = np.random.default_rng([seed, 0x0015E])
        self._pending: dict[int, list[Batch]] = defaultdict(list)

    def data(self, client: int, x: Vector, y: Labels) -> Batch:
        self._pending[client].append((x, y))
        return x, y

    def trained(self, client: int, base: Vector, weights: Vector) -> Vector:
        if self._clip is None:
            return weights
        delta: Vector = weights - base
        length = float(np.linalg.norm(delta))
        delta *= np.float32(min(1.0, self._clip / length) if length else 1.0)
        delta += np.float32(self._noise * self._clip) * self._rng.standard_normal(len(delta), np.float32)
        return base + delta

    def sent(self, client: int, gradient: bytes, updates: int) -> None:
        self.batches[gradient] = self._pending[client][:updates]
        del self._pending[client][:updates]
        self.uploads[client] += 1


@dataclass(frozen=True, eq=False)
class Observation:
    """One global update as the public sees it, and the deltas and samples behind it, by client account."""

    anchor: Vector
    step: Vector
    shares: Mapping[bytes, float]
    """p_i, from the reward list."""
    deltas: Mapping[bytes, Vector]
    batches: Mapping[bytes, Sequence[Batch]]


def seen_by(observer: str, target: bytes, found: Observation) -> Vector | None:
    """The observer's best estimate of the target's delta; None if it was not kept."""
    if target not in found.shares:
        return None
    others = [account for account in found.shares if account != target]
    if observer in ("edge node", "vanilla BFL"):
        return found.deltas[target]
    known = {"public": 0, "curious client": 1, "all but one": len(others)}[observer]
    rest, weight = found.step.astype(np.float64), 1.0
    for account in others[:known]:
        rest -= found.shares[account] * found.deltas[account]
        weight -= found.shares[account]
    estimate: Vector = (rest / weight).astype(np.float32)
    return estimate


OBSERVERS = ("public", "curious client", "all but one", "edge node", "vanilla BFL")


def relative_error(estimate: Vector, truth: Vector) -> float:
    """‖estimate − truth‖ / ‖truth‖."""
    return float(np.linalg.norm(estimate - truth) / (np.linalg.norm(truth) or 1.0))


def area_under_roc(members: Sequence[float], others: Sequence[float]) -> float:
    """How often a member has the higher score, ties counted half."""
    inside, outside = np.asarray(members), np.asarray(others)
    wins = (inside[:, None] > outside).sum() + 0.5 * (inside[:, None] == outside).sum()
    return float(wins / (len(inside) * len(outside)))


def gradient(model: Model, weights: Vector, x: Vector, y: Labels) -> NDArray[np.float64]:
    """Of the mean loss over these samples."""
    task = LocalTask(weights, x, y, np.random.default_rng(0))
    rules = LocalUpdateRules(learning_rate=1.0, epochs=1, batch_size=len(y))
    return weights.astype(np.float64) - local_update(model, task, rules)


def alignment(model: Model, weights: Vector, delta: Vector, x: Vector, y: Labels) -> list[float]:
    """For each sample the cosine of the delta to a step that would lower this sample's loss: high for members."""
    scores = []
    for index in range(len(y)):
        step = -gradient(model, weights, x[index : index + 1], y[index : index + 1])
        length = np.linalg.norm(step) * np.linalg.norm(delta)
        scores.append(float(step @ delta / length) if length else 0.0)
    return scores


def inverted(delta: Vector, classes: int, features: int) -> NDArray[np.float64]:
    """The inputs (K, F) that a logistic regression's delta gives away: for each class its change of weights over its
    change of bias, which for a single sample is the sample (Phong et al. 2018)."""
    bias, weights = delta[:classes].astype(np.float64), delta[classes:].reshape(classes, features)
    safe = np.where(np.abs(bias) > 1e-9, bias, np.inf)
    return np.asarray(weights / safe[:, None])


def best_match(images: NDArray[np.float64], x: Vector, mean: NDArray[np.float64]) -> float:
    """The greatest correlation of a reconstructed image with a sample, both without the mean image."""
    best = 0.0
    for image in images:
        if not image.any():
            continue
        a = image - mean
        b = x.astype(np.float64) - mean
        correlations = b @ a / (np.linalg.norm(b, axis=1) * np.linalg.norm(a) + 1e-12)
        best = max(best, float(correlations.max()))
    return best


def epsilon(noise: float, steps: int, delta: float = 1e-5) -> float:
    """ε of (ε, δ)-differential privacy of one client's uploads under the Gaussian mechanism, by Opacus' Rényi
    accountant; neighbours differ in one upload's whole data. Infinite without noise.

    Raises MissingExtraError without Opacus.
    """
    if not noise:
        return float("inf")
    try:
        from opacus.accountants.analysis.rdp import compute_rdp, get_privacy_spent
    except ImportError as error:
        raise MissingExtraError("the privacy experiment needs Opacus: pip install 'bflmec[experiments]'") from error
    orders = [1 + x / 100 for x in range(1, 100)] + [2 + x / 10 for x in range(100)] + list(range(12, 64))
    rdp = compute_rdp(q=1.0, noise_multiplier=noise, steps=steps, orders=orders)
    return float(get_privacy_spent(orders=orders, rdp=rdp, delta=delta)[0])
