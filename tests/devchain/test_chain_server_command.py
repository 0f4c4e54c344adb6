"""`bflmec chain serve`: from its options to its exit code."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
from chain_service import chain_file, connected, process, serve_to_its_end, wait_until
from chain_tools import filled_chain
from eth_account import Account

from bflmec.cli.main import app
from bflmec.devchain.service.accounts import dev_accounts
from bflmec.errors import ChainError

FIRST = dev_accounts(1)[0]
TRANSFER = {"to": "0x" + "11" * 20, "value": 1, "gas": 21_000, "gasPrice": 10**10, "nonce": 0, "chainId": 77}


def serve(*arguments: str) -> None:
    """In this process, for what ends by itself."""
    app(["chain", "serve", "--port", "0", *arguments], standalone_mode=False)


def test_it_goes_on_from_its_file_after_being_killed(tmp_path: Path) -> None:
    raw = Account.from_key(FIRST.key).sign_transaction(TRANSFER).raw_transaction
    options = ("--file", chain_file(tmp_path))
    with process(*options, "--chain-id", "77", "--difficulty", "4", "--accounts", "1") as running:
        with connected(running.url) as rpc:
            sent = rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
            receipt = wait_until(lambda: rpc.call("eth_getTransactionReceipt", sent))
        running.end(signal.SIGKILL)
    with process(*options) as running, connected(running.url) as rpc:
        assert rpc.call("eth_chainId") == hex(77)
        assert rpc.call("eth_getTransactionReceipt", sent) == receipt


@pytest.mark.parametrize("option", ["--chain-id", "--difficulty", "--accounts"])
def test_a_file_made_with_other_options_is_refused(option: str, tmp_path: Path) -> None:
    filled_chain(tmp_path / "chain.sqlite", 1)
    with pytest.raises(ChainError, match=f"was made with {option}"):
        serve("--file", chain_file(tmp_path), option, "5")


def test_a_file_that_is_no_chain_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chain.sqlite").write_text("something else")
    with pytest.raises(ChainError, match="is not a chain file"):
        serve("--file", chain_file(tmp_path))


def test_impossible_parameters_are_refused() -> None:
    for option in ("--chain-id", "--difficulty", "--accounts"):
        with pytest.raises(ChainError, match=r"must be an integer|development accounts"):
            serve(option, "-1")


def test_a_port_that_is_taken_ends_with_the_exit_code_of_the_chain() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = serve_to_its_end("--port", str(taken.getsockname()[1]))
    assert done.returncode == ChainError.exit_code
    assert "choose another --host or --port" in done.stderr
    assert "Traceback" not in done.stderr


def test_keys_are_printed_only_on_request_and_sigterm_ends_it() -> None:
    with process() as running:
        code, out, error = running.end(signal.SIGTERM)
    assert (code, error) == (0, "")
    assert FIRST.key.hex() not in out
    with process("--show-keys", "--accounts", "1") as running:
        assert "0x" + FIRST.key.hex() in running.output
        assert running.output.count("0x") == 2


def test_verbose_prints_a_line_for_each_request_and_ctrl_c_ends_it() -> None:
    with process("--verbose") as running:
        with connected(running.url) as rpc:
            rpc.call("eth_blockNumber")
            rpc.error("no_such\nmethod")
        code, out, error = running.end(signal.SIGINT)
    assert code == 0
    assert "ended" in out
    lines = error.splitlines()
    assert len(lines) == 2
    assert "'eth_blockNumber': ok" in lines[0]
    assert "'no_such\\nmethod': error -32601" in lines[1]


def test_the_accounts_are_those_of_the_common_mnemonic() -> None:
    assert FIRST.address.hex() == "f39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    assert repr(FIRST.key) not in repr(FIRST)
    with pytest.raises(ChainError, match="0 to 100"):
        dev_accounts(101)
