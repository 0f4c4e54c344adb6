"""The examples in `examples/` do what they say, in a short form."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served_ledger import ServedLedger, served_ledger

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLedger]:
    with served_ledger(tmp_path_factory.mktemp("served"), "learning.model=cnn-small") as ledger:
        yield ledger


def example(name: str) -> Any:
    return runpy.run_path(str(EXAMPLES / name))["main"]


def test_samples_on_a_queue(served: ServedLedger, capsys: pytest.CaptureFixture[str]) -> None:
    example("queue_source.py")(str(served.new_wallet("queue")), 1)
    assert "edge node 1 keeps 1 local updates" in capsys.readouterr().out


def test_a_cnn_in_pytorch(served: ServedLedger, capsys: pytest.CaptureFixture[str]) -> None:
    example("torch_cnn_mnist.py")(str(served.new_wallet("torch")), "1/10", 1)
    assert "sequence 1, edge node 1" in capsys.readouterr().out


def test_a_client_without_the_sdk(served: ServedLedger, capsys: pytest.CaptureFixture[str]) -> None:
    path = served.new_wallet("bare")
    arguments = path / "account.json", path / "signature.json", path / "password", served.folder / "deployment.json"
    for sequence in (1, 2):
        example("bare_http_client.py")(*map(str, arguments), served.rpc, served.edge)
        assert f"kept by edge node 1: sequence {sequence}" in capsys.readouterr().out
