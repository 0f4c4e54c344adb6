"""The compose files hold together: what they name is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bflmec.configuration import load
from bflmec.ledger.network import load_networks

COMPOSE = Path(__file__).parents[2] / "compose"
STACKS = ("anvil", "geth")
SCRIPT_FOLDER = "/opt/bflmec/"


def stack(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((COMPOSE / name / "compose.yaml").read_text())
    return content


def scripts_of(service: dict[str, Any]) -> list[str]:
    words = [*service.get("command", []), *service.get("entrypoint", [])]
    return [word.removeprefix(SCRIPT_FOLDER) for word in words if word.startswith(SCRIPT_FOLDER)]


@pytest.mark.parametrize("name", STACKS)
def test_every_service_waits_for_services_that_there_are(name: str) -> None:
    services = stack(name)["services"]
    for service in services.values():
        assert set(service.get("depends_on", [])) <= services.keys()


@pytest.mark.parametrize("name", STACKS)
def test_every_volume_and_file_is_there(name: str) -> None:
    content = stack(name)
    for service in content["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert (COMPOSE / name / source).exists() if source.startswith(".") else source in content["volumes"]
        assert {one["source"] for one in service.get("configs", [])} <= content["configs"].keys()
    for config in content["configs"].values():
        assert (COMPOSE / name / config["file"]).is_file()


@pytest.mark.parametrize("name", STACKS)
def test_every_variable_that_a_script_needs_is_given(name: str) -> None:
    for service in stack(name)["services"].values():
        for script in scripts_of(service):
            text = (COMPOSE / "scripts" / script).read_text()
            used = set(re.findall(r"\$\{?([A-Z][A-Z_]*)", re.sub(r"^ *#.*$", "", text, flags=re.MULTILINE)))
            optional = set(re.findall(r"\$\{([A-Z][A-Z_]*):-", text))
            assert used - optional <= service["environment"].keys(), script


@pytest.mark.parametrize("name", STACKS)
def test_only_this_machine_reaches_the_ports(name: str) -> None:
    ports = [port for service in stack(name)["services"].values() for port in service.get("ports", [])]
    assert len(set(ports)) == len(ports)
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", STACKS)
def test_no_secret_is_shared(name: str) -> None:
    """Keys are in volumes that one service of the owner, or one edge node, has for itself."""
    services = stack(name)["services"]
    for service, content in services.items():
        for volume in content["volumes"]:
            source = volume.split(":")[0]
            if source == "owner":
                assert service in ("owner", "owner-key")
            if source.startswith("edge-"):
                assert source == service


@pytest.mark.parametrize("name", STACKS)
def test_the_chain_is_the_one_that_the_networks_file_names(name: str) -> None:
    network = load_networks(COMPOSE / name / "networks.toml")["consortium"]
    host = re.sub(r"http://(.*):8545", r"\1", network.rpc)
    service = stack(name)["services"][host]
    if name == "anvil":
        assert str(network.chain_id) in service["command"]
    else:
        genesis = json.loads((COMPOSE / name / "genesis.json").read_text())
        assert genesis["config"]["chainId"] == network.chain_id


def test_the_configuration_is_one() -> None:
    assert load(COMPOSE / "config.toml").ledger.registration == "open"


def test_every_script_can_be_started() -> None:
    for script in (COMPOSE / "scripts").glob("*.sh"):
        is_started = script.read_text().startswith("#!/bin/sh\n")
        assert is_started == bool(script.stat().st_mode & 0o111), script
