"""Recompile the contracts and write their artifacts, or check that the written ones are current.

    python -m bflmec.ledger.compile            # write
    python -m bflmec.ledger.compile --check    # exit with ArtifactError's code when an artifact and its source differ

Works in a checkout after `npm ci`, which brings OpenZeppelin's sources and a WebAssembly solc. A native solc that
py-solc-x has installed is preferred because it is faster; the bytecode is the same.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from bflmec.errors import ArtifactError, BFLMECError, MissingExtraError
from bflmec.ledger.artifacts import CONTRACTS, Artifact, directory, load

SOLC_VERSION = "0.8.37"
SETTINGS: Mapping[str, Any] = {
    "evmVersion": "paris",
    "optimizer": {"enabled": True, "runs": 200},
    "viaIR": True,
    "metadata": {"bytecodeHash": "none"},
}

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = "@openzeppelin/contracts"

_IMPORT = re.compile(r'^\s*import\s[^;]*?"([^"]+)"', re.MULTILINE)


def closure(contract: str) -> dict[str, str]:
    """The project's own sources that a contract needs, itself included: source name (path in the checkout) -> text."""
    return {name: text for name, text in _walk(contract, follow_library=False).items() if not _is_library(name)}


def source_hash(contract: str) -> str:
    """SHA-256 (hex) over everything that decides the contract's bytecode; needs no compiler and no npm packages."""
    manifest = json.loads((ROOT / "package.json").read_text("utf-8"))
    inputs = {
        "compiler": SOLC_VERSION,
        "settings": SETTINGS,
        "sources": {name: sha256(text.encode()).hexdigest() for name, text in closure(contract).items()},
        "libraries": {LIBRARY: manifest["devDependencies"][LIBRARY]},
    }
    return sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def compile_all(solc: Path | None = None) -> list[Artifact]:
    """Compile every contract. `solc` overrides the choice of the compiler's executable.

    Raises ArtifactError when a source is missing or does not compile, MissingExtraError without py-solc-x.
    """
    try:
        import solcx
        from solcx.exceptions import SolcError
    except ImportError as error:
        raise MissingExtraError("compiling needs py-solc-x: pip install 'bflmec[compile]'") from error
    sources = {name: text for contract in CONTRACTS for name, text in _walk(contract, follow_library=True).items()}
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {**SETTINGS, "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}}},
    }
    try:
        output = solcx.compile_standard(request, solc_binary=solc or find_solc())
    except SolcError as error:
        raise ArtifactError(f"the contracts do not compile:\n{error.message}") from error
    _refuse_warnings(output)
    return [_artifact(name, output["contracts"][_source_name(name)][name]) for name in CONTRACTS]


def find_solc() -> Path:
    """The compiler's executable: native if py-solc-x has it or can install it, else npm's solc."""
    import requests
    import solcx

    wrapper = ROOT / "scripts" / "solc"
    have_npm = (ROOT / "node_modules" / "solc").is_dir()
    if SOLC_VERSION not in map(str, solcx.get_installed_solc_versions()) and not have_npm:
        try:
            solcx.install_solc(SOLC_VERSION)
        except (requests.RequestException, solcx.exceptions.SolcInstallationError, OSError) as error:
            raise ArtifactError(f"no solc {SOLC_VERSION} here and none to install ({error}): run `npm ci`") from error
    if SOLC_VERSION in map(str, solcx.get_installed_solc_versions()):
        return Path(solcx.install.get_executable(SOLC_VERSION))
    return wrapper


def stale(artifacts: list[Artifact]) -> list[str]:
    """Names of those whose written artifact is missing, damaged or not what the compiler gives now."""
    return [artifact.name for artifact in artifacts if not _is_current(artifact)]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bflmec.ledger.compile", description="Recompile the contracts.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when an artifact is not current")
    arguments = parser.parse_args(argv)
    try:
        artifacts = compile_all()
        if arguments.check and (names := stale(artifacts)):
            raise ArtifactError(f"not current: {', '.join(names)}; recompile with `python -m bflmec.ledger.compile`")
    except BFLMECError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if not arguments.check:
        directory().mkdir(exist_ok=True)
        for artifact in artifacts:
            (directory() / f"{artifact.name}.json").write_text(artifact.dumps(), "utf-8")
    for artifact in artifacts:
        print(f"{artifact.name:20} {len(artifact.bytecode):6} bytes  source {artifact.source_hash[:16]}")
    return 0


def _is_current(artifact: Artifact) -> bool:
    try:
        return load(artifact.name) == artifact
    except ArtifactError:
        return False


def _artifact(name: str, output: Mapping[str, Any]) -> Artifact:
    bytecode = bytes.fromhex(output["evm"]["bytecode"]["object"])
    return Artifact(name, output["abi"], bytecode, SOLC_VERSION, SETTINGS, source_hash(name))


def _refuse_warnings(output: Mapping[str, Any]) -> None:
    messages = [error["formattedMessage"] for error in output.get("errors", []) if not _is_library(_file_of(error))]
    if messages:
        raise ArtifactError("the contracts do not compile cleanly:\n" + "\n".join(messages))


def _file_of(error: Mapping[str, Any]) -> str:
    return str(error.get("sourceLocation", {}).get("file", ""))


def _walk(contract: str, *, follow_library: bool) -> dict[str, str]:
    """Source name -> text of the contract and, transitively, of what it imports."""
    sources: dict[str, str] = {}
    pending = [_source_name(contract)]
    while pending:
        name = pending.pop()
        if name in sources or (_is_library(name) and not follow_library):
            continue
        sources[name] = _read(name)
        pending += [_resolve(name, target) for target in _IMPORT.findall(sources[name])]
    return dict(sorted(sources.items()))


def _read(name: str) -> str:
    file = ROOT / ("node_modules" if _is_library(name) else ".") / name
    try:
        return file.read_text("utf-8")
    except OSError as error:
        hint = "run `npm ci`" if _is_library(name) else "compile in a checkout of the project"
        raise ArtifactError(f"source {name} can't be read: {hint}") from error


def _resolve(importer: str, target: str) -> str:
    """Solidity's rule for import paths: one that starts with a dot is relative to the importing source."""
    if not target.startswith("."):
        return target
    parts = importer.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _source_name(contract: str) -> str:
    return f"contracts/{contract}.sol"


def _is_library(name: str) -> bool:
    return name.startswith("@")


if __name__ == "__main__":
    raise SystemExit(main())
