"""Other people's tools on the served chain: Foundry's cast, ethers and Brownie deploy, send, call and read logs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chain_service import served
from chain_tools import ALICE, CHAIN_ID, PROBE

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CAST = ROOT / "node_modules" / ".bin" / "cast"
ETHERS = ROOT / "node_modules" / "ethers"
BROWNIE = ROOT / ".venv-brownie" / "bin" / "brownie"
KEY = "0x" + bytes(ALICE.key).hex()
BYTECODE = "0x" + PROBE["bytecode"].removeprefix("0x")

pytestmark = pytest.mark.toolchain


@pytest.fixture
def url() -> Iterator[str]:
    with served() as (_, server):
        yield server.url


def output_of(*command: str | Path, **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not CAST.exists(), reason="needs npm ci")
def test_cast(url: str) -> None:
    def cast(*arguments: str) -> str:
        return output_of(CAST, *arguments, env={"ETH_RPC_URL": url, "PATH": os.environ["PATH"]}).strip()

    def refusal_of(*arguments: str) -> str:
        command = [CAST, *arguments, "--rpc-url", url]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stderr

    assert cast("chain-id") == str(CHAIN_ID)
    probe = json.loads(cast("send", "--json", "--private-key", KEY, "--create", BYTECODE))["contractAddress"]
    sent = json.loads(cast("send", "--json", "--private-key", KEY, probe, "store(uint256,bytes)", "7", "0x01"))
    assert sent["status"] == "0x1"
    assert cast("call", probe, "value()(uint256)") == "7"
    assert "execution reverted: the reason" in refusal_of("call", probe, "complain()")
    assert "execution reverted: the reason" in refusal_of("send", "--private-key", KEY, probe, "complain()")
    assert "eth_getStorageAt" in refusal_of("proof", probe)
    (log,) = json.loads(cast("logs", "--json", "--from-block", "0", "--address", probe))
    assert log["transactionHash"] == sent["transactionHash"]
    assert json.loads(cast("receipt", "--json", sent["transactionHash"])) == sent
    block = json.loads(cast("block", "--json", "2"))
    assert block["hash"] == sent["blockHash"]
    assert block["transactions"] == [sent["transactionHash"]]
    assert cast("nonce", ALICE.address) == "2"
    assert cast("codesize", probe) != "0"


@pytest.fixture
def ticking_url() -> Iterator[str]:
    """Of a chain with a block at each tick.

    ethers asks once for a receipt and then at each block that comes after its own first look. On a chain that seals
    blocks for waiting transactions alone, the one block that matters may come in between, and no other ever.
    """
    with served(block_time=0.1) as (_, server):
        yield server.url


@pytest.mark.skipif(not ETHERS.exists(), reason="needs npm ci")
def test_ethers(ticking_url: str) -> None:
    printed = output_of("node", HERE / "ethers_client.mjs", ticking_url, KEY, BYTECODE, json.dumps(PROBE["abi"]))
    seen = json.loads(printed)
    assert "eth_sendRawTransaction" in seen.pop("unsupported")
    assert seen == {
        "chainId": CHAIN_ID,
        "heard": 7,
        "value": 7,
        "reason": "the reason",
        "custom": "ProbeRefused",
        "status": 0,
        "paid": 1,
        "balance": str(10**18),
        "logs": ["0x01"],
        "sameHash": True,
        "feesAreSuggested": True,
    }


@pytest.mark.skipif(not BROWNIE.exists(), reason="needs Brownie's environment: make brownie")
def test_brownie_on_a_live_network(url: str, tmp_path: Path) -> None:
    project, home = tmp_path / "project", tmp_path / "home"
    for folder in (project / "contracts", project / "scripts", home):
        folder.mkdir(parents=True)
    shutil.copy(HERE / "brownie_client.py", project / "scripts" / "use.py")
    (project / "brownie-config.yaml").write_text("dependencies: []\n")
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "TERM": "dumb",
        "KEY": KEY,
        "PROBE": json.dumps(PROBE | {"bytecode": BYTECODE}),
    }

    def brownie(*arguments: str) -> str:
        return output_of(BROWNIE, *arguments, cwd=project, env=environment)

    brownie("networks", "add", "live", "served", f"host={url}", f"chainid={CHAIN_ID}")
    printed = brownie("run", "use", "--network", "served")
    seen = json.loads(next(line for line in printed.splitlines() if line.startswith("{")))
    assert "the reason" in seen.pop("reason")
    assert seen == {
        "chainId": CHAIN_ID,
        "value": 7,
        "event": 7,
        "status": 0,
        "paid": 1,
        "balance": str(10**18),
        "logs": 1,
        "sent": 4,
    }
