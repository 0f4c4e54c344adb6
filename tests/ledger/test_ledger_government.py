"""The quorum of edge nodes governs through the typed client, with either kind of certificates."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_tools import FIRST, OWNER, SECOND, STRANGER, World, address, digest

from bflmec.errors import LedgerError, LedgerRevertedError
from bflmec.ledger.government import Call, GovernmentClient, State, call
from bflmec.ledger.xmss_certificates import CertificateKeys, XMSSCertificatesClient, XMSSCertifier


def government(world: World, account: object = OWNER) -> GovernmentClient:
    return GovernmentClient(world.as_(account).sender, world.deployment.government)  # type: ignore[arg-type]


@pytest.fixture
def world() -> World:
    return World.start(government_delay=1)


@pytest.fixture
def governed(world: World) -> World:
    government(world).end_set_up(world.as_(OWNER).participants)
    return world


def certify(world: World, hash_: bytes) -> bytes:
    entries = {certifier.account: certifier.sign(hash_) for certifier in world.certifiers}
    return world.certifiers[0].assemble(entries)


def steps(world: World) -> list[Call]:
    return [call("Participants", world.deployment.participants, "retireEdgeNode", 2)]


def wait(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    due = government(world).decision(1).due_at
    monkeypatch.setattr(world.chain, "_clock", lambda: due)
    world.chain.mine()


def test_the_end_of_the_set_up_is_final(governed: World) -> None:
    owner = governed.as_(OWNER).participants
    assert owner.owner() == governed.deployment.government
    government(governed).end_set_up(owner)
    with pytest.raises(LedgerRevertedError) as caught:
        owner.retire_edge_node(1)
    assert caught.value.name == "OwnableUnauthorizedAccount"


def test_a_decision_is_relayed_and_enacted_by_anybody(governed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    relay = government(governed, STRANGER)
    hash_ = relay.decision_hash(relay.decisions() + 1, steps(governed))
    number = relay.decide(steps(governed), certify(governed, hash_))
    assert relay.decision(number).state is State.WAITING
    wait(governed, monkeypatch)
    relay.enact(number, steps(governed))
    assert relay.decision(number).state is State.ENACTED
    assert governed.client.participants.edge_nodes() == {1: address(FIRST)}


def test_a_decision_is_revoked(governed: World) -> None:
    relay = government(governed, STRANGER)
    number = relay.decide(steps(governed), certify(governed, relay.decision_hash(1, steps(governed))))
    relay.revoke(number, certify(governed, relay.revocation_hash(number)))
    assert relay.decision(number).state is State.REVOKED
    assert (relay.delay(), relay.decisions()) == (1, 1)


def test_clients_are_decided_on(governed: World) -> None:
    relay, reader = government(governed, STRANGER), governed.client.participants
    account = address(STRANGER)
    hash_ = relay.clients_hash(relay.client_decisions() + 1, [account], [])
    relay.decide_clients([account], [], certify(governed, hash_))
    assert reader.is_client_allowed(account)
    hash_ = relay.clients_hash(relay.client_decisions() + 1, [], [account])
    relay.decide_clients([], [account], certify(governed, hash_))
    assert not reader.is_client_allowed(account)


def test_an_edge_node_moves(governed: World) -> None:
    relay = government(governed, STRANGER)
    hash_ = relay.endpoint_hash(2, relay.endpoint_changes(2) + 1, "https://moved")
    relay.update_endpoint(2, "https://moved", governed.certifiers[1].sign(hash_))
    assert governed.client.participants.edge_node(2).endpoint == "https://moved"
    assert relay.endpoint_changes(2) == 1


def test_a_step_names_a_function_that_exists(world: World) -> None:
    with pytest.raises(LedgerError, match="no function 'retire'"):
        call("Participants", world.deployment.participants, "retire", 2)


def test_one_time_keys_govern_and_append_from_one_tree(tmp_path: Path) -> None:
    world = World.start(certificate_scheme="xmss")
    place, owner = world.deployment, world.as_(OWNER)
    trees = XMSSCertificatesClient(owner.sender, place.certificates)
    with pytest.raises(LedgerError, match="no tree of one-time keys"):
        government(world).end_set_up(owner.participants, trees)
    keys = [
        CertificateKeys(place.chain_id, place.certificates, address(one), digest("seed", one.address), tmp_path)
        for one in (FIRST, SECOND)
    ]
    for one in keys:
        with one.open(1, 4) as opened:
            trees.enroll(one.account, opened.root, 4)
    government(world).end_set_up(owner.participants, trees)
    relay = government(world, STRANGER)
    for_ledger, for_government = (
        [XMSSCertifier(one, trees, asker) for one in keys] for asker in (place.ledger, place.government)
    )
    block = world.block()
    certificate = for_ledger[0].assemble({one.account: one.sign(block.header.hash) for one in for_ledger})
    world.client.append(block, certificate)
    hash_ = relay.clients_hash(1, [address(STRANGER)], [])
    certificate = for_ledger[0].assemble({one.account: one.sign(hash_) for one in for_government})
    relay.decide_clients([address(STRANGER)], [], certificate)
    assert world.client.participants.is_client_allowed(address(STRANGER))
    assert trees.tree(address(FIRST)).next_index == 2
