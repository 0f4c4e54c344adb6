"""What every transaction costs, against the committed snapshot; all included, under the newest gas rules.

After a change that is meant to cost more, or to bank one that costs less:

    UPDATE_GAS_SNAPSHOT=1 pytest tests/contracts/test_contract_gas.py
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from consortium import GAS, PARAMETERS, Chain, Consortium, account, digest, edge_node_key, share
from hash_signers import HashConsortium, signer
from test_contract_challenges import CLIENT_SEED, Staked
from web3.contract import Contract

from bflmec.crypto.schemes import signature_scheme
from bflmec.protocol.messages import GRADIENT_CONTEXT

SNAPSHOT = Path(__file__).with_name("gas_snapshot.json")
UPDATES = 16  # two full storage slots of anchors, so that the mean is the long-run mean

# Everything that one aggregation costs on the ledger: certificate of two edge nodes, φ transactions, φ rewards.
TARGETS = {"append, 10 gradients and an update (mean)": 140_000, "append, 20 gradients and an update (mean)": 180_000}


def mean_update(chain: Chain, gradients: int, **changes: Any) -> int:
    consortium = Consortium.found(chain, edge_nodes=2, aggregationThreshold=gradients, **changes)
    rewards = share(PARAMETERS["baseReward"], gradients)
    consortium.append(consortium.block(gradients, rewards))
    spent = [consortium.append(consortium.block(gradients, rewards))["gasUsed"] for _ in range(UPDATES)]
    return round(sum(spent) / UPDATES)


def mean_hash_based(chain: Chain, edge_nodes: int) -> int:
    """`mean_update` for 10 gradients, certified by that many edge nodes with one-time keys of trees of height 12."""
    hashes = HashConsortium.found(chain, edge_nodes, height=12, aggregationThreshold=10)
    rewards = share(PARAMETERS["baseReward"], 10)
    spent = []
    for _ in range(9):
        block = hashes.certified(hashes.base.block(10, rewards))
        spent.append(hashes.base.append(block)["gasUsed"])
    return round(sum(spent[1:]) / 8)


def trees(chain: Chain) -> dict[str, int]:
    hashes = HashConsortium.found(chain, 1, height=12)
    contract, first = hashes.base.certificates, hashes.signers[0]
    root = signer(contract, first.account, 12, epoch=2).root
    entry = first.entry(first.contract, contract.functions.replacementHash(root, 12).call())
    enrolled = chain.send(contract.functions.enroll(account(1), root, 12))
    replaced = chain.send(contract.functions.replaceTree(root, 12, entry))
    return {"enroll": int(enrolled["gasUsed"]), "replaceTree": int(replaced["gasUsed"])}


def without_update(chain: Chain) -> int:
    consortium = Consortium.found(chain, edge_nodes=2)
    consortium.append(consortium.block(1))
    return int(consortium.append(consortium.block(1))["gasUsed"])


def deployments(chain: Chain) -> dict[str, int]:
    spent: dict[str, int] = {}

    def deploy(name: str, *arguments: object) -> Contract:
        contract = chain.deploy(name, *arguments)
        block = chain.web3.eth.get_block("latest")
        spent[f"deploy {name}"] = int(block["gasUsed"])
        return contract

    participants = deploy("Participants", chain.owner, False)
    certificates = deploy("ECDSACertificates")
    given = {"participants": participants.address, "certificates": certificates.address, **PARAMETERS}
    ledger = deploy("BFLLedger", tuple(given.values()))
    deploy("RewardToken", ledger.address)
    deploy("XMSSCertificates", participants.address)
    deploy("Government", participants.address, certificates.address, 3600)
    deploy("Challenges", ledger.address, ledger.address, 64)
    return spent


def registrations(chain: Chain) -> dict[str, int]:
    participants = chain.deploy("Participants", chain.owner, False)
    functions, client, node = participants.functions, chain.user(0), chain.user(1)
    keys = [digest("key", i) for i in range(2)]
    endpoint = "https://edge-1.example:8443"
    calls: list[tuple[str, Callable[[], Any], str]] = [
        ("allowClients, 10", lambda: functions.allowClients([client, *map(account, range(9))]), chain.owner),
        ("registerClient", lambda: functions.registerClient(keys[0]), client),
        ("registerClient, rotation", lambda: functions.registerClient(keys[1]), client),
        ("removeClient", lambda: functions.removeClient(client), chain.owner),
        ("admitEdgeNode", lambda: functions.admitEdgeNode(node, *keys, endpoint), chain.owner),
        ("updateEndpoint", lambda: functions.updateEndpoint(1, endpoint[::-1]), chain.owner),
        ("replaceEdgeNodeKeys", lambda: functions.replaceEdgeNodeKeys(1, *keys[::-1]), chain.owner),
        ("retireEdgeNode", lambda: functions.retireEdgeNode(1), chain.owner),
    ]
    return {name: int(chain.send(call(), sender)["gasUsed"]) for name, call, sender in calls}


def claims(chain: Chain) -> dict[str, int]:
    consortium = Consortium.found(chain, edge_nodes=1)
    consortium.append_update(10)
    first = consortium.claim(account(0))["gasUsed"]
    consortium.append_update(10)
    return {"claim, first of 10": int(first), "claim, again": int(consortium.claim(account(0))["gasUsed"])}


def challenges(chain: Chain) -> dict[str, int]:
    """Of a block of one local gradient that two edge nodes certified with ECDSA."""
    staked = Staked.found(chain)
    functions = staked.contract.functions
    header = staked.header()
    # Gas depends on the signature, so it is the deterministic one.
    key = signature_scheme("ML-DSA-44", "dilithium-py").from_seed(CLIENT_SEED)
    signature = bytearray(key.sign(header.digest, GRADIENT_CONTEXT))
    signature[1000] ^= 1
    number = staked.record(header.encode(), signatures=[bytes(signature)])
    foreign = staked.record(staked.header(1, client=account(1)).encode())
    announced = chain.send(functions.announce(digest("commitment")))
    accusation = staked.accusation(number)
    shown = functions.challengeSignature(staked.shown(number), [key.public_key], bytes(signature), accusation)
    false = chain.send(shown)
    for key in staked.consortium.keys:
        staked.deposit(key.public_key.to_canonical_address())
    other = chain.send(functions.challengeHeader(staked.shown(foreign), staked.accusation(foreign)))
    return {
        "announce": int(announced["gasUsed"]),
        "challengeSignature": int(false["gasUsed"]),
        "challengeHeader": int(other["gasUsed"]),
    }


@cache
def measured() -> dict[str, int]:
    chain = Chain.start()  # its own, so that no other test shifts an address
    return {
        **deployments(chain),
        **registrations(chain),
        **{f"append, {n} gradients and an update (mean)": mean_update(chain, n) for n in (10, 20)},
        "append, 10 gradients and an update, archived (mean)": mean_update(chain, 10, archive=True),
        "append, 1 gradient": without_update(chain),
        **{
            f"append, 10 gradients and an update, {n} hash-based signatures (mean)": mean_hash_based(chain, n)
            for n in (2, 3)
        },
        **trees(chain),
        **claims(chain),
        **challenges(chain),
    }


def test_nothing_costs_more_gas_than_the_snapshot() -> None:
    if os.environ.get("UPDATE_GAS_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(measured(), indent=2, ensure_ascii=False) + "\n")
    snapshot = json.loads(SNAPSHOT.read_text())
    risen = {
        name: f"{snapshot.get(name, 0)} -> {gas}" for name, gas in measured().items() if gas > snapshot.get(name, 0)
    }
    assert not risen, f"{__doc__}\nmore expensive: {risen}"


def test_snapshot_lists_exactly_what_is_measured() -> None:
    assert json.loads(SNAPSHOT.read_text()).keys() == measured().keys()


@pytest.mark.parametrize("name", TARGETS)
def test_append_stays_within_its_target(name: str) -> None:
    assert measured()[name] <= TARGETS[name]


def test_no_deployment_exceeds_what_one_transaction_may_use() -> None:
    assert all(gas <= GAS for gas in measured().values())


def test_a_hash_based_signature_stays_within_its_target() -> None:
    two, three = (measured()[f"append, 10 gradients and an update, {n} hash-based signatures (mean)"] for n in (2, 3))
    assert three - two <= 105_000
    assert two / 10 <= 35_000


@pytest.mark.parametrize("edge_nodes", [3, 9])
def test_a_further_signature_costs_a_bounded_amount(edge_nodes: int) -> None:
    chain = Chain.start()

    def spent(signers: int) -> int:
        consortium = Consortium.found(chain, edge_nodes=0)
        for index in range(signers):
            consortium.admit(edge_node_key(index))
        return int(consortium.append(consortium.block(1))["gasUsed"])

    assert (spent(edge_nodes) - spent(2)) / (edge_nodes - 2) < 8_000
