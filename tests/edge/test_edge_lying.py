"""One lying edge node of three: nothing wrong becomes final, and the honest two go on by themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from service_world import World, edge_keys, wait_until, world
from test_edge_exchange import feed, wait_for_agreement

from bflmec.edge.service import EdgeService
from bflmec.errors import EdgeBusyError, NotHeldError
from bflmec.protocol.block_assembler import Candidate
from bflmec.protocol.blocks import Transaction, transactions_hash
from bflmec.protocol.messages import Approval
from bflmec.transport.peer_messages import Announcements

LIAR = 2
OTHER_DIGEST = b"\x66" * 32


def forge(service: EdgeService, change: Callable[[Candidate], Candidate]) -> None:
    """Lets the edge node propose something else than it has computed, and certify it itself."""
    node: Any = service.node
    honest_candidate = node.candidate

    def seal(candidate: Candidate, nonce: int) -> tuple[Any, Approval]:
        block = candidate.sealed(nonce)
        entry = node.identity.certifier.sign(block.header.hash)
        return block, Approval(block.header.hash, node.identity.account, entry)

    node.candidate = lambda: change(honest_candidate())
    node.seal = seal


def wrong_global_digest(candidate: Candidate) -> Candidate:
    if candidate.update is None:
        return candidate
    return replace(candidate, header=replace(candidate.header, global_digest=OTHER_DIGEST))


def wrong_rewards(candidate: Candidate) -> Candidate:
    if not candidate.rewards:
        return candidate
    first, second, *others = candidate.rewards
    moved = replace(first, amount=first.amount + 1), replace(second, amount=second.amount - 1)
    return replace(candidate, rewards=(*moved, *others))


def forged_transaction(candidate: Candidate) -> Candidate:
    first, *others = candidate.transactions
    forged = (Transaction(first.client, first.receiver, OTHER_DIGEST, first.signature), *others)
    header = replace(candidate.header, transactions_hash=transactions_hash(forged))
    return replace(candidate, transactions=forged, header=header)


def lie_in_blocks(change: Callable[[Candidate], Candidate]) -> Callable[[EdgeService], None]:
    return lambda service: forge(service, change)


def withhold(service: EdgeService) -> None:
    """It hands out neither local gradients nor bodies nor global gradients, and announces nothing."""
    answering: Any = service.answering
    answering._supply = lambda digests: Announcements(())
    peers: Any = service.peers
    peers.announce = lambda announcement: None
    local: Any = service.parts.blobs.local

    def get(cid: object, limit: int) -> bytes:
        raise NotHeldError("withheld")

    local.get = get


def omit(service: EdgeService) -> None:
    """It never records what the first client sends."""
    assembler: Any = service.node.assembler
    eligible = assembler.eligible
    ignored: list[bytes] = []

    def some() -> list[Any]:
        items = eligible()
        if items and not ignored:
            ignored.append(items[0].gradient.header.client)
        return [item for item in items if item.gradient.header.client not in ignored]

    service.node.candidate, original = (lambda: _with(assembler, some, original)), service.node.candidate


def _with(assembler: Any, eligible: Callable[[], list[Any]], work: Callable[[], Candidate]) -> Candidate:
    before, assembler.eligible = assembler.eligible, eligible
    try:
        return work()
    finally:
        assembler.eligible = before


def stay_silent(service: EdgeService) -> None:
    """It refuses everything that it is asked."""
    answering: Any = service.answering

    async def refuse(peer: int, request: object) -> object:
        raise EdgeBusyError("not now")

    answering._answer = refuse


def seal_and_forget(service: EdgeService) -> None:
    """It seals blocks that everybody approves, and never brings one to the ledger."""
    oracle: Any = service.oracle

    async def forget(block: object, certificate: bytes) -> None:
        return None

    oracle._append = forget


LIES: dict[str, Callable[[EdgeService], None]] = {
    "wrong global digest": lie_in_blocks(wrong_global_digest),
    "wrong rewards": lie_in_blocks(wrong_rewards),
    "forged transaction": lie_in_blocks(forged_transaction),
    "withheld bodies": withhold,
    "omitted gradients": omit,
    "silence": stay_silent,
    "forgotten blocks": seal_and_forget,
}


@pytest.mark.parametrize("lie", LIES)
def test_the_honest_go_on_and_nothing_wrong_becomes_final(tmp_path: Path, lie: str) -> None:
    with world(tmp_path, 3) as made:
        liar = made.prepared(LIAR)
        LIES[lie](liar.service)
        liar.__enter__()
        made.servers[LIAR] = liar
        for number in (0, 1):
            made.start(number)
        uploaders = [made.uploader(number) for number in range(4)]
        digests = feed(made, uploaders, 2, [0, 1])
        with made.api(0) as api:  # whoever was left out by one is recorded by another
            wait_until(lambda: api.gradient_state(digests[0]).state != "waiting", "the block that records it")
        wait_for_agreement(made, [0, 1])
        check_ledger(made, lie)
        assert not made.servers[0].service.troubles()
        assert not made.servers[1].service.troubles()


def check_ledger(made: World, lie: str) -> None:
    """Every block is what the honest compute, and rewards add up."""
    state = made.servers[0].service.node.state
    hashes = state.hashes[1:]  # of now: the edge nodes go on
    blocks = [recorded.block for recorded in made.ledger.blocks(1, len(hashes))]
    assert [block.header.hash for block in blocks] == hashes
    assert OTHER_DIGEST not in {block.header.global_digest for block in blocks}
    assert OTHER_DIGEST not in {entry.gradient for block in blocks for entry in block.transactions}
    base = made.deployment.parameters.base_reward
    assert all(sum(reward.amount for reward in block.rewards) == base for block in blocks if block.rewards)

    def rewards_add_up() -> bool:
        now = [recorded.block for recorded in made.ledger.blocks(1, len(state.hashes) - 1)]
        return sum(state.balances.values()) == base * sum(bool(block.rewards) for block in now)

    wait_until(rewards_add_up, "exactly the rewards of the ledger's blocks")
    if lie in ("forgotten blocks", "wrong global digest", "wrong rewards", "forged transaction"):
        forbidden = edge_keys(LIAR).account
        assert forbidden not in {block.header.edge_node for block in blocks if block.header.is_global_update}
