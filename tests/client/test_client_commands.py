"""`bflmec client` and `bflmec claim` against a chain and an edge node that are served, as a person would use them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from served_ledger import DEADLINE, ServedLedger, served_ledger, wait_until

from bflmec.client import Wallet
from bflmec.errors import ConfigError, KeystoreError, MessageError, VerificationError, WalletError

COMMAND = (sys.executable, "-c", "from bflmec.cli import main; main()")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLedger]:
    with served_ledger(tmp_path_factory.mktemp("served")) as ledger:
        yield ledger


def recorded(served: ServedLedger, path: Path, count: int) -> Wallet:
    """The wallet, once so many of its local gradients are recorded."""
    wallet = served.wallet(path)
    wait_until(lambda: not wallet.watch() and wallet.status().recorded >= count, "the record")
    return wallet


def test_a_client_is_made_trains_is_paid_and_proves_it(served: ServedLedger) -> None:
    paths = [served.new_wallet(f"paid-{number}") for number in range(3)]
    assert "is registered" in served.run("client", "register", paths[0])
    for number, path in enumerate(paths, 1):
        output = served.run("client", "train", path, "--share", f"{number}/3", "--rate", "1000", "--updates", "1")
        assert re.search(r"filed +0x[0-9a-f]{16}… with edge node 1: sequence 1, 1 local update\n", output)
    with served.wallet(paths[0]) as wallet:
        wait_until(wallet.claimable, "the reward")
    status = json.loads(served.run("client", "status", paths[0], "--json"))
    assert (status["registered"], status["filed"], status["recorded"]) == (True, 1, 1)
    assert int(status["earned"]) > 0
    assert f"earned      {int(status['earned']) / 10**18:.6f}"[:20] in served.run("client", "status", paths[0])
    assert "claimed  0 tokens" not in served.run("claim", paths[0])
    assert "claimed  0 tokens" in served.run("claim", paths[0])
    proof = served.folder / "proof.json"
    served.run("client", "audit-proof", paths[0], "--out", proof)
    deployment = served.folder / "deployment.json"
    checked = served.run("client", "check-proof", proof, "--network", served.rpc, "--deployment", deployment)
    assert "FAILED" not in checked
    assert "1 of 1 local gradients recorded" in checked


def test_a_proof_that_does_not_hold_is_told(served: ServedLedger) -> None:
    path = served.new_wallet("liar")
    served.run("client", "train", path, "--share", "1/3", "--rate", "1000", "--updates", "1")
    document = json.loads(served.run("client", "audit-proof", path))
    document["gradients"][0]["signature"] = "0x" + bytes(2420).hex()
    forged = served.folder / "forged.json"
    forged.write_text(json.dumps(document))
    with pytest.raises(VerificationError):
        served.run("client", "check-proof", forged)
    forged.write_text("{}")
    with pytest.raises(MessageError):
        served.run("client", "check-proof", forged)


def test_a_rotated_key_goes_on_training(served: ServedLedger) -> None:
    path = served.new_wallet("rotating")
    before = (path / "signature.json").read_bytes()
    assert "key digest  0x" in served.run("client", "rotate-key", path)
    assert (path / "signature.json").read_bytes() != before
    assert len(list((path / "retired").iterdir())) == 1
    output = served.run("client", "train", path, "--share", "1/3", "--rate", "1000", "--updates", "1")
    assert "filed" in output


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_samples_come_from_a_function_of_ones_own(
    served: ServedLedger, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"own_{kind.split()[0]}"
    (tmp_path / f"{module}.py").write_text(
        f"{kind} samples():\n    for number in range(40):\n        yield [number / 40] * 64, number % 10\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    path = served.new_wallet(module)
    output = served.run("client", "train", path, "--source", f"{module}:samples", "--json")
    events = [json.loads(line)["event"] for line in output.splitlines()]
    assert events.count("trained") == 2
    with served.wallet(path) as wallet:
        assert wallet.status().pending == 0


@pytest.mark.parametrize(
    "samples",
    [[], ["--share", "3"], ["--share", "4/3"], ["--source", "nowhere:samples"], ["--share", "1/2", "--source", "a:b"]],
    ids=lambda samples: " ".join(samples) or "none",
)
def test_samples_that_are_not_named_properly_are_refused(served: ServedLedger, samples: list[str]) -> None:
    path = served.folder / "paid-0"
    if not path.exists():
        path = served.new_wallet("paid-0")
    with pytest.raises(ConfigError):
        served.run("client", "train", path, *samples)


def test_keys_are_never_overwritten(served: ServedLedger) -> None:
    path = served.new_wallet("kept")
    with pytest.raises(WalletError, match="is a wallet already"):
        served.new_wallet("kept")
    (path / "password").unlink()
    with pytest.raises(KeystoreError, match="password"):
        served.run("client", "status", path)


# ---------------------------------------------------------------- processes


class Training:
    """`bflmec client train` as a process."""

    def __init__(self, path: Path, *options: str) -> None:
        self._popen = subprocess.Popen(
            [*COMMAND, "client", "train", str(path), "--share", "1/3", "--json", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def wait_for(self, event: str) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            if json.loads(line)["event"] == event:
                return
        raise AssertionError(self._popen.communicate())

    def end(self, number: int) -> int:
        self._popen.send_signal(number)
        self._popen.communicate(timeout=DEADLINE)
        return self._popen.returncode

    def result(self) -> int:
        self._popen.communicate(timeout=DEADLINE)
        return self._popen.returncode


def test_a_killed_client_goes_on_and_counts_nothing_twice(served: ServedLedger) -> None:
    path = served.new_wallet("killed")
    for event in ("trained", "filed"):
        training = Training(path, "--rate", "200")
        training.wait_for(event)
        assert training.end(signal.SIGKILL) == -signal.SIGKILL
    assert Training(path, "--rate", "200", "--updates", "1").result() == 0
    wallet = recorded(served, path, 2)
    filed = wallet._store.filed()
    assert [gradient.header.sequence for gradient in filed] == list(range(1, len(filed) + 1))
    trained = wallet._store.snapshot()
    assert trained is not None
    assert sum(gradient.header.updates for gradient in filed) + wallet.status().pending == trained.updates
    wallet.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_an_interrupted_client_ends_in_order(served: ServedLedger, number: int, code: int) -> None:
    path = served.new_wallet(f"interrupted-{code}")
    training = Training(path, "--rate", "200")
    training.wait_for("filed")
    assert training.end(number) == code
    with served.wallet(path) as wallet:
        assert wallet.status().filed >= 1
