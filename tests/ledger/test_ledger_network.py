"""Networks have names; a file says where they are, and keeps no secret."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from ledger_tools import start_chain

from bflmec.devchain.service.server import ChainServer
from bflmec.errors import ConfigError, LedgerError
from bflmec.ledger.network import LOCAL, Network, connect, find_network, load_networks

TESTNET = '[networks.testnet]\nrpc = "https://rpc.example/v1/${RPC_KEY}"\nchain_id = 11155111\nconfirmations = 3\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(TESTNET)
    return path


@pytest.fixture
def nobody() -> str:
    """The URL of a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


def test_a_network_is_found_by_its_name(file: Path) -> None:
    assert find_network("testnet", file).confirmations == 3


def test_local_is_always_there(file: Path) -> None:
    assert find_network("local", file) == LOCAL


def test_a_url_is_a_network_too() -> None:
    assert find_network("http://127.0.0.1:1234").rpc == "http://127.0.0.1:1234"


def test_the_working_folder_is_looked_in_first(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "home/bflmec"
    own.mkdir(parents=True)
    (own / "networks.toml").write_text(TESTNET.replace("testnet", "own"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert load_networks().keys() == {"local", "own"}
    file.rename(tmp_path / "networks.toml")
    assert load_networks().keys() == {"local", "testnet"}


def test_an_unknown_name_is_told_the_nearest(file: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'testnet'"):
        find_network("tesnet", file)


@pytest.mark.parametrize(
    "text",
    [
        "networks = 3",
        "[networks.a]\n",
        '[networks.a]\nrpc = ""',
        '[networks.a]\nrpc = "x"\nchain_id = 0',
        '[networks.a]\nrpc = "x"\nchain_id = true',
        '[networks.a]\nrpc = "x"\nunknown = 1',
        '[networks.a]\nrpc = "x"\nfees = "free"',
        "[",
        "\udcff",
    ],
    ids=["no-table", "no-rpc", "empty", "zero", "bool", "unknown-key", "unknown-fees", "no-toml", "no-text"],
)
def test_a_file_that_is_no_file_of_networks_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "networks.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=r"networks\.toml"):
        load_networks(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't read"):
        load_networks(tmp_path / "none.toml")


def test_a_variable_that_is_not_set_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RPC_KEY", raising=False)
    with pytest.raises(ConfigError, match="RPC_KEY"):
        connect(find_network("testnet", file))


def test_a_secret_is_in_no_message(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RPC_KEY", "s3cret")
    network = Network(rpc=nobody.replace("http://", "http://user:hunter2@") + "/${RPC_KEY}", timeout=1)
    with pytest.raises(LedgerError, match="does not answer") as caught:
        connect(network)
    for text in (str(caught.value), repr(network), network.location):
        assert "s3cret" not in text
        assert "hunter2" not in text


def test_another_kind_of_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="IPC"):
        connect(Network(rpc="ws://127.0.0.1:8546"))


def test_the_chain_must_be_the_one_named() -> None:
    with start_chain() as chain, ChainServer(chain, "127.0.0.1", 0, ["*"]) as server:
        assert connect(Network(rpc=server.url, chain_id=chain.chain_id)).eth.block_number == 0
        with pytest.raises(LedgerError, match="not 5"):
            connect(Network(rpc=server.url, chain_id=5))


def test_a_socket_that_never_answers_is_a_ledger_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "ipc"))
        silent.listen()
        with pytest.raises(LedgerError, match="does not answer"):
            connect(Network(rpc=str(tmp_path / "ipc"), timeout=1))
