"""Typed client of Challenges.sol: stakes of edge nodes, and what becomes of those who certified something false."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from bflmec.errors import LedgerError
from bflmec.ledger.artifacts import load
from bflmec.ledger.deployment import Deployment
from bflmec.ledger.interface import interface
from bflmec.ledger.sender import MAX_GAS, Sender
from bflmec.protocol.blocks import Header, SealedBlock, encode_transactions


class Fault(IntEnum):
    """What is wrong with a transaction; see IChallenges.sol."""

    NONE = 0
    HEADER = 1
    SIGNATURE = 2
    SEQUENCE = 3


@dataclass(frozen=True, slots=True)
class Record:
    """A transaction of a block that the ledger holds, and the local gradient header that its digest stands for."""

    block: SealedBlock
    index: int
    gradient_header: bytes

    def arguments(self) -> tuple[object, ...]:
        """As the contract takes it."""
        header = tuple(getattr(self.block.header, name) for name in Header.__dataclass_fields__)
        return header, encode_transactions(self.block.transactions), self.index, self.gradient_header


@dataclass(frozen=True, slots=True)
class Evidence:
    """A fault and everything that shows it. `keys`, `signature`: of a false signature; `earlier`: of a sequence."""

    fault: Fault
    record: Record
    signature: bytes = b""
    keys: tuple[bytes, ...] = ()
    earlier: Record | None = None


@dataclass(frozen=True, slots=True)
class Accusation:
    """Certificate entries of the accused over the block's hash, and the account (20 bytes) that gets the reward."""

    entries: tuple[bytes, ...]
    beneficiary: bytes
    salt: bytes

    def commitment(self, number: int) -> bytes:
        """What is announced before, 32 bytes."""
        values = (number, self.beneficiary, self.salt)
        return bytes(keccak(encode(["uint64", "address", "bytes32"], values)))


class ChallengesClient:
    """Typed client of Challenges.sol. Amounts in wei, accounts 20 bytes.

    Raises LedgerRevertedError when the contract refuses, LedgerError when the chain does.
    """

    def __init__(self, sender: Sender, address: bytes) -> None:
        self.address = address
        self._sender = sender
        self._interface = interface("Challenges")

    def window(self) -> int:
        """How many of the newest blocks can be challenged."""
        return int(self._read("WINDOW")[0])

    def stake_of(self, account: bytes) -> int:
        return int(self._read("stakeOf", account)[0])

    def fault_of(self, number: int, index: int) -> Fault:
        """The fault of a transaction that was proven first."""
        return Fault(self._read("faultOf", number, index)[0])

    def deposit(self, account: bytes, amount: int) -> None:
        """Add to an edge node's stake."""
        data = self._interface.encode("deposit", account)
        self._sender.send(self.address, data, _DEPOSIT_GAS, amount)

    def begin_exit(self, account: bytes) -> None:
        """Let a retired edge node's stake begin to wait."""
        self._write("beginExit", account)

    def finish_exit(self, account: bytes) -> None:
        """Send a retired edge node its stake."""
        self._write("finishExit", account)

    def announce(self, number: int, accusation: Accusation) -> None:
        """Announce a challenge of block `number`, so that nobody who copies it gets the reward. It is filed in a later
        block of the host chain."""
        self._write("announce", accusation.commitment(number))

    def challenge(self, evidence: Evidence, accusation: Accusation) -> None:
        """File a challenge that was announced."""
        record = evidence.record.arguments()
        accused = (list(accusation.entries), accusation.beneficiary, accusation.salt)
        call: tuple[str, Any, Any] | tuple[str, Any, Any, Any] | tuple[str, Any, Any, Any, Any]
        if evidence.fault is Fault.HEADER:
            call = "challengeHeader", record, accused
        elif evidence.fault is Fault.SIGNATURE:
            call = "challengeSignature", record, list(evidence.keys), evidence.signature, accused
        elif evidence.fault is Fault.SEQUENCE and evidence.earlier is not None:
            call = "challengeSequence", record, evidence.earlier.arguments(), accused
        else:
            raise LedgerError("the evidence shows no fault")
        data = self._interface.encode(*call)
        # Not estimated: a node estimates as if in the block of the announcement, where the contract would refuse.
        verifying = _VERIFICATION_GAS * len(evidence.keys)
        gas = _CHALLENGE_GAS + verifying + _ENTRY_GAS * len(accusation.entries) + _GAS_PER_BYTE * len(data)
        self._sender.send(self.address, data, min(gas, MAX_GAS))

    def _read(self, function: str, *arguments: object) -> tuple[Any, ...]:
        data = self._interface.encode(function, *arguments)
        return self._interface.decode(function, self._sender.call(self.address, data))

    def _write(self, function: str, *arguments: object) -> Mapping[str, Any]:
        data = self._interface.encode(function, *arguments)
        return self._sender.send(self.address, data, self._sender.estimate(self.address, data))


def deploy_challenges(sender: Sender, deployment: Deployment, window: int) -> bytes:
    """Deploy MLDSA44Verifier and Challenges for a ledger whose clients sign with ML-DSA-44; the latter's address.

    `window` is how many of the newest blocks can be challenged: at most 64, unless the ledger archives.
    """
    verifier = _create(sender, "MLDSA44Verifier")
    return _create(sender, "Challenges", deployment.ledger, verifier, window)


def _create(sender: Sender, contract: str, *arguments: object) -> bytes:
    data = load(contract).bytecode + interface(contract).encode_constructor(*arguments)
    receipt = sender.send(None, data, sender.estimate(None, data))
    return bytes.fromhex(receipt["contractAddress"][2:])


_DEPOSIT_GAS = 100_000
_CHALLENGE_GAS = 300_000
_VERIFICATION_GAS = 3_300_000
_ENTRY_GAS = 120_000
_GAS_PER_BYTE = 48
