"""Malicious clients in a simulation: who they are, what they send, and whether they were found."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bflmec.learning.attacks import Attack, View
from bflmec.learning.contribution import Label
from bflmec.learning.global_update import GlobalUpdate
from bflmec.learning.rules import AggregationRules
from bflmec.protocol.blocks import Transaction
from bflmec.protocol.client import ClientRules

Vector = NDArray[np.float32]
Labels = NDArray[np.int64]

REMEMBERED = 20
"""Honest deltas that the attackers know of at a time."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a global update labelled one client's contribution, and whether there was an attack in it."""

    account: bytes
    attacked: bool
    found: bool


class Adversary:
    """A `Conduct` with a share of malicious clients.

    With `moves` an attacker that was found becomes honest and another client takes its place, so that their number
    stays (the paper's crafty attackers, §IV-C).
    """

    def __init__(
        self,
        attack: Attack,
        *,
        clients: int,
        attackers: Sequence[int],
        accounts: Sequence[bytes],
        rules: AggregationRules,
        classes: int,
        seed: int,
        moves: bool = False,
    ) -> None:
        self.attackers = set(attackers)
        self._attack = attack
        self._moves = moves
        self._classes = classes
        self._index = {account: index for index, account in enumerate(accounts)}
        self._rng = np.random.default_rng([seed, 0xA77AC4])
        self._honest: deque[Vector] = deque(maxlen=REMEMBERED)
        self._view = View(self._rng, rules, clients, len(self.attackers))
        self._unsent: dict[int, list[bool]] = defaultdict(list)
        self._attacked: dict[bytes, bool] = {}
        self._weights: Vector | None = None

    # ---------------------------------------------------------------- as a Conduct

    def rules(self, client: int, rules: ClientRules) -> ClientRules:
        if client not in self.attackers or self._attack.uploads == 1:
            return rules
        return replace(rules, data_threshold=max(1, rules.data_threshold // self._attack.uploads))

    def data(self, client: int, x: Vector, y: Labels) -> tuple[Vector, Labels]:
        return self._attack.poison(x, y, self._classes) if client in self.attackers else (x, y)

    def trained(self, client: int, base: Vector, weights: Vector) -> Vector:
        acts = client in self.attackers and len(self._honest) >= self._attack.needs_honest
        self._unsent[client].append(acts)
        if acts:
            self._view.honest = tuple(self._honest)
            return base + self._attack.craft(weights - base, self._view)
        if client not in self.attackers:
            self._honest.append(weights - base)
        return weights

    def sent(self, client: int, gradient: bytes, updates: int) -> None:
        self._attacked[gradient] = any(self._unsent[client][:updates])
        del self._unsent[client][:updates]

    # ---------------------------------------------------------------- between global updates

    def observe(self, weights: Vector) -> None:
        """Takes notice of a new global gradient, which everybody can see."""
        if self._weights is not None:
            self._view.step = weights - self._weights
        self._weights = weights

    def learn(self, update: GlobalUpdate, transactions: Sequence[Transaction]) -> list[Judgement]:
        """Takes notice of a global update over these transactions, everything since the anchor in ledger order.

        The judgements are in the order of its labels.
        """
        self.observe(update.weights)
        attacked: dict[bytes, bool] = {}
        for entry in transactions:
            attacked[entry.client] = attacked.get(entry.client, False) or self._attacked.pop(entry.gradient, False)
        judgements = [
            Judgement(account, was_attack, label is Label.LOW)
            for (account, was_attack), label in zip(attacked.items(), update.labels, strict=True)
        ]
        if self._moves:
            for judgement in judgements:
                if judgement.attacked and judgement.found:
                    self._move(self._index[judgement.account])
        return judgements

    def _move(self, client: int) -> None:
        honest = sorted(set(range(len(self._index))) - self.attackers)
        if client in self.attackers and honest:
            self.attackers.remove(client)
            self.attackers.add(int(self._rng.choice(honest)))
