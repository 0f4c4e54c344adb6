"""Deploying the contracts, and the record of a deployment: what everybody needs to find a ledger again."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.address import is_checksum_address, to_checksum_address
from web3 import Web3

from bflmec.errors import LedgerError, StorageError
from bflmec.files import sync_folder
from bflmec.ledger.artifacts import CERTIFICATES, LEDGER_CONTRACTS, load
from bflmec.ledger.creation import Creation
from bflmec.ledger.fees import FeePolicy
from bflmec.ledger.sender import Sender
from bflmec.storage.cid import Cid

_FORMAT = 1
_MAX_RECORD = 1 << 16


@dataclass(frozen=True, kw_only=True)
class DeploymentParameters:
    """What the constructors fix. Rewards are in the token's smallest unit, digests 32 bytes.

    `archive` keeps transactions and rewards readable by contracts; `open_registration` lets every account register as a
    client instead of only those that were allowed (development). `certificate_scheme` is how edge nodes sign blocks:
    "ecdsa", or "xmss" for hash-based one-time keys, which a quantum computer does not break either. `government_delay`
    is the least time, in seconds, between a decision of the edge nodes' quorum and its taking effect.
    """

    difficulty: int
    aggregation_threshold: int
    max_transactions: int
    base_reward: int
    miner_reward: int
    rules_digest: bytes
    genesis: Cid
    archive: bool = False
    open_registration: bool = False
    certificate_scheme: str = "ecdsa"
    government_delay: int = 2 * 24 * 3600

    @property
    def digest(self) -> bytes:
        """SHA-256 over all of them and the interfaces of the contracts that get them."""
        text = json.dumps(_parameter_texts(self), sort_keys=True, separators=(",", ":"))
        return sha256(abi_digest() + text.encode()).digest()


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Where the contracts are. Addresses are 20 bytes; `block` is the host chain's block that holds the first of them.

    `abi_digest` is the SHA-256 of the contracts' interfaces, so that a client of another version is noticed.
    """

    chain_id: int
    block: int
    participants: bytes
    certificates: bytes
    ledger: bytes
    token: bytes
    government: bytes
    abi_digest: bytes
    parameters: DeploymentParameters

    def save(self, path: Path) -> None:
        """Write the record as JSON, whole or not at all, for everybody to read. Durable on return."""
        temporary = path.with_name(path.name + ".new")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(self.to_json())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
        except OSError as error:
            raise LedgerError(f"the deployment record {path} can't be written: {error}") from error

    @classmethod
    def load(cls, path: Path) -> Deployment:
        """Raises LedgerError if the record is missing or is not exactly what `save` writes."""
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_RECORD + 1)
            if len(content) > _MAX_RECORD:
                raise LedgerError(f"{path} is too large for a deployment record")
            return cls.from_json(content.decode("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise LedgerError(f"the deployment record {path} can't be read: {error}") from error

    def to_json(self) -> str:
        record = {"format": _FORMAT} | _texts(asdict(self) | {"parameters": _parameter_texts(self.parameters)})
        return json.dumps(record, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Deployment:
        """Inverse of `to_json`. Raises LedgerError on anything else."""
        try:
            data = json.loads(text)
            if data.pop("format") != _FORMAT:
                raise LedgerError("the deployment record has another format; read it with the version that wrote it")
            parameters = DeploymentParameters(**_parsed(DeploymentParameters, data.pop("parameters")))
            return cls(parameters=parameters, **_parsed(Deployment, data))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, StorageError) as error:
            raise LedgerError(f"the deployment record is damaged: {error}") from error


def deploy(
    w3: Web3,
    account: LocalAccount,
    parameters: DeploymentParameters,
    unfinished: Path | None = None,
    *,
    fees: FeePolicy | None = None,
) -> Deployment:
    """Deploy Participants (owned by `account` until the set-up ends), the contract of its certificates, BFLLedger,
    RewardToken and Government.

    `fees` is how `account` pays. With `unfinished`, a file that tells what is done so far, another call goes on where
    one was interrupted; the caller removes it when the deployment is recorded.

    Raises LedgerRevertedError that names an impossible parameter, LedgerError when the chain refuses or the file is of
    another deployment.
    """
    sender = Sender(w3, account, fees=fees)
    creation = Creation(sender, parameters.digest, unfinished)
    participants, block = creation.create("Participants", sender.address, parameters.open_registration)
    scheme, arguments = certificates_contract(parameters.certificate_scheme, participants)
    certificates, _ = creation.create(scheme, *arguments)
    ledger, _ = creation.create(
        "BFLLedger",
        (
            participants,
            certificates,
            parameters.difficulty,
            parameters.aggregation_threshold,
            parameters.max_transactions,
            parameters.base_reward,
            parameters.miner_reward,
            parameters.rules_digest,
            parameters.archive,
            parameters.genesis.digest,
            parameters.genesis.codec,
        ),
    )
    token, _ = creation.create("RewardToken", ledger)
    government, _ = creation.create("Government", participants, certificates, parameters.government_delay)
    return Deployment(
        chain_id=sender.chain_id,
        block=block,
        participants=participants,
        certificates=certificates,
        ledger=ledger,
        token=token,
        government=government,
        abi_digest=abi_digest(),
        parameters=parameters,
    )


def certificates_contract(scheme: str, participants: bytes) -> tuple[str, tuple[bytes, ...]]:
    """The contract of a certificate scheme and its constructor's arguments. Raises LedgerError for an unknown one."""
    if scheme not in CERTIFICATES:
        raise LedgerError(f"there are no certificates called {scheme!r}; known: {', '.join(CERTIFICATES)}")
    return CERTIFICATES[scheme], (participants,) if scheme == "xmss" else ()


def check(w3: Web3, deployment: Deployment) -> None:
    """Raises LedgerError unless the contracts are on this chain and have the interfaces of this version."""
    if deployment.abi_digest != abi_digest():
        raise LedgerError("the contracts were deployed by a version with other interfaces; use that version")
    sender = Sender(w3, None)
    if sender.chain_id != deployment.chain_id:
        raise LedgerError(
            f"the ledger is on chain {deployment.chain_id}, this is chain {sender.chain_id}; check the URL"
        )
    for name in ("participants", "certificates", "ledger", "token", "government"):
        address = to_checksum_address(getattr(deployment, name))
        if not w3.eth.get_code(address):
            raise LedgerError(f"there is no contract at {address}, where the {name} should be; check the URL")


@cache
def abi_digest() -> bytes:
    """SHA-256 over the interfaces of the ledger's contracts."""
    abis = {name: load(name).abi for name in LEDGER_CONTRACTS}
    return sha256(json.dumps(abis, sort_keys=True, separators=(",", ":")).encode()).digest()


_ADDRESSES = ("participants", "certificates", "ledger", "token", "government")


def _parameter_texts(parameters: DeploymentParameters) -> dict[str, Any]:
    return _texts(asdict(parameters) | {"genesis": str(parameters.genesis)})


def _texts(values: dict[str, Any]) -> dict[str, Any]:
    """Addresses checksummed, other bytes in hex, and integers as they are: rewards exceed what some parsers hold."""
    return {name: _text(name, value) for name, value in values.items()}


def _text(name: str, value: Any) -> Any:
    if name in _ADDRESSES:
        return to_checksum_address(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return value


def _parsed(record: type, data: Any) -> dict[str, Any]:
    """The fields of `record` out of their texts. Raises ValueError on a missing, foreign or ill-typed one."""
    wanted = {field.name: str(field.type) for field in fields(record) if field.name != "parameters"}
    if not isinstance(data, dict) or data.keys() != wanted.keys():
        raise ValueError(f"a {record.__name__} has exactly the fields {', '.join(wanted)}")
    return {name: _value(name, kind, data[name]) for name, kind in wanted.items()}


def _value(name: str, kind: str, text: Any) -> Any:
    if kind == "bool" and isinstance(text, bool):
        return text
    if kind == "int" and isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    if kind == "str" and text in CERTIFICATES:
        return text
    if kind == "Cid" and isinstance(text, str):
        return Cid.parse(text)
    if kind == "bytes" and isinstance(text, str) and text.startswith("0x"):
        if name not in _ADDRESSES and len(text) == 66:
            return bytes.fromhex(text[2:])
        if name in _ADDRESSES and is_checksum_address(text):
            return bytes.fromhex(text[2:])
    raise ValueError(f"{name} is not a value of its kind")
