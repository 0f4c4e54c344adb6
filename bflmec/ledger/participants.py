"""Typed client of Participants.sol: who may send local gradients, and who may certify blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bflmec.ledger.interface import interface
from bflmec.ledger.sender import Sender

_ZERO_DIGEST = bytes(32)
_ALLOWED_PER_TRANSACTION = 200


@dataclass(frozen=True, slots=True)
class EdgeNode:
    """An edge node as the registry knows it; the digests are SHA-256 of its ML-DSA and ML-KEM public keys."""

    id: int
    account: bytes
    active: bool
    signature_key_digest: bytes
    encapsulation_key_digest: bytes
    endpoint: str


class ParticipantsClient:
    """Reads for everybody; what is marked *owner* reverts for all but the registry's owner: the
    deployer during the set-up, the quorum of edge nodes (`bflmec.ledger.government`) from then on.

    Every method raises LedgerRevertedError when the contract refuses and LedgerError when the chain does.
    """

    def __init__(self, sender: Sender, address: bytes) -> None:
        self.address = address
        self._sender = sender
        self._interface = interface("Participants")
        self._edge_nodes: tuple[tuple[int, int], dict[int, bytes]] | None = None

    def client_key_digest(self, account: bytes) -> bytes | None:
        """SHA-256 of the client's registered public key, or None if the account is no client."""
        (digest,) = self._read("clientKeyDigest", account)
        return None if digest == _ZERO_DIGEST else bytes(digest)

    def client_key_digests(self, account: bytes) -> list[bytes]:
        """SHA-256 of every public key that the client has registered so far, in order; also of one that was removed."""
        (count,) = self._read("clientKeyCount", account)
        return [bytes(self._read("clientKeyAt", account, index)[0]) for index in range(count)]

    def is_client_allowed(self, account: bytes) -> bool:
        return bool(self._read("isClientAllowed", account)[0])

    def open_registration(self) -> bool:
        return bool(self._read("openRegistration")[0])

    def edge_nodes(self) -> Mapping[int, bytes]:
        """Accounts of the active edge nodes by id."""
        last, active = self.last_edge_node_id(), self.active_edge_nodes()
        # Admission raises the last id, retirement lowers the count of active ones: the pair never comes back.
        if self._edge_nodes is None or self._edge_nodes[0] != (last, active):
            nodes = [self.edge_node(id_) for id_ in range(1, last + 1)]
            self._edge_nodes = (last, active), {node.id: node.account for node in nodes if node.active}
        return dict(self._edge_nodes[1])

    def edge_node(self, id_: int) -> EdgeNode:
        """An edge node, active or retired."""
        ((account, active, signature, encapsulation, endpoint),) = self._read("edgeNode", id_)
        return EdgeNode(id_, account, active, signature, encapsulation, endpoint)

    def edge_node_id(self, account: bytes) -> int | None:
        """The newest id of an account, None if it was never admitted."""
        return int(self._read("edgeNodeId", account)[0]) or None

    def last_edge_node_id(self) -> int:
        return int(self._read("lastEdgeNodeId")[0])

    def active_edge_nodes(self) -> int:
        return int(self._read("activeEdgeNodes")[0])

    def allow_clients(self, accounts: Sequence[bytes]) -> None:
        """Let these accounts register (owner)."""
        for start in range(0, len(accounts), _ALLOWED_PER_TRANSACTION):
            self._write("allowClients", list(accounts[start : start + _ALLOWED_PER_TRANSACTION]))

    def remove_client(self, account: bytes) -> None:
        """Take a client and its key out (owner)."""
        self._write("removeClient", account)

    def register_client(self, key_digest: bytes) -> None:
        """Register this account as a client, or replace its key."""
        self._sender.confirm(self.submit_registration(key_digest))

    def submit_registration(self, key_digest: bytes) -> bytes:
        """`register_client` without waiting; returns the transaction's hash, for `Sender.confirm`."""
        return self._sender.submit(
            self.address, self._interface.encode("registerClient", key_digest), _REGISTRATION_GAS
        )

    def admit_edge_node(
        self, account: bytes, signature_key_digest: bytes, encapsulation_key_digest: bytes, endpoint: str
    ) -> int:
        """Admit an edge node (owner); returns its id."""
        self._write("admitEdgeNode", account, signature_key_digest, encapsulation_key_digest, endpoint)
        return self.edge_node_id(account) or 0

    def retire_edge_node(self, id_: int) -> None:
        """Retire an active edge node (owner)."""
        self._write("retireEdgeNode", id_)

    def replace_edge_node_keys(self, id_: int, signature_key_digest: bytes, encapsulation_key_digest: bytes) -> None:
        """Give an active edge node other keys (owner)."""
        self._write("replaceEdgeNodeKeys", id_, signature_key_digest, encapsulation_key_digest)

    def update_endpoint(self, id_: int, endpoint: str) -> None:
        """Move an active edge node to another endpoint (owner)."""
        self._write("updateEndpoint", id_, endpoint)

    def owner(self) -> bytes:
        """The deployer during the set-up, the government from then on."""
        return bytes(self._read("owner")[0])

    def name_successor(self, owner: bytes) -> None:
        """Name the next owner, who then has to take office (owner). See `GovernmentClient.end_set_up`."""
        self._write("transferOwnership", owner)

    def _read(self, function: str, *arguments: object) -> tuple[Any, ...]:
        data = self._interface.encode(function, *arguments)
        return self._interface.decode(function, self._sender.call(self.address, data))

    def _write(self, function: str, *arguments: object) -> None:
        data = self._interface.encode(function, *arguments)
        self._sender.send(self.address, data, self._sender.estimate(self.address, data))


_REGISTRATION_GAS = 100_000  # a first registration needs 51,000
