"""The registry of participants as an edge node remembers it: no question to the ledger for a client that is known.

Clients come from the registry's events, from its first one on; who registered a moment ago, or in events that are not
read yet, is asked about. Reads of the cache come from any thread; `refresh` and `look_up` talk to the ledger and belong
into threads that may wait.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from time import monotonic
from types import MappingProxyType
from typing import Any, Final, TypeVar

from eth_utils.address import to_checksum_address
from web3 import Web3

from bflmec.edge.rate import TokenBucket
from bflmec.errors import EdgeBusyError
from bflmec.ledger.events import HOST_BLOCKS_PER_QUERY
from bflmec.ledger.interface import event_topic
from bflmec.ledger.participants import EdgeNode, ParticipantsClient
from bflmec.ledger.sender import ledger_errors
from bflmec.transport.sessions import PeerKeys

KNOWN_CLIENTS: Final = 200_000
UNKNOWN_ACCOUNTS: Final = 20_000
UNKNOWN_SECONDS: Final = 10.0
"""How long an account that is no client is not asked about again, unless the ledger says that it registered."""
REORGANISATION: Final = 64
"""Host blocks whose events are read again each time: they may have moved."""
QUERIES_PER_REFRESH: Final = 16
"""After so many queries a refresh ends; the next one goes on."""

T = TypeVar("T")


class CachedRegistry:
    """The protocol's `Participants` and the transport's `PeerRegistry`. `lookups_per_second` bounds how often accounts
    that are not known lead to a question to the ledger, whoever asks."""

    def __init__(self, w3: Web3, participants: ParticipantsClient, start: int, lookups_per_second: float) -> None:
        """`start` is the host block of the registry's deployment."""
        self._w3 = w3
        self._participants = participants
        self._clients: OrderedDict[bytes, bytes] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._nodes: dict[int, EdgeNode] = {}
        self._active: Mapping[int, bytes] = MappingProxyType({})
        self._next = start
        self._start = start
        self._seen: set[tuple[bytes, int]] = set()
        self._lock = threading.Lock()
        self._bucket = TokenBucket(lookups_per_second, max(2 * lookups_per_second, 1.0))

    # ---------------------------------------------------------------- what is remembered

    def client_key_digest(self, account: bytes) -> bytes | None:
        """None for whoever is not known as a client here; see `look_up`."""
        with self._lock:
            return self._clients.get(account)

    def edge_nodes(self) -> Mapping[int, bytes]:
        return self._active

    def edge_node(self, id_: int) -> EdgeNode | None:
        """An active edge node with its keys and its endpoint."""
        node = self._nodes.get(id_)
        return node if node is not None and node.active else None

    def active_peer(self, edge_node: int) -> PeerKeys | None:
        node = self.edge_node(edge_node)
        return None if node is None else PeerKeys(node.signature_key_digest, node.encapsulation_key_digest)

    def knows(self, account: bytes, key_digest: bytes) -> bool:
        """Whether the account is remembered as a client with that key."""
        return self.client_key_digest(account) == key_digest

    # ---------------------------------------------------------------- questions to the ledger

    def look_up(self, account: bytes, key_digest: bytes) -> None:
        """Asks the ledger about a client that is not known with that key, unless that was done a moment ago.

        Raises EdgeBusyError if too many are asked about, LedgerError if the ledger does not answer.
        """
        now = monotonic()
        with self._lock:
            if self._clients.get(account) == key_digest or self._unknown.get(account, 0.0) > now:
                return
            if not self._bucket.take(now):
                error = EdgeBusyError("too many accounts that are not known as clients; try again")
                error.retry_after = 1.0
                raise error
            self._remember(self._unknown, account, now + UNKNOWN_SECONDS, UNKNOWN_ACCOUNTS)
        registered = self._participants.client_key_digest(account)
        with self._lock:
            if registered is None:
                self._clients.pop(account, None)
            else:
                self._remember(self._clients, account, registered, KNOWN_CLIENTS)
                if registered == key_digest:
                    self._unknown.pop(account, None)

    def refresh(self) -> bool:
        """Reads on in the registry's events; whether edge nodes have changed. Raises LedgerError; repeat it then."""
        with ledger_errors():
            newest = self._w3.eth.block_number
        changed = not self._nodes
        for _ in range(QUERIES_PER_REFRESH):
            first = max(self._next - REORGANISATION, self._start)
            last = min(first + HOST_BLOCKS_PER_QUERY - 1, newest)
            if last < first:
                break
            changed = self._read(first, last) or changed
            self._next = last + 1
            if last == newest:
                break
        if changed:
            self._read_edge_nodes()
        return changed

    def _read(self, first: int, last: int) -> bool:
        """The events of those host blocks; whether one was about edge nodes."""
        query = {"address": to_checksum_address(self._participants.address), "fromBlock": first, "toBlock": last}
        with ledger_errors():
            logs = self._w3.eth.get_logs(query)  # type: ignore[arg-type]  # web3's types want hex strings
        about_edge_nodes, before = False, self._seen
        self._seen = {(bytes(log["blockHash"]), int(log["logIndex"])) for log in logs}
        for log in logs:
            topic, data = bytes(log["topics"][0]), bytes(log["data"])
            if (bytes(log["blockHash"]), int(log["logIndex"])) in before:
                continue
            if topic == event_topic("Participants", "ClientRemoved"):
                self._set(_account(log), None)
            elif topic in _new_keys():
                self._set(_account(log), data[-32:])  # the new key's digest is the last word of either event
            elif topic != event_topic("Participants", "ClientAllowed"):
                about_edge_nodes = True
        return about_edge_nodes

    def _set(self, account: bytes, key_digest: bytes | None) -> None:
        with self._lock:
            self._unknown.pop(account, None)
            if key_digest is None:
                self._clients.pop(account, None)
            else:
                self._remember(self._clients, account, key_digest, KNOWN_CLIENTS)

    def _read_edge_nodes(self) -> None:
        nodes = [self._participants.edge_node(id_) for id_ in range(1, self._participants.last_edge_node_id() + 1)]
        self._nodes = {node.id: node for node in nodes}
        self._active = MappingProxyType({node.id: node.account for node in nodes if node.active})

    @staticmethod
    def _remember(table: OrderedDict[bytes, T], account: bytes, value: T, most: int) -> None:
        table[account] = value
        table.move_to_end(account)
        if len(table) > most:
            table.popitem(last=False)


def _account(log: Mapping[str, Any]) -> bytes:
    return bytes(log["topics"][1])[12:]


def _new_keys() -> frozenset[bytes]:
    return frozenset(event_topic("Participants", name) for name in ("ClientRegistered", "ClientKeyRotated"))
