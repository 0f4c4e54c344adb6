"""`brownie run deploy` works on a fresh home, against Brownie's own development network and against a live one."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner
from web3 import Web3

from bflmec.cli.main import app
from bflmec.configuration import load
from bflmec.consortium.commitments import deployment_parameters
from bflmec.consortium.genesis import genesis_of
from bflmec.consortium.rules import rules_of
from bflmec.crypto.keystore import ACCOUNT_SCHEME, LIGHT_WORK, StoredKey, write_key
from bflmec.devchain import DevChain, Genesis
from bflmec.devchain.service.accounts import BALANCE, dev_accounts
from bflmec.devchain.service.miner import Miner
from bflmec.devchain.service.server import ChainServer
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
    """Stands for a live network. anvil's fork knows no EIP-1559, the embedded chain does."""

    url: str
    chain_id: int
    web3: Web3


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    root, home = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("home")
    for name in ("contracts", "scripts"):
        shutil.copytree(ROOT / name, root / name)
    shutil.copy(ROOT / "brownie-config.yaml", root)
    (root / "node_modules").symlink_to(ROOT / "node_modules")
    (root / "config.toml").write_text(CONFIG)
    return Checkout(root, home)


@contextmanager
def anvil_network() -> Iterator[Network]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Brownie remembers deployments by chain id, so no two of these networks may share one.
    chain_id = 1_000_000 + port
    command = [ANVIL, "--port", str(port), "--chain-id", str(chain_id), "--hardfork", "berlin", "--quiet"]
    anvil = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        web3 = Web3(Web3.HTTPProvider(f"http://127.0.0.1:{port}"))
        deadline = time.monotonic() + 60
        while not web3.is_connected():
            assert anvil.poll() is None, "anvil ended"
            assert time.monotonic() < deadline, "anvil does not answer"
            time.sleep(0.05)
        yield Network(f"http://127.0.0.1:{port}", chain_id, web3)
    finally:
        anvil.terminate()
        anvil.wait(timeout=30)


@contextmanager
def embedded_network(chain_id: int = 31_338) -> Iterator[Network]:
    """What `bflmec chain serve` is."""
    (owner,) = dev_accounts(1)
    genesis = Genesis(timestamp=int(time.time()), chain_id=chain_id, difficulty=16, balances={owner.address: BALANCE})
    with (
        DevChain.create(None, genesis, auto_mine=False) as chain,
        Miner(chain),
        ChainServer(chain, "127.0.0.1", 0, ["*"]) as server,
    ):
        yield Network(server.url, chain.chain_id, Web3(Web3.HTTPProvider(server.url)))


@pytest.fixture(params=[anvil_network, embedded_network], ids=["anvil", "embedded"])
def live(request: pytest.FixtureRequest) -> Iterator[Network]:
    with request.param() as network:
        yield network


def test_deploy_on_the_development_network(checkout: Checkout) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:  # on the usual port somebody else's chain may be
        checkout.brownie("networks", "modify", "development", f"port={free.getsockname()[1]}")
    output = checkout.brownie("run", "deploy", "main", "config.toml")
    deployment = Deployment.from_json(output[output.index("{\n") : output.rindex("\n}") + 2])
    assert deployment.chain_id == 31337
    assert not (checkout.root / "deployments").exists()


def test_deploy_on_a_live_network(checkout: Checkout, live: Network, tmp_path: Path) -> None:
    (owner,) = dev_accounts(1)
    write_key(tmp_path / "owner.json", StoredKey(ACCOUNT_SCHEME, owner.key), b"secret", LIGHT_WORK)
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    name = f"live-{live.chain_id}"
    run = "run", "deploy", "main", "config.toml", "--network", name
    secrets = {"BFLMEC_KEY": str(tmp_path / "owner.json"), "BFLMEC_PASSWORD_FILE": str(tmp_path / "password")}
    checkout.brownie(*line_to_add(name, live))
    checkout.brownie(*run, **secrets)
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

    blocks = live.web3.eth.block_number
    with pytest.raises(AssertionError, match="move it away"):
        checkout.brownie(*run, **secrets)
    assert live.web3.eth.block_number == blocks


def test_deploy_on_a_live_network_without_a_key_says_so(checkout: Checkout) -> None:
    with embedded_network(chain_id=31_339) as live:
        checkout.brownie(*line_to_add("keyless", live))
        with pytest.raises(AssertionError, match="BFLMEC_KEY"):
            checkout.brownie("run", "deploy", "main", "config.toml", "--network", "keyless")
        assert live.web3.eth.block_number == 0


def line_to_add(name: str, network: Network) -> list[str]:
    """The arguments of Brownie that `bflmec networks brownie` prints."""
    printed = CliRunner().invoke(app, ["networks", "brownie", network.url, "--name", name]).output
    command, *arguments = shlex.split(printed)
    assert command == "brownie"
    return arguments
