"""`bflmec deploy`, `bflmec participants` and `bflmec networks` against a served chain: what an operator types first."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address
from typer.testing import CliRunner
from web3 import Web3

from bflmec.cli.connection import parse_address, parse_digest
from bflmec.cli.main import app
from bflmec.configuration import load
from bflmec.consortium.commitments import deployment_parameters
from bflmec.consortium.genesis import genesis_of
from bflmec.crypto.keystore import ACCOUNT_SCHEME, LIGHT_WORK, StoredKey, write_key
from bflmec.devchain import DevChain, DevChainProvider, Genesis
from bflmec.devchain.service.miner import Miner
from bflmec.devchain.service.server import ChainServer
from bflmec.errors import BFLMECError, ConfigError, KeystoreError, LedgerError
from bflmec.ledger.deployment import Deployment

OWNER, EDGE, CLIENT, STRANGER = (Account.from_key(bytes([index] * 32)) for index in range(0x41, 0x45))
SIGNATURE, ENCAPSULATION = (sha256(name).hexdigest() for name in (b"signature key", b"encapsulation key"))
CONFIGURED = ("--set", "dataset=digits")


@dataclass(frozen=True)
class Desk:
    """An operator's folder, and a node that answers."""

    folder: Path
    url: str
    chain: DevChain

    def run(self, *arguments: str, key: str | None = "owner", network: str | None = None) -> str:
        """What a command prints. Raises what ended it."""
        secret = ["--key", str(self.folder / f"{key}.json"), "--password-file", str(self.folder / "password")]
        result = CliRunner().invoke(app, [*arguments, "--network", network or self.url, *(secret if key else [])])
        if result.exception is not None:
            raise result.exception
        return result.output

    def deploy(self, *arguments: str, **options: str) -> str:
        return self.run("deploy", *CONFIGURED, "--out", str(self.record), *arguments, **options)

    def participants(self, command: str, *arguments: str, key: str | None = "owner") -> str:
        return self.run("participants", command, *arguments, "--deployment", str(self.record), key=key)

    def look(self) -> str:
        return self.participants("list", key=None)

    def admit(self, endpoint: str = "https://edge1.example") -> str:
        digests = "--signature-key", SIGNATURE, "--encapsulation-key", ENCAPSULATION
        return self.participants("admit", EDGE.address, endpoint, *digests)

    @property
    def record(self) -> Path:
        return self.folder / "deployment.json"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name, account in (("owner", OWNER), ("stranger", STRANGER)):
        write_key(tmp_path / f"{name}.json", StoredKey(ACCOUNT_SCHEME, bytes(account.key)), b"secret", LIGHT_WORK)
    write_key(tmp_path / "signer.json", StoredKey("ML-DSA-44", bytes(range(1, 33))), b"secret", LIGHT_WORK)
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    balances = {bytes.fromhex(OWNER.address[2:]): 10**18}
    genesis = Genesis(timestamp=1_700_000_000, difficulty=16, balances=balances)
    with (
        DevChain.create(None, genesis, auto_mine=False) as chain,
        Miner(chain),
        ChainServer(chain, "127.0.0.1", 0, ["*"]) as server,
    ):
        yield Desk(tmp_path, server.url, chain)


@pytest.fixture
def deployed(desk: Desk) -> Desk:
    desk.deploy()
    return desk


def refusal(desk: Desk, command: str, *arguments: str, key: str | None = "owner") -> BFLMECError:
    with pytest.raises(BFLMECError) as caught:
        desk.participants(command, *arguments, key=key)
    return caught.value


def test_a_ledger_is_deployed_with_what_the_configuration_fixes(desk: Desk) -> None:
    output = desk.deploy("--set", "base_reward=7")
    deployment = Deployment.load(desk.record)
    config = load(settings=["dataset=digits", "base_reward=7"])
    assert deployment.parameters == deployment_parameters(config, genesis_of(config))
    assert to_checksum_address(deployment.ledger) in output


def test_a_ledger_is_not_deployed_twice(deployed: Desk) -> None:
    before = deployed.chain.head.number
    deployed.deploy()
    assert deployed.chain.head.number == before


def test_another_ledger_does_not_overwrite_a_record(deployed: Desk) -> None:
    before = deployed.record.read_bytes()
    with pytest.raises(LedgerError, match="other parameters"):
        deployed.deploy("--set", "base_reward=7")
    assert deployed.record.read_bytes() == before


def test_an_interrupted_deployment_goes_on(desk: Desk) -> None:
    desk.deploy("--out", str(desk.folder / "first.json"))
    unfinished = desk.folder / "deployment.json.unfinished"
    first = Deployment.load(desk.folder / "first.json")
    contracts = {"Participants": first.participants, "ECDSACertificates": first.certificates}
    progress = {
        "chain_id": first.chain_id,
        "account": OWNER.address.lower(),
        "purpose": "0x" + first.parameters.digest.hex(),
        "created": [
            {"contract": name, "address": "0x" + address.hex(), "block": first.block}
            for name, address in contracts.items()
        ],
    }
    unfinished.write_text(json.dumps(progress))
    desk.deploy()
    second = Deployment.load(desk.record)
    assert (second.participants, second.certificates) == (first.participants, first.certificates)
    assert second.ledger != first.ledger
    assert not unfinished.exists()


def test_two_processes_do_not_deploy_into_one_folder(desk: Desk) -> None:
    descriptor = os.open(desk.folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(LedgerError, match="another process"):
            desk.deploy()
    finally:
        os.close(descriptor)
    assert desk.chain.head.number == 0


def test_a_folder_that_is_not_there_is_named_before_anything_is_sent(desk: Desk) -> None:
    with pytest.raises(LedgerError, match="no record can be written"):
        desk.deploy("--out", str(desk.folder / "none" / "deployment.json"))
    assert desk.chain.head.number == 0


def test_ether_is_sent_from_a_key_file(desk: Desk) -> None:
    output = desk.run("chain", "fund", CLIENT.address, EDGE.address, "--ether", "0.25")
    assert output.splitlines() == [f"{account.address} has 0.25 ether" for account in (CLIENT, EDGE)]


def test_a_dry_run_says_the_cost_and_sends_nothing(desk: Desk) -> None:
    output = desk.deploy("--dry-run")
    assert "transactions  5, of" in output
    assert desk.chain.head.number == 0
    assert not desk.record.exists()


def test_a_dry_run_says_when_the_account_can_not_pay(desk: Desk) -> None:
    with pytest.raises(LedgerError, match="can't pay"):
        desk.deploy("--dry-run", key="stranger")


def test_only_an_account_can_deploy(desk: Desk) -> None:
    with pytest.raises(KeystoreError, match="ML-DSA-44"):
        desk.deploy(key="signer")
    assert desk.chain.head.number == 0


def test_another_chain_than_the_named_one_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.folder / "networks.toml").write_text(f'[networks.mine]\nrpc = "{desk.url}"\nchain_id = 5\n')
    monkeypatch.chdir(desk.folder)
    with pytest.raises(LedgerError, match="not 5"):
        desk.deploy(network="mine")
    assert desk.chain.head.number == 0


def test_an_account_pays_as_the_network_says(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "[networks.{name}]\nrpc = '{url}'\nfees = '{name}'\n"
    kinds = "legacy", "auto"
    (desk.folder / "networks.toml").write_text("".join(text.format(name=name, url=desk.url) for name in kinds))
    monkeypatch.chdir(desk.folder)
    for kind in kinds:
        desk.run("chain", "fund", CLIENT.address, "--ether", "0.1", network=kind)
    w3 = Web3(DevChainProvider(desk.chain))
    sent = [w3.eth.get_transaction_by_block(number, 0)["type"] for number in (1, 2)]
    assert sent == [0, 2]


def test_an_edge_node_is_admitted_once(deployed: Desk) -> None:
    assert last_line(deployed.admit()) == "edge node 1"
    assert last_line(deployed.admit()) == "edge node 1 already"
    (line,) = deployed.participants("list", "--json", key=None).splitlines()
    assert json.loads(line) == {
        "id": 1,
        "account": EDGE.address,
        "active": True,
        "signature_key_digest": "0x" + SIGNATURE,
        "encapsulation_key_digest": "0x" + ENCAPSULATION,
        "endpoint": "https://edge1.example",
    }


def test_admitting_again_elsewhere_moves(deployed: Desk) -> None:
    deployed.admit()
    deployed.admit("https://elsewhere.example")
    assert "https://elsewhere.example" in deployed.look()


def test_edge_nodes_move_get_other_keys_and_retire(deployed: Desk) -> None:
    deployed.admit()
    deployed.participants("move", "1", "https://moved.example")
    deployed.participants("replace-keys", "1", "--signature-key", ENCAPSULATION, "--encapsulation-key", SIGNATURE)
    node = json.loads(deployed.participants("list", "--json", key=None))
    assert (node["endpoint"], node["signature_key_digest"]) == ("https://moved.example", "0x" + ENCAPSULATION)
    deployed.participants("retire", "1")
    assert "retired" in deployed.look()
    assert "already" in deployed.participants("retire", "1")


def test_clients_are_allowed_and_removed(deployed: Desk, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.txt"
    fleet.write_text(f"{CLIENT.address}\n\n{STRANGER.address.lower()}\n")
    assert last_line(deployed.participants("allow", "--file", str(fleet))) == "allowed 2; 0 were already"
    assert last_line(deployed.participants("allow", CLIENT.address)) == "allowed 0; 1 were already"
    assert "allowed     yes" in deployed.participants("client", CLIENT.address, key=None)
    deployed.participants("remove", CLIENT.address)
    assert "allowed     no" in deployed.participants("client", CLIENT.address, key=None)


def test_who_may_not_decide_is_told_before_anything_is_sent(deployed: Desk) -> None:
    before = deployed.chain.head.number
    assert OWNER.address in str(refusal(deployed, "allow", CLIENT.address, key="stranger"))
    assert deployed.chain.head.number == before


def test_after_the_set_up_the_deployers_key_decides_nothing(deployed: Desk) -> None:
    deployed.admit()
    deployed.participants("end-set-up")
    deployed.participants("end-set-up")
    assert "quorum" in deployed.look()
    assert "quorum" in str(refusal(deployed, "allow", CLIENT.address))


@pytest.mark.parametrize(
    "account",
    ["0x12", "edge", EDGE.address[2:], EDGE.address[:-1] + "0", "0x" + EDGE.address[2:].upper(), ""],
)
def test_what_is_no_account_is_refused(account: str) -> None:
    with pytest.raises(ConfigError, match="no account"):
        parse_address(account)


@pytest.mark.parametrize("digest", ["0x12", "key", SIGNATURE + "00"])
def test_what_is_no_digest_is_refused(digest: str) -> None:
    with pytest.raises(ConfigError, match="no digest"):
        parse_digest(digest)


def test_an_endpoint_can_not_control_the_terminal(deployed: Desk) -> None:
    deployed.admit("https://x\x1b[2J.example")
    assert "\x1b" not in deployed.look()


def test_a_network_says_what_it_is(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'[networks.mine]\nrpc = "{desk.url}/${{SECRET}}"\n')
    listed = CliRunner().invoke(app, ["networks", "list", "--networks", str(file)]).output
    assert "mine" in listed
    assert "SECRET" not in listed
    checked = CliRunner().invoke(app, ["networks", "check", desk.url]).output
    assert f"chain       {desk.chain.chain_id}" in checked


def last_line(output: str) -> str:
    return output.strip().splitlines()[-1]
