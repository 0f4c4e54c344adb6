"""Participants: who may register, which keys count, who is in the quorum."""

from __future__ import annotations

import pytest
from consortium import Chain, Consortium, account, digest, edge_node_key, reverts
from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey
from web3.contract import Contract

ZERO = bytes(20)
KEY, NEW_KEY = digest("key"), digest("new key")


def raw(address: str) -> bytes:
    return bytes.fromhex(address[2:])


def address(key: PrivateKey) -> bytes:
    return bytes(key.public_key.to_canonical_address())


@pytest.fixture
def participants(chain: Chain) -> Contract:
    return chain.deploy("Participants", chain.owner, False)


@pytest.fixture
def open_participants(chain: Chain) -> Contract:
    return chain.deploy("Participants", chain.owner, True)


def allow(chain: Chain, participants: Contract, *clients: str) -> None:
    chain.send(participants.functions.allowClients(list(clients)))


def register(chain: Chain, participants: Contract, client: str, key: bytes = KEY) -> object:
    return chain.send(participants.functions.registerClient(key), client)


# --- clients


def test_constructor_refuses_no_owner(chain: Chain) -> None:
    with reverts("OwnableInvalidOwner", ZERO):
        chain.deploy("Participants", "0x" + ZERO.hex(), False)


def test_open_registration_is_what_was_deployed(participants: Contract, open_participants: Contract) -> None:
    assert [p.functions.openRegistration().call() for p in (participants, open_participants)] == [False, True]


def test_allow_clients_lets_each_of_them_register(chain: Chain, participants: Contract) -> None:
    clients = [chain.user(0), chain.user(1)]
    receipt = chain.send(participants.functions.allowClients(clients))
    assert chain.events(participants, receipt) == [("ClientAllowed", {"client": client}) for client in clients]
    for client in clients:
        assert participants.functions.isClientAllowed(client).call()
        register(chain, participants, client)


def test_allow_clients_refuses_the_zero_account(chain: Chain, participants: Contract) -> None:
    with reverts("ParticipantsZeroAccount"):
        chain.send(participants.functions.allowClients([chain.user(0), ZERO]))
    assert not participants.functions.isClientAllowed(chain.user(0)).call()


def test_register_client_records_the_key_digest(chain: Chain, participants: Contract) -> None:
    client = chain.user(0)
    allow(chain, participants, client)
    receipt = register(chain, participants, client)
    assert participants.functions.clientKeyDigest(client).call() == KEY
    assert chain.events(participants, receipt) == [("ClientRegistered", {"client": client, "keyDigest": KEY})]


def test_register_client_again_rotates_the_key(chain: Chain, participants: Contract) -> None:
    client = chain.user(0)
    allow(chain, participants, client)
    register(chain, participants, client)
    receipt = register(chain, participants, client, NEW_KEY)
    assert participants.functions.clientKeyDigest(client).call() == NEW_KEY
    rotation = {"client": client, "previousKeyDigest": KEY, "keyDigest": NEW_KEY}
    assert chain.events(participants, receipt) == [("ClientKeyRotated", rotation)]


def test_register_client_refuses_one_that_was_not_allowed(chain: Chain, participants: Contract) -> None:
    with reverts("ParticipantsClientNotAllowed", raw(chain.user(0))):
        register(chain, participants, chain.user(0))


def test_register_client_refuses_a_zero_digest(chain: Chain, participants: Contract) -> None:
    allow(chain, participants, chain.user(0))
    with reverts("ParticipantsZeroKeyDigest"):
        register(chain, participants, chain.user(0), bytes(32))


def test_register_client_takes_everybody_where_registration_is_open(chain: Chain, open_participants: Contract) -> None:
    register(chain, open_participants, chain.user(0))
    assert open_participants.functions.clientKeyDigest(chain.user(0)).call() == KEY


def test_remove_client_deletes_its_key(chain: Chain, participants: Contract) -> None:
    client = chain.user(0)
    allow(chain, participants, client)
    register(chain, participants, client)
    receipt = chain.send(participants.functions.removeClient(client))
    assert participants.functions.clientKeyDigest(client).call() == bytes(32)
    assert chain.events(participants, receipt) == [("ClientRemoved", {"client": client})]


def test_remove_client_withdraws_an_allowance_not_used_yet(chain: Chain, participants: Contract) -> None:
    allow(chain, participants, chain.user(0))
    chain.send(participants.functions.removeClient(chain.user(0)))
    with reverts("ParticipantsClientNotAllowed", raw(chain.user(0))):
        register(chain, participants, chain.user(0))


def test_remove_client_bars_it_even_where_registration_is_open(chain: Chain, open_participants: Contract) -> None:
    client = chain.user(0)
    register(chain, open_participants, client)
    chain.send(open_participants.functions.removeClient(client))
    with reverts("ParticipantsClientNotAllowed", raw(client)):
        register(chain, open_participants, client)


def test_remove_client_is_undone_by_allow_clients(chain: Chain, participants: Contract) -> None:
    client = chain.user(0)
    allow(chain, participants, client)
    chain.send(participants.functions.removeClient(client))
    allow(chain, participants, client)
    receipt = register(chain, participants, client)
    assert chain.events(participants, receipt)[0][0] == "ClientRegistered"


def test_remove_client_refuses_an_unknown_one(chain: Chain, participants: Contract) -> None:
    with reverts("ParticipantsUnknownClient", account(1)):
        chain.send(participants.functions.removeClient(account(1)))


# --- edge nodes


def admit(chain: Chain, participants: Contract, account_: bytes, endpoint: str = "https://edge.example") -> object:
    return chain.send(participants.functions.admitEdgeNode(account_, KEY, NEW_KEY, endpoint))


def test_admit_edge_node_records_it_under_the_next_id(chain: Chain, participants: Contract) -> None:
    for expected in (1, 2):
        admit(chain, participants, account(expected))
        assert participants.functions.edgeNodeId(account(expected)).call() == expected
        assert participants.functions.activeEdgeNodes().call() == expected
        assert participants.functions.lastEdgeNodeId().call() == expected
    found = participants.functions.edgeNode(2).call()
    assert (raw(found[0]), *found[1:]) == (account(2), True, KEY, NEW_KEY, "https://edge.example")


def test_admit_edge_node_emits_the_whole_record(chain: Chain, participants: Contract) -> None:
    ((name, event),) = chain.events(participants, admit(chain, participants, account(1)))
    assert (name, event["id"], raw(event["account"])) == ("EdgeNodeAdmitted", 1, account(1))
    assert (event["signatureKeyDigest"], event["encapsulationKeyDigest"]) == (KEY, NEW_KEY)
    assert event["endpoint"] == "https://edge.example"


def test_admit_edge_node_refuses_one_that_is_active(chain: Chain, participants: Contract) -> None:
    admit(chain, participants, account(1))
    with reverts("ParticipantsAlreadyActive", account(1)):
        admit(chain, participants, account(1))


def test_admit_edge_node_refuses_the_zero_account(chain: Chain, participants: Contract) -> None:
    with reverts("ParticipantsZeroAccount"):
        admit(chain, participants, ZERO)


@pytest.mark.parametrize("keys", [(bytes(32), KEY), (KEY, bytes(32))])
def test_admit_edge_node_refuses_a_zero_digest(chain: Chain, participants: Contract, keys: tuple[bytes, bytes]) -> None:
    with reverts("ParticipantsZeroKeyDigest"):
        chain.send(participants.functions.admitEdgeNode(account(1), *keys, "https://e"))


@pytest.mark.parametrize("length", [0, 257])
def test_admit_edge_node_refuses_an_endpoint_of_impossible_length(
    chain: Chain, participants: Contract, length: int
) -> None:
    with reverts("ParticipantsEndpointLength", length):
        admit(chain, participants, account(1), "e" * length)


def test_admit_edge_node_never_reuses_an_id(chain: Chain, participants: Contract) -> None:
    admit(chain, participants, account(1))
    chain.send(participants.functions.retireEdgeNode(1))
    admit(chain, participants, account(1))
    assert participants.functions.edgeNodeId(account(1)).call() == 2
    assert [participants.functions.edgeNode(id_).call()[1] for id_ in (1, 2)] == [False, True]


def test_admit_edge_node_refuses_the_one_after_the_last_id(chain: Chain, participants: Contract) -> None:
    data = participants.encode_abi("admitEdgeNode", [account(1), KEY, NEW_KEY, "https://e"])
    last_id_slot, last_id = 6, 65535
    reverted_with = chain.call_with_storage(participants, last_id_slot, last_id, bytes.fromhex(data[2:]))
    assert reverted_with == keccak(b"ParticipantsFull()")[:4]


def test_retire_edge_node_takes_it_out_of_the_quorum(chain: Chain, participants: Contract) -> None:
    admit(chain, participants, account(1))
    admit(chain, participants, account(2))
    ((name, event),) = chain.events(participants, chain.send(participants.functions.retireEdgeNode(1)))
    assert (name, event["id"], raw(event["account"])) == ("EdgeNodeRetired", 1, account(1))
    assert participants.functions.activeEdgeNodes().call() == 1
    assert [participants.functions.isActive(account(i)).call() for i in (1, 2)] == [False, True]
    assert raw(participants.functions.edgeNode(1).call()[0]) == account(1)


def test_retire_edge_node_refuses_a_retired_one(chain: Chain, participants: Contract) -> None:
    admit(chain, participants, account(1))
    chain.send(participants.functions.retireEdgeNode(1))
    with reverts("ParticipantsNotActive", account(1)):
        chain.send(participants.functions.retireEdgeNode(1))


def test_retire_edge_node_refuses_the_old_id_of_one_admitted_again(chain: Chain, participants: Contract) -> None:
    admit(chain, participants, account(1))
    chain.send(participants.functions.retireEdgeNode(1))
    admit(chain, participants, account(1))
    with reverts("ParticipantsNotActive", account(1)):
        chain.send(participants.functions.retireEdgeNode(1))
    assert participants.functions.isActive(account(1)).call()


@pytest.mark.parametrize("id_", [0, 1, 65535])
def test_retire_edge_node_refuses_an_id_never_given_out(chain: Chain, participants: Contract, id_: int) -> None:
    with reverts("ParticipantsUnknownEdgeNode", id_):
        chain.send(participants.functions.retireEdgeNode(id_))


@pytest.mark.parametrize("id_", [0, 4, 65535])
def test_edge_node_refuses_an_id_never_given_out(consortium: Consortium, id_: int) -> None:
    with reverts("ParticipantsUnknownEdgeNode", id_):
        consortium.participants.functions.edgeNode(id_).call()


def test_edge_node_id_of_a_stranger_is_zero(participants: Contract) -> None:
    assert participants.functions.edgeNodeId(account(1)).call() == 0


def test_update_endpoint_moves_an_edge_node(chain: Chain, participants: Contract) -> None:
    admit(chain, participants, account(1))
    receipt = chain.send(participants.functions.updateEndpoint(1, "https://elsewhere"))
    assert participants.functions.edgeNode(1).call()[4] == "https://elsewhere"
    expected = ("EdgeNodeEndpointUpdated", {"id": 1, "endpoint": "https://elsewhere"})
    assert chain.events(participants, receipt) == [expected]


def test_update_endpoint_refuses_an_id_never_given_out(chain: Chain, participants: Contract) -> None:
    with reverts("ParticipantsUnknownEdgeNode", 1):
        chain.send(participants.functions.updateEndpoint(1, "https://elsewhere"))


def test_update_endpoint_refuses_a_retired_edge_node(chain: Chain, participants: Contract) -> None:
    admit(chain, participants, account(1))
    chain.send(participants.functions.retireEdgeNode(1))
    with reverts("ParticipantsNotActive", account(1)):
        chain.send(participants.functions.updateEndpoint(1, "https://elsewhere"))


@pytest.mark.parametrize("length", [0, 257])
def test_update_endpoint_refuses_an_impossible_length(chain: Chain, participants: Contract, length: int) -> None:
    admit(chain, participants, account(1))
    with reverts("ParticipantsEndpointLength", length):
        chain.send(participants.functions.updateEndpoint(1, "e" * length))


def test_update_endpoint_accepts_the_longest(chain: Chain, participants: Contract) -> None:
    admit(chain, participants, account(1))
    longest = "e" * participants.functions.MAX_ENDPOINT_LENGTH().call()
    chain.send(participants.functions.updateEndpoint(1, longest))
    assert participants.functions.edgeNode(1).call()[4] == longest


def test_replace_edge_node_keys_changes_both(chain: Chain, participants: Contract) -> None:
    admit(chain, participants, account(1))
    receipt = chain.send(participants.functions.replaceEdgeNodeKeys(1, digest("a"), digest("b")))
    assert participants.functions.edgeNode(1).call()[2:4] == (digest("a"), digest("b"))
    ((name, event),) = chain.events(participants, receipt)
    assert (name, event["id"], event["signatureKeyDigest"]) == ("EdgeNodeKeysReplaced", 1, digest("a"))


@pytest.mark.parametrize("keys", [(bytes(32), KEY), (KEY, bytes(32))])
def test_replace_edge_node_keys_refuses_a_zero_digest(
    chain: Chain, participants: Contract, keys: tuple[bytes, bytes]
) -> None:
    admit(chain, participants, account(1))
    with reverts("ParticipantsZeroKeyDigest"):
        chain.send(participants.functions.replaceEdgeNodeKeys(1, *keys))


def test_replace_edge_node_keys_refuses_a_retired_edge_node(chain: Chain, participants: Contract) -> None:
    admit(chain, participants, account(1))
    chain.send(participants.functions.retireEdgeNode(1))
    with reverts("ParticipantsNotActive", account(1)):
        chain.send(participants.functions.replaceEdgeNodeKeys(1, KEY, KEY))


def test_require_active_counts_all_active_edge_nodes(consortium: Consortium) -> None:
    two = [address(edge_node_key(i)) for i in range(2)]
    assert consortium.participants.functions.requireActive(two).call() == 3
    assert consortium.participants.functions.requireActive([]).call() == 3


def test_require_active_names_the_first_that_is_not(consortium: Consortium) -> None:
    with reverts("ParticipantsNotActive", account(7)):
        consortium.participants.functions.requireActive([address(edge_node_key(0)), account(7), account(8)]).call()


# --- the owner


OWNER_ONLY = [
    ("allowClients", [[account(1)]]),
    ("removeClient", [account(1)]),
    ("admitEdgeNode", [account(1), KEY, KEY, "https://e"]),
    ("retireEdgeNode", [1]),
    ("replaceEdgeNodeKeys", [1, KEY, KEY]),
    ("updateEndpoint", [1, "https://e"]),
]


@pytest.mark.parametrize(("function", "arguments"), OWNER_ONLY, ids=[name for name, _ in OWNER_ONLY])
def test_owner_functions_refuse_everybody_else(
    chain: Chain, participants: Contract, function: str, arguments: list[object]
) -> None:
    with reverts("OwnableUnauthorizedAccount", raw(chain.user(0))):
        chain.send(participants.functions[function](*arguments), chain.user(0))


def test_ownership_moves_in_two_steps(chain: Chain, participants: Contract) -> None:
    successor = chain.user(0)
    chain.send(participants.functions.transferOwnership(successor))
    assert participants.functions.owner().call() == chain.owner
    chain.send(participants.functions.acceptOwnership(), successor)
    assert participants.functions.owner().call() == successor
