"""The contracts and a small model of them, driven side by side through anything that may happen in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

import hypothesis.strategies as st
from consortium import (
    RAW,
    Append,
    Chain,
    Consortium,
    account,
    certify,
    digest,
    edge_node_key,
    entry,
    reverts,
    share,
)
from eth_keys.datatypes import PrivateKey
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

THRESHOLD, BASE, MINER = 4, 1000, 7
CLIENTS = 6


@dataclass
class Model:
    """What the ledger, its quorum and its token must hold."""

    hashes: list[bytes]
    pending: int = 0
    anchors: list[int] = field(default_factory=lambda: [0])
    owed: dict[bytes, int] = field(default_factory=dict)
    claimed: dict[bytes, int] = field(default_factory=dict)

    def append(self, block: Append, count: int, rewards: dict[bytes, int]) -> None:
        self.hashes.append(block.header.hash)
        self.pending += count
        if self.pending >= THRESHOLD:
            self.pending = 0
            self.anchors.append(len(self.hashes) - 1)
        for account_, amount in [*rewards.items(), (block.header.edge_node, MINER)]:
            self.owed[account_] = self.owed.get(account_, 0) + amount

    @property
    def total(self) -> int:
        return sum(self.owed.values())


Spoil = Callable[[Consortium, Append], Append]


def resealed(consortium: Consortium, block: Append, **changes: object) -> Append:
    return consortium.seal(replace(block.header, **changes), block.transactions, block.rewards)


# Each makes a valid block invalid, and names the error that says so.
SPOILS: dict[str, tuple[str, Spoil]] = {
    "another parent": ("LedgerParentMismatch", lambda c, b: resealed(c, b, parent=digest("stray"))),
    "a number left out": ("LedgerNumberMismatch", lambda c, b: resealed(c, b, number=b.header.number + 1)),
    "one transaction less": ("LedgerTransactionsLength", lambda c, b: replace(b, transactions=b.transactions[86:])),
    "a changed transaction": (
        "LedgerTransactionsHashMismatch",
        lambda c, b: replace(b, transactions=b.transactions[:-1] + bytes([b.transactions[-1] ^ 1])),
    ),
    "an anchor of its own": ("LedgerAnchorMismatch", lambda c, b: resealed(c, b, anchor=b.header.number + 1)),
    "a foreign codec": ("LedgerUnknownCodec", lambda c, b: resealed(c, b, global_codec=b.header.global_codec ^ 1)),
    "half a reward": ("LedgerRewardsLength", lambda c, b: replace(b, rewards=b.rewards + bytes(16))),
    "a total too high": (
        "LedgerRewardsTotalMismatch",
        lambda c, b: resealed(c, b, rewards_total=b.header.rewards_total + 1),
    ),
    "a minority": (
        "LedgerQuorumMissed",
        lambda c, b: replace(b, certificate=certify(b.header.hash, c.keys[: len(c.keys) // 2])),
    ),
    "a foreign signature": (
        "ParticipantsNotActive",
        lambda c, b: replace(b, certificate=certify(b.header.hash, [*c.keys, edge_node_key(999)])),
    ),
    "a doubled signature": (
        "CertificatesNotAscending",
        lambda c, b: replace(b, certificate=2 * entry(b.header.hash, c.keys[0])),
    ),
    "no certificate": ("CertificatesMalformed", lambda c, b: replace(b, certificate=b"")),
}


@cache
def shared_chain() -> Chain:
    return Chain.start()


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.chain = shared_chain()
        self.snapshot = self.chain.tester.take_snapshot()
        self.admitted = 0

    def teardown(self) -> None:
        self.chain.tester.revert_to_snapshot(self.snapshot)

    @initialize(edge_nodes=st.integers(1, 4), archive=st.booleans())
    def found(self, edge_nodes: int, archive: bool) -> None:
        self.consortium = Consortium.found(
            self.chain,
            edge_nodes,
            difficulty=2,
            aggregationThreshold=THRESHOLD,
            baseReward=BASE,
            minerReward=MINER,
            archive=archive,
        )
        self.admitted = edge_nodes
        self.ids = {key: index + 1 for index, key in enumerate(self.consortium.keys)}
        self.model = Model([self.consortium.ledger.functions.head().call()[0]])

    def block(self, count: int, kept: int, majority: bool = False) -> tuple[Append, dict[bytes, int]]:
        is_update = self.model.pending + count >= THRESHOLD
        kept = min(kept, self.model.pending + count)
        rewards = share(BASE, kept) if is_update and kept else ()
        keys = self.consortium.keys[: len(self.consortium.keys) // 2 + 1] if majority else None
        block = self.consortium.block(count, rewards, keys)
        return block, {reward.account: reward.amount for reward in rewards}

    @rule(count=st.integers(1, 5), kept=st.integers(0, CLIENTS), majority=st.booleans())
    def append(self, count: int, kept: int, majority: bool) -> None:
        block, rewards = self.block(count, kept, majority)
        self.consortium.append(block)
        self.model.append(block, count, rewards)

    @rule(count=st.integers(1, 5), first=st.booleans())
    def race(self, count: int, first: bool) -> None:
        block, _ = self.block(count, 0)
        rival = resealed(self.consortium, block, body_digest=digest("rival", block.header.number))
        winner, loser = (block, rival) if first else (rival, block)
        self.consortium.append(winner)
        self.model.append(winner, count, {})
        with reverts("LedgerNumberMismatch"):
            self.consortium.append(loser)

    @rule(count=st.integers(1, 5), kept=st.integers(0, CLIENTS), spoil=st.sampled_from(sorted(SPOILS)))
    def append_spoiled(self, count: int, kept: int, spoil: str) -> None:
        error, change = SPOILS[spoil]
        if spoil == "a minority" and len(self.consortium.keys) == 1:
            return  # of one edge node there is no minority to sign
        block = change(self.consortium, self.block(count, kept)[0])
        with reverts(error):
            self.consortium.append(block)

    @rule(count=st.integers(1, 5))
    def append_without_or_with_an_update_at_the_wrong_time(self, count: int) -> None:
        block, _ = self.block(count, 0)
        if block.header.is_global_update:
            error, changes = "LedgerGlobalUpdateDue", {"global_digest": bytes(32), "global_codec": 0}
        else:
            error, changes = "LedgerGlobalUpdateNotDue", {"global_digest": digest("early"), "global_codec": RAW}
        with reverts(error):
            self.consortium.append(resealed(self.consortium, block, **changes))

    @precondition(lambda self: len(self.consortium.keys) < 6)
    @rule()
    def admit(self) -> None:
        key = edge_node_key(self.admitted)
        self.admitted += 1
        self.ids[key] = self.consortium.admit(key)
        assert self.ids[key] == self.admitted

    @precondition(lambda self: len(self.consortium.keys) > 1)
    @rule(data=st.data())
    def retire(self, data: st.DataObject) -> None:
        key: PrivateKey = data.draw(st.sampled_from(self.consortium.keys), label="edge node")
        self.chain.send(self.consortium.participants.functions.retireEdgeNode(self.ids[key]))
        self.consortium.keys.remove(key)

    @rule(index=st.integers(0, CLIENTS - 1))
    def claim(self, index: int) -> None:
        self.claim_for(account(index))

    @rule(data=st.data())
    def claim_as_miner(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.consortium.keys), label="edge node")
        self.claim_for(key.public_key.to_canonical_address())

    def claim_for(self, account_: bytes) -> None:
        owed = self.model.owed.get(account_, 0)
        if not owed:
            with reverts("RewardTokenInvalidProof"):
                self.chain.send(self.consortium.token.functions.claim(account_, 1, []))
        elif owed == self.model.claimed.get(account_, 0):
            with reverts("RewardTokenAlreadyClaimed", account_, owed):
                self.consortium.claim(account_)
        else:
            self.consortium.claim(account_)
            self.model.claimed[account_] = owed

    @invariant()
    def heads_and_anchors_agree(self) -> None:
        read, model = self.consortium.ledger.functions, self.model
        number = len(model.hashes) - 1
        assert read.head().call() == [model.hashes[-1], number, model.anchors[-1], model.pending]
        assert read.anchorCount().call() == len(model.anchors)
        assert read.anchorAt(len(model.anchors) - 1).call() == read.latestAnchor().call()
        assert read.latestAnchor().call()[0] == model.anchors[-1]

    @invariant()
    def rewards_are_conserved(self) -> None:
        total = self.consortium.ledger.functions.rewards().call()[1]
        supply = self.consortium.token.functions.totalSupply().call()
        assert total == self.model.total == sum(self.consortium.balances.values())
        assert supply == sum(self.model.claimed.values()) <= total

    @invariant()
    def quorum_follows_the_edge_nodes(self) -> None:
        active = self.consortium.participants.functions.activeEdgeNodes().call()
        assert active == len(self.consortium.keys)


LedgerMachine.TestCase.settings = settings(max_examples=8, stateful_step_count=12, deadline=None)
TestLedgerMachine = LedgerMachine.TestCase
