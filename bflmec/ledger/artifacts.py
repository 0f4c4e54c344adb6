"""Compiled contracts: what `bflmec.ledger.compile` writes and everything else loads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from bflmec.errors import ArtifactError

# What a deployment of the ledger consists of, with either kind of certificates, and everything that has an artifact.
LEDGER_CONTRACTS = ("BFLLedger", "ECDSACertificates", "Government", "Participants", "RewardToken")
CERTIFICATES = {"ecdsa": "ECDSACertificates", "xmss": "XMSSCertificates"}
CONTRACTS = (*LEDGER_CONTRACTS, "XMSSCertificates", "MLDSA44Verifier", "Challenges")

_RECOMPILE = "recompile with `python -m bflmec.ledger.compile`, or reinstall the package"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One contract as the compiler left it.

    `bytecode` is the creation code, ready for constructor arguments to be appended. `source_hash` is the SHA-256 over
    compiler version, settings, the project's own sources that the contract needs and the versions of the libraries it
    imports (`bflmec.ledger.compile.source_hash`).
    """

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes
    compiler: str
    settings: Mapping[str, Any]
    source_hash: str

    def dumps(self) -> str:
        """The artifact's file: JSON with a digest of its own content, so that damage is noticed."""
        content = asdict(self) | {"bytecode": "0x" + self.bytecode.hex()}
        return json.dumps(content | {"digest": _digest(content)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def loads(cls, text: str) -> Artifact:
        """Inverse of `dumps`. Raises ArtifactError on anything that `dumps` can't have written."""
        try:
            content = json.loads(text)
            digest = content.pop("digest")
            if _digest(content) != digest:
                raise ArtifactError(f"a contract artifact does not match its own digest: {_RECOMPILE}")
            return cls(**content | {"bytecode": bytes.fromhex(content["bytecode"].removeprefix("0x"))})
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            if isinstance(error, ArtifactError):
                raise
            raise ArtifactError(f"a contract artifact is damaged ({error}): {_RECOMPILE}") from error


def load(name: str) -> Artifact:
    """The artifact of the contract `name`. Raises ArtifactError when it is missing or damaged."""
    if name not in CONTRACTS:
        raise ArtifactError(f"no contract named {name!r}; known: {', '.join(CONTRACTS)}")
    try:
        text = directory().joinpath(f"{name}.json").read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"the artifact of {name} can't be read ({error}): {_RECOMPILE}") from error
    artifact = Artifact.loads(text)
    if artifact.name != name:
        raise ArtifactError(f"the artifact of {name} holds {artifact.name!r}: {_RECOMPILE}")
    return artifact


def directory() -> Path:
    """Where the artifacts lie, one JSON file each."""
    return Path(str(files("bflmec.ledger"))) / "artifacts"


def _digest(content: Mapping[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
