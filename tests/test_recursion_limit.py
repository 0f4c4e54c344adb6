"""Hostile JSON of any depth is an error, never the end of the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

IMPORTS = [
    "bflmec.devchain.chain",
    "bflmec.ledger.client",
    "bflmec.simulation.chain_consortium",
    "bflmec.cli.main",
    "web3, bflmec.ledger.client",
]


@pytest.mark.parametrize("module", IMPORTS)
def test_deeply_nested_json_does_not_kill_the_process(module: str) -> None:
    code = f"import json, {module}\ntry: json.loads('[' * 1_000_000)\nexcept RecursionError: print('refused')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "refused\n", done.stderr
