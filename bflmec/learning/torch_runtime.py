"""PyTorch for this package: one thread, deterministic algorithms, a random state of one's own, all given back after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

from bflmec.errors import MissingExtraError

_one_at_a_time = RLock()


def import_torch() -> Any:
    """The module `torch`. Raises MissingExtraError without it."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("this model needs PyTorch: pip install 'bflmec[torch]'") from error
    return torch


@contextmanager
def running(seed: int, threads: int) -> Iterator[None]:
    """PyTorch to oneself, with gradients, its global random state seeded, that many threads, and only algorithms that
    give the same bits again: one that can't raises RuntimeError. What was set before is set again after."""
    torch = import_torch()
    with _one_at_a_time, torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        warns, fills = torch.is_deterministic_algorithms_warn_only_enabled(), torch.utils.deterministic
        filled = fills.fill_uninitialized_memory
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        # Filling memory that is about to be written costs more than a small model's step.
        fills.fill_uninitialized_memory = False
        torch.random.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.use_deterministic_algorithms(before[1], warn_only=warns)
            fills.fill_uninitialized_memory = filled
