"""What verifying ML-DSA-44 on chain costs, against the committed snapshot; calldata and base fee included.

After a change that is meant to cost more, or to bank one that costs less:

    UPDATE_GAS_SNAPSHOT=1 pytest tests/contracts/test_contract_mldsa_gas.py
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from functools import cache
from pathlib import Path

from mldsa_evm import GAS, Verifier
from mldsa_vectors import vectors

SNAPSHOT = Path(__file__).with_name("mldsa_gas_snapshot.json")
GENERATOR = Path(__file__).parents[2] / "contracts/mldsa/generate.py"
TARGET = 6_000_000
CODE_LIMIT = 24_576  # EIP-170


@cache
def measured() -> dict[str, int]:
    verifier = Verifier.deployed()
    pure, external = [], []
    for vector in (v for v in vectors() if v.fits and v.valid):
        assert vector.message is not None
        verifier.verify(vector.public_key, vector.message, vector.context, vector.signature)
        pure.append(verifier.gas)
        verifier.verify_mu(vector.public_key, vector.mu, vector.signature)
        external.append(verifier.gas)
    return {
        "deploy MLDSA44Verifier": verifier.deployment_gas,
        "verify (mean)": round(sum(pure) / len(pure)),
        "verify (worst)": max(pure),
        "verifyMu (mean)": round(sum(external) / len(external)),
        "verifyMu (worst)": max(external),
    }


def test_nothing_costs_more_gas_than_the_snapshot() -> None:
    if os.environ.get("UPDATE_GAS_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(measured(), indent=2) + "\n")
    snapshot = json.loads(SNAPSHOT.read_text())
    assert snapshot.keys() == measured().keys()
    risen = {name: f"{snapshot[name]} -> {gas}" for name, gas in measured().items() if gas > snapshot[name]}
    assert not risen, f"{__doc__}\nmore expensive: {risen}"


def test_a_verification_stays_within_its_target() -> None:
    assert max(measured().values()) <= TARGET <= GAS


def test_the_deployed_code_fits_one_contract() -> None:
    assert 0 < Verifier.deployed().code_size <= CODE_LIMIT


def test_the_unrolled_sources_are_what_the_generator_writes() -> None:
    spec = importlib.util.spec_from_file_location("mldsa_generator", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = generator
    spec.loader.exec_module(generator)
    stale = [name for name, text in generator.generated().items() if (GENERATOR.parent / name).read_text() != text]
    assert stale == [], "python contracts/mldsa/generate.py"
