"""`bflmec challenge` against a served chain: from the contracts to a stake that is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_utils.address import to_checksum_address
from ledger_tools import FIRST, OWNER, STRANGER, World, address
from test_ledger_challenges import header, record, signed, start
from typer.testing import CliRunner

from bflmec.cli.main import app
from bflmec.crypto.keystore import ACCOUNT_SCHEME, LIGHT_WORK, StoredKey, write_key
from bflmec.devchain.service.miner import Miner
from bflmec.devchain.service.server import ChainServer
from bflmec.errors import BFLMECError, ConfigError, KeystoreError, StorageError, VerificationError
from bflmec.storage import BlobStore

STAKE = 10**18


@dataclass
class Desk:
    """A ledger with blocks on a served chain, and the files that somebody at the command line has."""

    world: World
    folder: Path
    url: str

    def run(self, *arguments: str) -> str:
        where = ["--network", self.url, "--deployment", str(self.folder / "deployment.json")]
        result = CliRunner().invoke(app, ["challenge", *arguments, *where])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    def key(self, account: Any) -> list[str]:
        path = self.folder / f"{account.address}.json"
        if not path.exists():
            write_key(path, StoredKey(ACCOUNT_SCHEME, bytes(account.key)), b"password", LIGHT_WORK)
        return ["--key", str(path), "--password-file", str(self.folder / "password")]

    @property
    def store(self) -> list[str]:
        return ["--store", str(self.folder / "blobs")]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    world = start()
    blobs = BlobStore(tmp_path / "blobs")
    for number, spoil in enumerate((False, True)):
        record(world, signed(header(world, number), spoil), blobs=blobs)
    world.deployment.save(tmp_path / "deployment.json")
    (tmp_path / "password").write_text("password")
    (tmp_path / "password").chmod(0o600)
    with Miner(world.chain, None), ChainServer(world.chain, port=0) as server:
        yield Desk(world, tmp_path, server.url)


def test_a_fault_is_looked_for_filed_and_paid(desk: Desk) -> None:
    contract = desk.run("deploy", *desk.key(OWNER)).strip()
    node = to_checksum_address(address(FIRST))
    place = ["--challenges", contract]
    assert f"{STAKE} wei" in desk.run("deposit", node, str(STAKE), *place, *desk.key(OWNER))
    assert desk.run("look", "2", *desk.store) == "block 2, transaction 0: false signature\n"
    before = desk.world.w3.eth.get_balance(STRANGER.address)
    assert "2 edge nodes lose their stakes" in desk.run("file", "2", *place, *desk.store, *desk.key(STRANGER))
    assert desk.world.w3.eth.get_balance(STRANGER.address) - before > STAKE // 3


def test_a_block_in_order_is_not_challenged(desk: Desk) -> None:
    with pytest.raises(VerificationError, match="nothing is wrong"):
        desk.run("look", "1", *desk.store)


def test_a_missing_body_is_named(desk: Desk) -> None:
    (desk.folder / "empty").mkdir()
    with pytest.raises(StorageError):
        desk.run("look", "2", "--store", str(desk.folder / "empty"))


def test_a_retired_edge_node_takes_its_stake_back(desk: Desk) -> None:
    contract = desk.run("deploy", "--window", "1", *desk.key(OWNER)).strip()
    node = to_checksum_address(address(FIRST))
    place = ["--challenges", contract, *desk.key(OWNER)]
    desk.run("deposit", node, str(STAKE), *place)
    desk.world.as_(OWNER).participants.retire_edge_node(1)
    assert "waits for 1 blocks" in desk.run("exit", node, *place)
    with pytest.raises(BFLMECError, match="ExitTooEarly"):
        desk.run("exit", node, *place)


@pytest.mark.parametrize("bad", ["0x12", "nonsense", "0x" + "a" * 40])
def test_an_address_is_checked(desk: Desk, bad: str) -> None:
    with pytest.raises(ConfigError, match="no account or contract"):
        desk.run("deposit", bad, "1", "--challenges", bad, *desk.key(OWNER))


def test_a_signature_key_does_not_pay(desk: Desk) -> None:
    path = desk.folder / "mldsa.json"
    write_key(path, StoredKey("ML-DSA-44", bytes(range(32))), b"password", LIGHT_WORK)
    with pytest.raises(KeystoreError, match="not of a ledger account"):
        desk.run("deploy", "--key", str(path), "--password-file", str(desk.folder / "password"))
