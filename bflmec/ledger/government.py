"""Typed client of Government.sol: what the quorum of edge nodes decides about who takes part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from eth_abi.abi import encode
from eth_hash.auto import keccak

from bflmec.errors import LedgerError
from bflmec.ledger.interface import interface
from bflmec.ledger.participants import ParticipantsClient
from bflmec.ledger.sender import Sender
from bflmec.ledger.xmss_certificates import Trees

_DECISION = "BFL-MEC/v1/decision"
_REVOCATION = "BFL-MEC/v1/revocation"
_CLIENTS = "BFL-MEC/v1/clients"
_ENDPOINT = "BFL-MEC/v1/endpoint"


class State(IntEnum):
    """Where a decision stands."""

    NONE = 0
    WAITING = 1
    ENACTED = 2
    REVOKED = 3


class Call(NamedTuple):
    """One step of a decision: a contract (20 bytes) and the calldata for it."""

    target: bytes
    data: bytes


class Decision(NamedTuple):
    """Where a decision stands, and the host chain's time (seconds) from which on it can be enacted."""

    state: State
    due_at: int


def call(contract: str, address: bytes, function: str, *arguments: object) -> Call:
    """A step: `call("Participants", registry, "retireEdgeNode", 3)`. Raises LedgerError if the arguments do not fit."""
    known = interface(contract)
    if function not in known.functions:
        raise LedgerError(f"{contract} has no function {function!r}; known: {', '.join(known.functions)}")
    return Call(address, known.encode(function, *arguments))


class GovernmentClient:
    """Reads for everybody; sends for whoever relays, which may be anybody.

    Edge nodes sign the hashes given here with a certifier of their own whose contract is `address`; each computes the
    hash itself, from the steps that it agrees to. Every method raises LedgerRevertedError when the contract refuses and
    LedgerError when the chain does.
    """

    def __init__(self, sender: Sender, address: bytes) -> None:
        self.address = address
        self._sender = sender
        self._interface = interface("Government")

    # ---------------------------------------------------------------- what is signed

    def decision_hash(self, number: int, calls: Sequence[Call]) -> bytes:
        """What the quorum signs to decide. 32 bytes."""
        return self._hash(_DECISION, ("uint64", "(address,bytes)[]"), (number, list(calls)))

    def revocation_hash(self, number: int) -> bytes:
        """What the quorum signs to take a decision back. 32 bytes."""
        return self._hash(_REVOCATION, ("uint64",), (number,))

    def clients_hash(self, number: int, allowed: Sequence[bytes], removed: Sequence[bytes]) -> bytes:
        """What the quorum signs to allow and remove clients. 32 bytes."""
        return self._hash(_CLIENTS, ("uint64", "address[]", "address[]"), (number, list(allowed), list(removed)))

    def endpoint_hash(self, id_: int, number: int, endpoint: str) -> bytes:
        """What an edge node signs to move to another endpoint. 32 bytes."""
        return self._hash(_ENDPOINT, ("uint16", "uint64", "string"), (id_, number, endpoint))

    # ---------------------------------------------------------------- reading

    def decisions(self) -> int:
        """How many decisions there were; the next one has this number and one."""
        return int(self._read("decisions")[0])

    def client_decisions(self) -> int:
        """How many decisions on clients there were; the next one has this number and one."""
        return int(self._read("clientDecisions")[0])

    def endpoint_changes(self, id_: int) -> int:
        """How often an edge node has moved; the next move has this number and one."""
        return int(self._read("endpointChanges", id_)[0])

    def decision(self, number: int) -> Decision:
        state, due_at = self._read("decision", number)
        return Decision(State(state), due_at)

    def delay(self) -> int:
        """Seconds between a decision and its time."""
        return int(self._read("delay")[0])

    # ---------------------------------------------------------------- sending

    def end_set_up(self, participants: ParticipantsClient, trees: Trees | None = None) -> None:
        """Give the registry to the quorum, for good. Sent by the deployer, whose key has no power afterwards; call it
        again after an interruption. `trees`: the certificates contract, if it is of one-time keys.

        Raises LedgerError if an edge node has no tree of one-time keys: nobody could decide to give it one.
        """
        if participants.owner() == self.address:
            return
        for account in participants.edge_nodes().values():
            if trees is not None and not trees.tree(account).epoch:
                raise LedgerError(
                    f"edge node 0x{account.hex()} has no tree of one-time keys yet; have it enrolled first"
                )
        participants.name_successor(self.address)
        self._write("takeOffice")

    def decide(self, calls: Sequence[Call], certificate: bytes) -> int:
        """Relay a decision; returns its number."""
        number = self.decisions() + 1
        self._write("decide", list(calls), certificate)
        return number

    def enact(self, number: int, calls: Sequence[Call]) -> None:
        """Take the steps of a decision whose time has come."""
        self._write("enact", number, list(calls))

    def revoke(self, number: int, certificate: bytes) -> None:
        """Relay the revocation of a waiting decision."""
        self._write("revoke", number, certificate)

    def decide_clients(self, allowed: Sequence[bytes], removed: Sequence[bytes], certificate: bytes) -> None:
        """Relay a decision on clients; it takes effect at once."""
        self._write("decideClients", list(allowed), list(removed), certificate)

    def update_endpoint(self, id_: int, endpoint: str, entry: bytes) -> None:
        """Relay an edge node's move to another endpoint."""
        self._write("updateEndpoint", id_, endpoint, entry)

    def _hash(self, domain: str, types: Sequence[str], values: Sequence[object]) -> bytes:
        place = (domain, self._sender.chain_id, self.address)
        return bytes(keccak(encode(["string", "uint256", "address", *types], [*place, *values])))

    def _read(self, function: str, *arguments: object) -> tuple[Any, ...]:
        data = self._interface.encode(function, *arguments)
        return self._interface.decode(function, self._sender.call(self.address, data))

    def _write(self, function: str, *arguments: object) -> Mapping[str, Any]:
        data = self._interface.encode(function, *arguments)
        return self._sender.send(self.address, data, self._sender.estimate(self.address, data))
