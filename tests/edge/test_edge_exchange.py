"""Three edge nodes over HTTP: they come to one ledger, whoever is away for a while."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from service_world import Uploader, World, digest_of, edge_keys, wait_until, world

from bflmec.edge.link import Link, LinkIdentity
from bflmec.errors import SessionError
from bflmec.transport.peer_messages import FetchHistory, HistoryPart


def feed(made: World, uploaders: list[Uploader], anchors: int, numbers: list[int]) -> list[bytes]:
    """Uploads, to edge node after edge node, until there were so many global updates; the digests."""
    digests = []
    while made.anchors() < anchors:
        before = made.ledger.head().number
        for index, uploader in enumerate(uploaders):
            envelope = uploader.envelope()
            made.upload(numbers[index % len(numbers)], envelope)
            digests.append(digest_of(envelope))
        wait_until(lambda before=before: made.ledger.head().number > before, "a block")
    return digests


def wait_for_agreement(made: World, numbers: list[int]) -> None:
    """Until the edge nodes have come to the ledger's head, which may still move."""
    nodes = [made.servers[number].service.node for number in numbers]
    wait_until(lambda: {node.state.head for node in nodes} == {made.ledger.head().hash}, "agreement")
    wait_until(lambda: all(node.state == nodes[0].state for node in nodes), "one state")


def test_three_edge_nodes_agree_and_each_records_what_the_others_took_in(tmp_path: Path) -> None:
    with world(tmp_path, 3) as made:
        for number in range(3):
            made.start(number)
        uploaders = [made.uploader(number) for number in range(6)]
        digests = feed(made, uploaders, 3, [0, 1, 2])
        wait_for_agreement(made, [0, 1, 2])
        recorded = {
            transaction.gradient
            for block in made.ledger.blocks(1, made.ledger.head_number())
            for transaction in block.block.transactions
        }
        assert len(recorded) >= 12
        assert recorded <= set(digests)
        assert {block.block.header.edge_node for block in made.ledger.blocks(1, 99)} <= {
            edge_keys(number).account for number in range(3)
        }


def test_two_go_on_without_the_third_which_catches_up(tmp_path: Path) -> None:
    with world(tmp_path, 3) as made:
        uploaders = [made.uploader(number) for number in range(6)]
        made.start(0)
        made.start(1)
        feed(made, uploaders, 2, [0, 1])
        made.start(2)  # for the first time: it has nothing but the ledger and its peers
        wait_for_agreement(made, [0, 1, 2])
        made.stop(0)
        feed(made, uploaders, 4, [1, 2])
        made.start(0)  # again: it has its own disk, too
        wait_for_agreement(made, [0, 1, 2])
        made.stop(1)
        feed(made, uploaders, 5, [0, 2])  # both have what it takes to certify
        wait_for_agreement(made, [0, 2])
        assert not any(made.servers[number].service.troubles() for number in (0, 2))


def test_what_an_edge_node_acknowledged_alone_is_recorded_after_its_restart(tmp_path: Path) -> None:
    with world(tmp_path, 3) as made:
        uploaders = [made.uploader(number) for number in range(4)]
        made.start(0)  # alone it can certify nothing
        envelopes = [uploader.envelope() for uploader in uploaders]
        for envelope in envelopes:
            made.upload(0, envelope)
        made.stop(0)
        for number in range(3):
            made.start(number)
        wait_until(lambda: made.anchors() == 1, "the global update")
        recorded = [entry.gradient for entry in made.ledger.block(1).block.transactions]
        assert sorted(recorded) == sorted(map(digest_of, envelopes))


async def _ask(made: World, asker: int, key: int) -> object:
    registry = made.servers[0].service.parts.registry
    peer = registry.edge_node(1)
    assert peer is not None
    identity = LinkIdentity(asker, made.deployment.chain_id, made.deployment.ledger, edge_keys(key).signature)
    link = Link(identity, peer, 10.0)
    try:
        return await link.ask(FetchHistory(bytes(32)))
    finally:
        await link.close()


def test_only_active_edge_nodes_are_answered(tmp_path: Path) -> None:
    with world(tmp_path, 2) as made:
        made.start(0)
        assert asyncio.run(_ask(made, 2, 1)) == HistoryPart(b"")
        for stranger in ((2, 7), (3, 1), (1, 0)):
            with pytest.raises(SessionError):
                asyncio.run(_ask(made, *stranger))
        made.ledger.participants.retire_edge_node(2)
        wait_until(lambda: 2 not in made.servers[0].service.parts.registry.edge_nodes(), "the news of its retirement")
        with pytest.raises(SessionError):
            asyncio.run(_ask(made, 2, 1))
