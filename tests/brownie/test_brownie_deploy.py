"""`brownie run deploy` works on a fresh home, against Brownie's own development network and against a live one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from web3 import Web3

from bflmec.configuration import load
from bflmec.consortium.commitments import deployment_parameters
from bflmec.consortium.genesis import genesis_of
from bflmec.consortium.rules import rules_of
from bflmec.crypto.keystore import ACCOUNT_SCHEME, LIGHT_WORK, StoredKey, write_key
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import Deployment, check

ROOT = Path(__file__).parents[2]
BROWNIE = ROOT / ".venv-brownie" / "bin" / "brownie"
ANVIL = ROOT / "node_modules" / ".bin" / "anvil"
CONFIG = """
[data]
dataset = "digits"
samples_per_client = 200
[experiment]
clients = 5
[ledger]
difficulty = 77
base_reward = 9
"""

pytestmark = [
    pytest.mark.toolchain,
    pytest.mark.skipif(not BROWNIE.exists(), reason="needs Brownie's environment: make brownie"),
    pytest.mark.xdist_group("brownie"),
]


@dataclass(frozen=True)
class Checkout:
    """A copy of what Brownie reads, and an empty home."""

    root: Path
    home: Path

    def brownie(self, *arguments: str, **variables: str) -> str:
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"], "TERM": "dumb", **variables}
        done = subprocess.run(
            [BROWNIE, *arguments],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        assert "Traceback" not in output, output
        return output


@dataclass(frozen=True)
class Network:
    """An anvil that stands for a live network; its first account owns everything. Its fork knows no EIP-1559."""

    url: str
    chain_id: int
    web3: Web3
    owner_key: bytes


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    root, home = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("home")
    for name in ("contracts", "scripts"):
        shutil.copytree(ROOT / name, root / name)
    shutil.copy(ROOT / "brownie-config.yaml", root)
    (root / "node_modules").symlink_to(ROOT / "node_modules")
    (root / "config.toml").write_text(CONFIG)
    return Checkout(root, home)


@pytest.fixture
def live() -> Iterator[Network]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Brownie remembers deployments by chain id, so no two of these networks may share one.
    chain_id = 1_000_000 + port
    command = [ANVIL, "--port", str(port), "--chain-id", str(chain_id), "--hardfork", "berlin", "--quiet"]
    anvil = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    web3 = Web3(Web3.HTTPProvider(f"http://127.0.0.1:{port}"))
    deadline = time.monotonic() + 60
    while not web3.is_connected():
        assert anvil.poll() is None, "anvil ended"
        assert time.monotonic() < deadline, "anvil does not answer"
        time.sleep(0.05)
    # The first account of anvil's well-known test mnemonic.
    key = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
    yield Network(f"http://127.0.0.1:{port}", chain_id, web3, key)
    anvil.terminate()
    anvil.wait(timeout=30)


def test_deploy_on_the_development_network(checkout: Checkout) -> None:
    output = checkout.brownie("run", "deploy", "main", "config.toml")
    deployment = Deployment.from_json(output[output.index("{\n") : output.rindex("\n}") + 2])
    assert deployment.chain_id == 31337
    assert not (checkout.root / "deployments").exists()


def test_deploy_on_a_live_network(checkout: Checkout, live: Network, tmp_path: Path) -> None:
    write_key(tmp_path / "owner.json", StoredKey(ACCOUNT_SCHEME, live.owner_key), b"secret", LIGHT_WORK)
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    checkout.brownie("networks", "add", "live", "consortium", f"host={live.url}", f"chainid={live.chain_id}")
    checkout.brownie(
        *("run", "deploy", "main", "config.toml", "--network", "consortium"),
        BFLMEC_KEY=str(tmp_path / "owner.json"),
        BFLMEC_PASSWORD_FILE=str(tmp_path / "password"),
    )
    deployment = Deployment.load(checkout.root / "deployments" / f"{live.chain_id}.json")
    check(live.web3, deployment)

    config = load(checkout.root / "config.toml")
    genesis = genesis_of(config)
    assert deployment.parameters == deployment_parameters(config, genesis)
    ledger = LedgerClient(live.web3, deployment)
    recorded = ledger.parameters()
    assert (recorded.difficulty, recorded.base_reward) == (77, 9 * 10**18)
    assert recorded.rules_digest == rules_of(config, genesis.model).digest
    assert recorded.genesis == deployment.parameters.genesis


def test_deploy_on_a_live_network_without_a_key_says_so(checkout: Checkout, live: Network) -> None:
    checkout.brownie("networks", "add", "live", "keyless", f"host={live.url}", f"chainid={live.chain_id}")
    with pytest.raises(AssertionError, match="BFLMEC_KEY"):
        checkout.brownie("run", "deploy", "main", "config.toml", "--network", "keyless")
    assert live.web3.eth.block_number == 0
