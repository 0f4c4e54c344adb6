"""Deployment and its record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_tools import OWNER, PARAMETERS, World, start_chain
from web3 import Web3

from bflmec.devchain import DevChain, DevChainProvider, Genesis
from bflmec.errors import LedgerError, LedgerRevertedError
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import Deployment, deploy
from bflmec.storage.cid import DAG_PB, Cid

RECORD = Deployment(
    chain_id=1337,
    block=3,
    participants=b"\x01" * 20,
    certificates=b"\x02" * 20,
    ledger=b"\xab" * 20,
    token=b"\x04" * 20,
    government=b"\x07" * 20,
    abi_digest=b"\x05" * 32,
    parameters=replace(PARAMETERS, genesis=Cid(DAG_PB, b"\x06" * 32), archive=True),
)


@pytest.fixture(scope="module")
def world() -> World:
    return World.start()


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    RECORD.save(path)
    assert Deployment.load(path) == RECORD
    assert [file.name for file in tmp_path.iterdir()] == ["deployment.json"]


def test_a_record_shows_checksummed_addresses() -> None:
    assert json.loads(RECORD.to_json())["ledger"] == "0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB"


def test_a_record_that_is_missing_or_can_not_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="can't be read"):
        Deployment.load(tmp_path / "nothing.json")
    with pytest.raises(LedgerError, match="can't be written"):
        RECORD.save(tmp_path / "no" / "folder.json")


def changed(**changes: Any) -> str:
    return json.dumps(json.loads(RECORD.to_json()) | changes)


def changed_parameter(**changes: Any) -> str:
    return changed(parameters=json.loads(RECORD.to_json())["parameters"] | changes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 100_000,
        RECORD.to_json()[:-10],
        changed(format=2),
        changed(extra=1),
        changed(chain_id="1337"),
        changed(chain_id=True),
        changed(block=-1),
        changed(ledger="0x12"),
        changed(ledger="0xabababababababababababababababababababab"),
        changed(abi_digest="05" * 32),
        changed(abi_digest=None),
        changed(parameters=None),
        changed_parameter(extra=1),
        changed_parameter(archive="yes"),
        changed_parameter(difficulty=1.5),
        changed_parameter(genesis="bafy"),
        changed_parameter(genesis=7),
        changed_parameter(rules_digest="0x00"),
    ],
    ids=lambda text: text[-40:],
)
def test_a_damaged_record_is_refused(text: str) -> None:
    with pytest.raises(LedgerError):
        Deployment.from_json(text)


def test_a_record_of_the_wrong_size_or_encoding_is_refused(tmp_path: Path) -> None:
    for name, content in (("large", b" " * 100_000), ("binary", b"\xff\xfe")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(LedgerError):
            Deployment.load(path)


@settings(deadline=None)
@given(position=st.integers(0, len(RECORD.to_json()) - 1), character=st.characters(codec="utf-8"))
def test_a_changed_character_gives_a_typed_error_or_another_record(position: int, character: str) -> None:
    text = RECORD.to_json()
    try:
        parsed = Deployment.from_json(text[:position] + character + text[position + 1 :])
    except LedgerError:
        return
    assert Deployment.from_json(parsed.to_json()) == parsed


def test_deploy_names_an_impossible_parameter() -> None:
    w3 = Web3(DevChainProvider(start_chain()))
    with pytest.raises(LedgerRevertedError) as caught:
        deploy(w3, OWNER, replace(PARAMETERS, difficulty=0))
    assert (caught.value.name, caught.value.arguments) == ("LedgerImpossibleParameter", ("difficulty",))


def test_deploy_refuses_values_that_do_not_fit() -> None:
    w3 = Web3(DevChainProvider(start_chain()))
    with pytest.raises(LedgerError, match="BFLLedger"):
        deploy(w3, OWNER, replace(PARAMETERS, max_transactions=70_000))


def test_the_contracts_know_each_other(world: World) -> None:
    client = world.client
    assert client.participants.active_edge_nodes() == 2
    assert client.token.supply() == 0
    assert client.parameters().ledger == world.deployment.ledger


def test_another_chain_is_refused(world: World) -> None:
    with pytest.raises(LedgerError, match="is on chain 7"):
        LedgerClient(world.w3, replace(world.deployment, chain_id=7))


def test_a_chain_without_the_contracts_is_refused(world: World) -> None:
    empty = Web3(DevChainProvider(DevChain.create(None, Genesis(timestamp=1))))
    with pytest.raises(LedgerError, match="no contract at"):
        LedgerClient(empty, world.deployment)


def test_another_version_of_the_contracts_is_refused(world: World) -> None:
    with pytest.raises(LedgerError, match="other interfaces"):
        LedgerClient(world.w3, replace(world.deployment, abi_digest=bytes(32)))
