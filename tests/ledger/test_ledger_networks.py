"""The same contracts and client on another Ethereum node, over HTTP, with and without a base fee."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ledger_tools import CLIENT, FIRST, OWNER, PARAMETERS, SECOND, World, address, digest
from web3 import Web3

from bflmec.errors import LedgerError, LedgerRevertedError
from bflmec.ledger.certificates import ECDSACertifier
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import deploy
from bflmec.ledger.follower import BlockRemoved, Follower
from bflmec.ledger.network import Network, connect

ANVIL = Path(__file__).parents[2] / "node_modules" / ".bin" / "anvil"


@pytest.fixture(scope="module", params=["shanghai", "berlin"])
def anvil(request: pytest.FixtureRequest) -> Iterator[Web3]:
    if not ANVIL.exists():
        pytest.skip("needs `npm ci`")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(ANVIL), "--port", str(port), "--hardfork", request.param, "--silent"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        w3 = Web3(Web3.HTTPProvider(f"http://127.0.0.1:{port}"))
        for _ in range(200):
            if w3.is_connected():
                break
            time.sleep(0.05)
        for account in (OWNER, FIRST, SECOND, CLIENT):
            w3.provider.make_request("anvil_setBalance", [account.address, hex(10**24)])  # type: ignore[arg-type]
        yield w3
    finally:
        process.terminate()
        process.wait()


@pytest.mark.toolchain
def test_a_ledger_lives_on_another_node(anvil: Web3) -> None:
    deployment = deploy(anvil, OWNER, PARAMETERS)
    owner = LedgerClient(anvil, deployment, OWNER)
    for account in (FIRST, SECOND):
        owner.participants.admit_edge_node(address(account), digest("a"), digest("b"), "https://edge")
    owner.participants.allow_clients([address(CLIENT)])
    client = LedgerClient(anvil, deployment, CLIENT)
    client.participants.register_client(digest("key"))
    assert client.participants.client_key_digest(address(CLIENT)) == digest("key")

    certifiers = [ECDSACertifier(bytes(account.key)) for account in (FIRST, SECOND)]
    world = World(None, anvil, deployment, LedgerClient(anvil, deployment, FIRST), certifiers)  # type: ignore[arg-type]
    blocks = world.grow(1, 2, 3)
    assert [one.block for one in client.blocks(1, 9)] == blocks
    assert client.certificate(client.block(3)) == world.certificate(blocks[2])
    assert client.latest_anchor().number == 3
    account = blocks[1].rewards[0].account
    assert client.token.claim(world.balances, account) == world.balances[account]

    late = world.block(1, number=1)
    with pytest.raises(LedgerRevertedError) as caught:
        world.client.append(late, world.certificate(late))
    assert (caught.value.name, caught.value.arguments) == ("LedgerNumberMismatch", (4, 1))
    with pytest.raises(LedgerRevertedError, match="OwnableUnauthorizedAccount"):
        client.participants.retire_edge_node(1)


@pytest.mark.toolchain
@pytest.mark.parametrize("anvil", ["shanghai"], indirect=True)
def test_reorganisations_of_another_node_are_followed(anvil: Web3) -> None:
    def ask(method: str, *params: object) -> object:
        return anvil.provider.make_request(method, params)["result"]  # type: ignore[arg-type]

    deployment = deploy(anvil, OWNER, PARAMETERS)
    owner = LedgerClient(anvil, deployment, OWNER)
    for account in (FIRST, SECOND):
        owner.participants.admit_edge_node(address(account), digest("a"), digest("b"), "https://edge")
    certifiers = [ECDSACertifier(bytes(account.key)) for account in (FIRST, SECOND)]
    world = World(None, anvil, deployment, LedgerClient(anvil, deployment, FIRST), certifiers)  # type: ignore[arg-type]
    follower = Follower(anvil, deployment)
    kept, gone = world.grow(1, 1)
    assert [change.recorded.block for change in follower.poll()] == [kept, gone]

    ask("anvil_reorg", 1, [])  # the newest block is replaced by an empty one
    (removed,) = follower.poll()
    assert (type(removed), removed.recorded.block) == (BlockRemoved, gone)
    assert world.client.append(gone, world.certificate(gone)).host_block == anvil.eth.block_number
    assert [change.recorded.block for change in follower.poll()] == [gone]

    before = ask("evm_snapshot")
    (newest,) = world.grow(2)
    assert [change.recorded.block for change in follower.poll()] == [newest]
    ask("evm_revert", before)
    assert follower.poll() == []  # it may only be a node that lags
    ask("anvil_mine", "0x2")
    assert [type(change) for change in follower.poll()] == [BlockRemoved]
    assert world.client.append(newest, world.certificate(newest)).host_block == anvil.eth.block_number
    assert [change.recorded.block for change in follower.poll()] == [newest]


@pytest.mark.toolchain
def test_a_node_is_reached_by_its_socket_too(tmp_path: Path) -> None:
    path = tmp_path / "node.ipc"
    command = [str(ANVIL), "--port", "0", "--ipc", str(path), "--silent", "--chain-id", "4242"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        while not path.exists():
            assert process.poll() is None
            time.sleep(0.05)
        w3 = connect(Network(rpc=str(path), chain_id=4242))
        w3.provider.make_request("anvil_setBalance", [OWNER.address, hex(10**24)])  # type: ignore[arg-type]
        deployment = deploy(w3, OWNER, PARAMETERS)
        assert LedgerClient(w3, deployment).head_number() == 0
    finally:
        process.terminate()
        process.wait()
    with pytest.raises(LedgerError, match="does not answer"):
        connect(Network(rpc=str(path), timeout=1))


@pytest.mark.toolchain
def test_a_node_that_stopped_is_a_ledger_error() -> None:
    with pytest.raises(LedgerError, match="can't be reached"):
        deploy(Web3(Web3.HTTPProvider("http://127.0.0.1:9")), OWNER, PARAMETERS)
