"""Government: what the quorum of edge nodes decides, when it takes effect, and that nobody else decides anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from consortium import Chain, Consortium, account, certify, digest, edge_node_key, reverts
from eth_tester.exceptions import TransactionFailed
from hash_signers import HashConsortium
from hash_signers import certify as hash_certify
from web3.contract import Contract

DELAY = 3600
Step = tuple[bytes, bytes]


@dataclass
class Governed:
    """A consortium whose set-up has ended."""

    consortium: Consortium
    contract: Contract
    enacted: list[int] = field(default_factory=list)

    @classmethod
    def over(cls, consortium: Consortium, delay: int = DELAY) -> Governed:
        chain = consortium.chain
        places = consortium.participants.address, consortium.certificates.address
        governed = cls(consortium, chain.deploy("Government", *places, delay))
        chain.send(consortium.participants.functions.transferOwnership(governed.contract.address))
        chain.send(governed.contract.functions.takeOffice(), chain.user(2))
        return governed

    @property
    def chain(self) -> Chain:
        return self.consortium.chain

    def step(self, contract: Contract, name: str, *arguments: object) -> Step:
        data = contract.encode_abi(name, list(arguments))
        return bytes.fromhex(contract.address[2:]), bytes.fromhex(data[2:])

    def retire(self, id_: int) -> Step:
        return self.step(self.consortium.participants, "retireEdgeNode", id_)

    def certificate(self, hash_: bytes, signers: int) -> bytes:
        return certify(hash_, self.consortium.keys[:signers])

    def decide(self, *steps: Step, signers: int = 2, sender: str | None = None) -> int:
        functions = self.contract.functions
        number = functions.decisions().call() + 1
        certificate = self.certificate(functions.decisionHash(number, steps).call(), signers)
        self.chain.send(functions.decide(steps, certificate), sender)
        return int(number)

    def enact(self, number: int, *steps: Step, sender: str | None = None) -> object:
        return self.chain.send(self.contract.functions.enact(number, steps), sender)

    def wait(self, seconds: int = DELAY) -> None:
        now = self.chain.web3.eth.get_block("latest")["timestamp"]
        self.chain.tester.time_travel(now + seconds)

    def decide_clients(self, allowed: Sequence[bytes], removed: Sequence[bytes], signers: int = 2) -> object:
        functions = self.contract.functions
        hash_ = functions.clientsHash(functions.clientDecisions().call() + 1, allowed, removed).call()
        return self.chain.send(functions.decideClients(allowed, removed, self.certificate(hash_, signers)))

    def active(self) -> int:
        return int(self.consortium.participants.functions.activeEdgeNodes().call())


@pytest.fixture
def governed(consortium: Consortium) -> Governed:
    """Three edge nodes: two are a majority."""
    return Governed.over(consortium)


# --- the end of the set-up


def test_take_office_ends_the_deployers_power(governed: Governed) -> None:
    participants = governed.consortium.participants
    assert participants.functions.owner().call() == governed.contract.address
    with reverts("OwnableUnauthorizedAccount", bytes.fromhex(governed.chain.owner[2:])):
        governed.chain.send(participants.functions.retireEdgeNode(1))


def test_take_office_waits_for_the_deployer_to_name_it(consortium: Consortium) -> None:
    chain = consortium.chain
    places = consortium.participants.address, consortium.certificates.address
    government = chain.deploy("Government", *places, DELAY)
    with reverts("OwnableUnauthorizedAccount", bytes.fromhex(government.address[2:])):
        chain.send(government.functions.takeOffice())


def test_take_office_refuses_while_nobody_could_decide(chain: Chain) -> None:
    empty = Consortium.found(chain, edge_nodes=0)
    government = chain.deploy("Government", empty.participants.address, empty.certificates.address, DELAY)
    chain.send(empty.participants.functions.transferOwnership(government.address))
    with reverts("GovernmentNobodyActive"):
        chain.send(government.functions.takeOffice())


def test_take_office_says_so_once(governed: Governed) -> None:
    with reverts("OwnableUnauthorizedAccount"):
        governed.chain.send(governed.contract.functions.takeOffice())


@pytest.mark.parametrize(
    ("name", "place"), [("participants", 0), ("certificates", 1), ("leastDelay", 2)], ids=lambda value: str(value)
)
def test_constructor_names_an_impossible_parameter(consortium: Consortium, name: str, place: int) -> None:
    given = [consortium.participants.address, consortium.certificates.address, DELAY]
    given[place] = 0 if place == 2 else account(1)
    with reverts("GovernmentImpossibleParameter", name):
        consortium.chain.deploy("Government", *given)


# --- decisions


def test_a_decision_takes_effect_after_its_delay(governed: Governed) -> None:
    step = governed.retire(3)
    number = governed.decide(step, sender=governed.chain.user(1))
    assert governed.active() == 3
    governed.wait()
    governed.enact(number, step, sender=governed.chain.user(2))
    assert governed.active() == 2
    assert governed.contract.functions.decision(number).call()[0] == 2


def test_an_edge_node_is_admitted_by_decision(governed: Governed) -> None:
    step = governed.step(
        governed.consortium.participants, "admitEdgeNode", account(9), digest("s"), digest("k"), "https://new"
    )
    number = governed.decide(step)
    governed.wait()
    governed.enact(number, step)
    assert governed.consortium.participants.functions.isActive(account(9)).call()


def test_a_decision_needs_more_than_half_of_the_active_edge_nodes(governed: Governed) -> None:
    with reverts("GovernmentQuorumMissed", 1, 3):
        governed.decide(governed.retire(3), signers=1)
    governed.consortium.keys.append(edge_node_key(7))
    with reverts("ParticipantsNotActive", edge_node_key(7).public_key.to_canonical_address()):
        governed.decide(governed.retire(3), signers=4)


def test_half_of_the_edge_nodes_is_not_enough(chain: Chain) -> None:
    governed = Governed.over(Consortium.found(chain, edge_nodes=4))
    with reverts("GovernmentQuorumMissed", 2, 4):
        governed.decide(governed.retire(3), signers=2)
    governed.decide(governed.retire(3), signers=3)


@pytest.mark.parametrize("early", [1, 10, DELAY - 10])
def test_nothing_is_hurried(governed: Governed, early: int) -> None:
    step = governed.retire(3)
    number = governed.decide(step)
    due_at = governed.contract.functions.decision(number).call()[1]
    governed.wait(DELAY - early - 1)
    with reverts("GovernmentTooEarly", number, due_at):
        governed.enact(number, step)


def test_a_decision_lapses(governed: Governed) -> None:
    step = governed.retire(3)
    number = governed.decide(step)
    due_at = governed.contract.functions.decision(number).call()[1]
    governed.wait(DELAY + 30 * 24 * 3600 + 1)
    with reverts("GovernmentTooLate", number, due_at):
        governed.enact(number, step)


def test_a_decision_is_enacted_once(governed: Governed) -> None:
    step = governed.retire(3)
    number = governed.decide(step)
    governed.wait()
    governed.enact(number, step)
    with reverts("GovernmentNotWaiting", number, 2):
        governed.enact(number, step)


def test_what_was_never_decided_is_not_enacted(governed: Governed) -> None:
    with reverts("GovernmentNotWaiting", 1, 0):
        governed.enact(1, governed.retire(3))


def test_only_the_steps_decided_on_are_taken(governed: Governed) -> None:
    number = governed.decide(governed.retire(3))
    governed.wait()
    with reverts("GovernmentOtherCalls", number):
        governed.enact(number, governed.retire(2))


def test_a_decision_without_steps_is_refused(governed: Governed) -> None:
    with reverts("GovernmentNothingDecided"):
        governed.decide()


def test_a_certificate_decides_once(governed: Governed) -> None:
    functions, step = governed.contract.functions, governed.retire(3)
    certificate = governed.certificate(functions.decisionHash(1, [step]).call(), 2)
    governed.chain.send(functions.decide([step], certificate))
    governed.chain.send(functions.revoke(1, governed.certificate(functions.revocationHash(1).call(), 2)))
    with pytest.raises(TransactionFailed):  # a certificate of strangers, if any, to the next number
        governed.chain.send(functions.decide([step], certificate))


def test_all_steps_are_taken_or_none(governed: Governed) -> None:
    steps = governed.retire(3), governed.retire(9)
    number = governed.decide(*steps)
    governed.wait()
    with reverts("GovernmentCallFailed"):
        governed.enact(number, *steps)
    assert governed.active() == 3
    assert governed.contract.functions.decision(number).call()[0] == 1


def test_a_step_at_an_address_without_code_fails(governed: Governed) -> None:
    step = (account(1), b"")
    number = governed.decide(step)
    governed.wait()
    with reverts("GovernmentCallFailed", 0, b""):
        governed.enact(number, step)


def test_the_quorum_takes_a_decision_back_at_once(governed: Governed) -> None:
    step, functions = governed.retire(3), governed.contract.functions
    number = governed.decide(step)
    with reverts("GovernmentQuorumMissed", 1, 3):
        governed.chain.send(functions.revoke(number, governed.certificate(functions.revocationHash(1).call(), 1)))
    governed.chain.send(functions.revoke(number, governed.certificate(functions.revocationHash(1).call(), 2)))
    governed.wait()
    with reverts("GovernmentNotWaiting", number, 3):
        governed.enact(number, step)


def test_the_delay_changes_by_decision_only_and_for_later_ones(governed: Governed) -> None:
    functions = governed.contract.functions
    with reverts("GovernmentOnlyByDecision", bytes.fromhex(governed.chain.owner[2:])):
        governed.chain.send(functions.setDelay(2 * DELAY))
    step = governed.step(governed.contract, "setDelay", 2 * DELAY)
    number = governed.decide(step)
    governed.wait()
    governed.enact(number, step)
    assert functions.delay().call() == 2 * DELAY
    later = governed.decide(governed.retire(3))
    governed.wait()
    with reverts("GovernmentTooEarly"):
        governed.enact(later, governed.retire(3))


def test_the_delay_never_falls_below_the_least(governed: Governed) -> None:
    step = governed.step(governed.contract, "setDelay", DELAY - 1)
    number = governed.decide(step)
    governed.wait()
    with reverts("GovernmentCallFailed"):
        governed.enact(number, step)


def test_hashes_bind_government_number_and_steps(chain: Chain, governed: Governed) -> None:
    other = Governed.over(Consortium.found(chain, edge_nodes=1))
    functions, step = governed.contract.functions, governed.retire(3)
    hashes = [
        functions.decisionHash(1, [step]),
        functions.decisionHash(2, [step]),
        functions.decisionHash(1, [governed.retire(2)]),
        functions.decisionHash(1, [step, step]),
        other.contract.functions.decisionHash(1, [step]),
        functions.revocationHash(1),
        functions.clientsHash(1, [account(1)], []),
        functions.clientsHash(1, [], [account(1)]),
        functions.endpointHash(1, 1, "https://e"),
        functions.endpointHash(2, 1, "https://e"),
    ]
    assert len({call.call() for call in hashes}) == len(hashes)


# --- clients


def test_clients_come_and_go_by_the_quorum_without_delay(governed: Governed) -> None:
    allowed = governed.consortium.participants.functions.isClientAllowed
    governed.decide_clients([account(1), account(2)], [])
    assert allowed(account(1)).call()
    governed.decide_clients([account(3)], [account(1)])
    assert [allowed(account(i)).call() for i in (1, 2, 3)] == [False, True, True]


def test_a_single_edge_node_admits_nobody(governed: Governed) -> None:
    with reverts("GovernmentQuorumMissed", 1, 3):
        governed.decide_clients([account(1)], [], signers=1)


def test_a_decision_on_no_clients_is_refused(governed: Governed) -> None:
    with reverts("GovernmentNothingDecided"):
        governed.decide_clients([], [])


def test_a_decision_on_clients_is_taken_once(governed: Governed) -> None:
    functions = governed.contract.functions
    certificate = governed.certificate(functions.clientsHash(1, [account(1)], []).call(), 2)
    governed.chain.send(functions.decideClients([account(1)], [], certificate))
    governed.decide_clients([], [account(1)])
    with pytest.raises(TransactionFailed):
        governed.chain.send(functions.decideClients([account(1)], [], certificate))


# --- endpoints


def entry_for(governed: Governed, id_: int, endpoint: str, keys: slice) -> bytes:
    number = governed.contract.functions.endpointChanges(id_).call() + 1
    hash_ = governed.contract.functions.endpointHash(id_, number, endpoint).call()
    return certify(hash_, governed.consortium.keys[keys])


def test_an_edge_node_moves_by_its_own_signature(governed: Governed) -> None:
    move = governed.contract.functions.updateEndpoint
    for endpoint in ("https://second", "https://third"):
        entry = entry_for(governed, 1, endpoint, slice(0, 1))
        governed.chain.send(move(1, endpoint, entry), governed.chain.user(3))
        assert governed.consortium.participants.functions.edgeNode(1).call()[4] == endpoint


@pytest.mark.parametrize("keys", [slice(1, 2), slice(0, 2)], ids=["another's", "two"])
def test_an_edge_node_is_not_moved_by_others(governed: Governed, keys: slice) -> None:
    entry = entry_for(governed, 1, "https://second", keys)
    with reverts("GovernmentNotItsOwn", 1):
        governed.chain.send(governed.contract.functions.updateEndpoint(1, "https://second", entry))


def test_a_move_is_made_once(governed: Governed) -> None:
    move = governed.contract.functions.updateEndpoint
    first = entry_for(governed, 1, "https://second", slice(0, 1))
    governed.chain.send(move(1, "https://second", first))
    with pytest.raises(TransactionFailed):
        governed.chain.send(move(1, "https://second", first))


# --- with one-time keys


def test_a_consortium_of_one_time_keys_governs_itself(chain: Chain) -> None:
    """Admits an edge node with its tree, in one decision; no ECDSA key has any say."""
    hashes = HashConsortium.found(chain, 3)
    governed = Governed.over(hashes.base)
    place = bytes.fromhex(governed.contract.address[2:])
    registry, certificates = hashes.base.participants, hashes.base.certificates
    steps = (
        governed.step(registry, "admitEdgeNode", account(9), digest("s"), digest("k"), "https://new"),
        governed.step(certificates, "enroll", account(9), digest("root"), 12),
    )
    functions = governed.contract.functions
    certificate = hash_certify(hashes.signers[:2], place, functions.decisionHash(1, steps).call())
    governed.chain.send(functions.decide(steps, certificate), chain.user(4))
    with reverts("XMSSCertificatesUnauthorized", bytes.fromhex(chain.owner[2:])):
        chain.send(certificates.functions.enroll(account(9), digest("root"), 12))
    governed.wait()
    governed.enact(1, *steps)
    assert governed.active() == 4
    assert certificates.functions.tree(account(9)).call()[0] == digest("root")
