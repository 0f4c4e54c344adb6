"""The committed artifacts: undamaged, loadable without a compiler, and what the sources compile to."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bflmec.errors import ArtifactError
from bflmec.ledger import artifacts, compile
from bflmec.ledger.artifacts import CONTRACTS, Artifact, load


@pytest.mark.parametrize("name", CONTRACTS)
def test_artifact_belongs_to_the_committed_source(name: str) -> None:
    assert load(name).source_hash == compile.source_hash(name), "run `python -m bflmec.ledger.compile`"


@pytest.mark.toolchain
def test_artifacts_are_what_the_compiler_gives() -> None:
    if not (compile.ROOT / "node_modules" / "solc").is_dir():
        pytest.skip("needs the npm toolchain: npm ci")
    assert compile.stale(compile.compile_all()) == []


@pytest.mark.toolchain
def test_solc_wrapper_reports_its_version_like_a_native_one() -> None:
    if not (compile.ROOT / "node_modules" / "solc").is_dir():
        pytest.skip("needs the npm toolchain: npm ci")
    run = subprocess.run([compile.ROOT / "scripts" / "solc", "--version"], capture_output=True, text=True, check=True)
    assert f"Version: {compile.SOLC_VERSION}+commit." in run.stdout
    assert run.stdout.rstrip().endswith("Linux.g++")


@pytest.mark.parametrize("name", CONTRACTS)
def test_artifact_survives_a_round_trip(name: str) -> None:
    artifact = load(name)
    assert Artifact.loads(artifact.dumps()) == artifact
    assert artifact.settings == compile.SETTINGS
    assert artifact.compiler == compile.SOLC_VERSION


@pytest.mark.parametrize("name", CONTRACTS)
def test_bytecode_holds_no_opcode_newer_than_paris(name: str) -> None:
    newer = {0x49: "BLOBHASH", 0x4A: "BLOBBASEFEE", 0x5C: "TLOAD", 0x5D: "TSTORE", 0x5E: "MCOPY", 0x5F: "PUSH0"}
    assert load(name).settings["evmVersion"] == "paris"
    assert not {newer[op] for op in opcodes(load(name).bytecode) if op in newer}


def opcodes(code: bytes) -> set[int]:
    """Opcodes up to the trailing metadata, whose length is in the last two bytes; push data left out."""
    found, counter, end = set(), 0, len(code) - int.from_bytes(code[-2:], "big") - 2
    while counter < end:
        found.add(code[counter])
        counter += 1 + (code[counter] - 0x5F if 0x60 <= code[counter] <= 0x7F else 0)
    return found


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A writable copy of the artifacts that `load` reads; the path of the ledger's."""
    for name in CONTRACTS:
        (tmp_path / f"{name}.json").write_text(load(name).dumps())
    monkeypatch.setattr(artifacts, "directory", lambda: tmp_path)
    return tmp_path / "BFLLedger.json"


def test_load_names_the_known_contracts_for_an_unknown_one() -> None:
    with pytest.raises(ArtifactError, match="known: BFLLedger"):
        load("../secrets")


def test_load_refuses_a_missing_artifact(copied: Path) -> None:
    copied.unlink()
    with pytest.raises(ArtifactError, match="recompile"):
        load("BFLLedger")


def test_load_refuses_one_changed_digit_of_bytecode(copied: Path) -> None:
    text = copied.read_text()
    at = text.index('"bytecode": "0x') + 900
    copied.write_text(text[:at] + ("1" if text[at] == "0" else "0") + text[at + 1 :])
    with pytest.raises(ArtifactError, match="digest"):
        load("BFLLedger")


@pytest.mark.parametrize("damage", ["", "null", "[]", "{}", '{"digest": 1}', "\x00", "[" * 5_000])
def test_load_refuses_what_is_no_artifact(copied: Path, damage: str) -> None:
    copied.write_text(damage)
    with pytest.raises(ArtifactError):
        load("BFLLedger")


def test_load_refuses_bytes_that_are_no_text(copied: Path) -> None:
    copied.write_bytes(b"\xff\xfe")
    with pytest.raises(ArtifactError):
        load("BFLLedger")


def test_load_refuses_the_artifact_of_another_contract(copied: Path) -> None:
    copied.write_text(load("RewardToken").dumps())
    with pytest.raises(ArtifactError, match="RewardToken"):
        load("BFLLedger")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of one contract and what it imports, with no npm packages."""
    for name, text in {
        "package.json": json.dumps({"devDependencies": {compile.LIBRARY: "5.7.0"}}),
        "contracts/RewardToken.sol": 'import {A} from "./interfaces/A.sol";\nimport "@openzeppelin/contracts/B.sol";',
        "contracts/interfaces/A.sol": 'import {\n  C\n} from "../C.sol";',
        "contracts/C.sol": "contract C {}",
        "contracts/Unrelated.sol": "contract D {}",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(compile, "ROOT", tmp_path)
    return tmp_path


def test_closure_follows_imports_but_not_into_libraries(checkout: Path) -> None:
    assert list(compile.closure("RewardToken")) == [
        "contracts/C.sol",
        "contracts/RewardToken.sol",
        "contracts/interfaces/A.sol",
    ]


@pytest.mark.parametrize("changed", ["contracts/C.sol", "contracts/interfaces/A.sol", "contracts/RewardToken.sol"])
def test_source_hash_depends_on_every_import(checkout: Path, changed: str) -> None:
    before = compile.source_hash("RewardToken")
    with (checkout / changed).open("a") as file:
        file.write("\n")
    assert compile.source_hash("RewardToken") != before


def test_source_hash_depends_on_the_version_of_the_library(checkout: Path) -> None:
    before = compile.source_hash("RewardToken")
    (checkout / "package.json").write_text(json.dumps({"devDependencies": {compile.LIBRARY: "5.8.0"}}))
    assert compile.source_hash("RewardToken") != before


def test_source_hash_ignores_what_the_contract_does_not_import(checkout: Path) -> None:
    before = compile.source_hash("RewardToken")
    (checkout / "contracts" / "Unrelated.sol").write_text("")
    assert compile.source_hash("RewardToken") == before


def test_source_hash_names_a_missing_source(checkout: Path) -> None:
    (checkout / "contracts" / "C.sol").unlink()
    with pytest.raises(ArtifactError, match=r"contracts/C\.sol"):
        compile.source_hash("RewardToken")


def test_compile_asks_for_the_npm_packages_when_they_are_missing(checkout: Path, capsys) -> None:
    pytest.importorskip("solcx")
    (checkout / "contracts" / "BFLLedger.sol").write_text('import "@openzeppelin/contracts/B.sol";')
    assert compile.main([]) == ArtifactError.exit_code
    assert "npm ci" in capsys.readouterr().err
