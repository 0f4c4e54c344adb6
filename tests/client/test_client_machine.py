"""A client between edge nodes that fail, connections that lose answers, and processes that are killed at any write.

Whatever happens, every local update that was stored counts once: in what is pending, or in exactly one local gradient.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from dictionary_world import LEDGER, DictionaryParticipants, HashCertifier
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bflmec.client.database import Database
from bflmec.client.edge_nodes import EdgeContact, EdgeNodes
from bflmec.client.filing import Filing
from bflmec.client.ledger_index import LedgerIndex
from bflmec.client.state import ClientState
from bflmec.client.store import WalletStore
from bflmec.configuration import load
from bflmec.consortium.edge_node import create_edge_node
from bflmec.consortium.genesis import genesis_of
from bflmec.consortium.rules import client_rules_of, rules_of
from bflmec.consortium.signatures import verifier_of
from bflmec.crypto.encapsulation import DecapsulationKey
from bflmec.crypto.keys import Role, derived_identity, derived_seed, key_digest
from bflmec.crypto.schemes import signature_scheme
from bflmec.crypto.seal import NONCE_LIMIT, search
from bflmec.errors import EdgeUnavailableError, NoEdgeNodeError, PoolFullError
from bflmec.ledger.events import RecordedBlock
from bflmec.ledger.follower import BlockAdded, Checkpoint
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.cache_pool import MemoryCachePool
from bflmec.protocol.client import Client, ClientIdentity
from bflmec.protocol.edge_node import EdgeNode, EdgeNodeIdentity
from bflmec.protocol.ledger_state import LedgerParameters
from bflmec.protocol.messages import Receipt
from bflmec.protocol.ports import Anchor
from bflmec.storage import MemoryStore
from bflmec.transport.node_info import NodeInfo, Recipient

CHAIN_ID = 1337
EDGE_NODES = (1, 2)
SCHEME = signature_scheme("ML-DSA-44")
CONFIG = load(
    None,
    [
        "dataset=digits",
        "aggregation_threshold=1000",
        "ledger.difficulty=1",
        "max_transactions=50",
        "ledger.per_client=50",
        "archive=false",
    ],
)
GENESIS = genesis_of(CONFIG)
SIZE = GENESIS.model.spec.size
CLIENT = derived_identity(7, Role.CLIENT, 0)
KEY = CLIENT.signing_key(SCHEME)
NODE_KEYS = {number: derived_identity(7, Role.EDGE_NODE, number) for number in EDGE_NODES}
ENCAPSULATION = {
    number: DecapsulationKey(derived_seed(7, Role.EDGE_NODE, number, "encapsulation", 64)) for number in EDGE_NODES
}
FAULTS = st.sampled_from(["works", "refused", "dropped", "lost", "full"])


class _KilledError(BaseException):
    """The process ends here."""


class MortalDatabase(Database):
    """Ends the process before or after the write that `countdown` counts down to."""

    countdown = -1
    after = False

    def put(self, name: str, value: bytes) -> None:
        self._write(lambda: super(MortalDatabase, self).put(name, value))

    def run(self, statement: str, *values: object) -> None:
        self._write(lambda: super(MortalDatabase, self).run(statement, *values))

    def _write(self, work: Any) -> None:
        self.countdown -= 1
        if self.countdown == 0 and not self.after:
            raise _KilledError
        work()
        if self.countdown == 0 and self.after:
            raise _KilledError


class DirectApi:
    """What `EdgeApi` does, with an edge node of this process; `fault` is what the next upload meets."""

    def __init__(self, number: int, node: EdgeNode) -> None:
        self.number, self.node, self.fault = number, node, "works"

    def node_info(self) -> NodeInfo:
        return NodeInfo(
            edge_node=self.number,
            account="0x" + self.node.identity.account.hex(),
            chain_id=CHAIN_ID,
            ledger="0x" + LEDGER.hex(),
            scheme=SCHEME.name,
            signature_key="0x" + NODE_KEYS[self.number].signing_key(SCHEME).public_key.hex(),
            encapsulation_key="0x" + ENCAPSULATION[self.number].public_key.hex(),
            head=0,
            anchor=0,
            blob_limit=1,
            upload_limit=1,
            challenge="0x" + bytes(32).hex(),
        )

    def upload(self, envelope: bytes, recipient: Recipient) -> Receipt:
        if self.fault == "dropped":
            raise EdgeUnavailableError("cut off")
        if self.fault == "full":
            raise PoolFullError("no room")
        receipt = self.node.receive(envelope, 0.0).receipt
        if self.fault == "lost":
            raise EdgeUnavailableError("no answer")
        return receipt

    def next_sequence(self, account: bytes) -> int:
        return self.node.next_sequence(account)


class NearEdgeNodes(EdgeNodes):
    """Edge nodes without sockets."""

    def __init__(self, database: Database, apis: dict[int, DirectApi]) -> None:
        super().__init__(database, CHAIN_ID, LEDGER)
        self._direct = apis
        self._contacts = [
            EdgeContact(
                number,
                str(number),
                key_digest(NODE_KEYS[number].signing_key(SCHEME).public_key),
                key_digest(ENCAPSULATION[number].public_key),
            )
            for number in apis
        ]

    def refresh(self, participants: Any) -> None:
        """They never change."""

    def _api(self, contact: EdgeContact) -> Any:
        return _Front(self._direct[contact.id])


class _Front:
    def __init__(self, api: DirectApi) -> None:
        self._api = api
        self.upload, self.next_sequence = api.upload, api.next_sequence

    def node(self) -> NodeInfo:
        if self._api.fault == "refused":
            raise EdgeUnavailableError("nobody is there")
        return self._api.node_info()


class DirectAccess:
    """Follows a list of blocks."""

    client: Any = type("Ledger", (), {"participants": None})()

    def __init__(self, blocks: list[SealedBlock], index: LedgerIndex) -> None:
        self._blocks, self._index = blocks, index

    def follow(self) -> None:
        new = [RecordedBlock(block, 1, bytes(32), bytes(32)) for block in self._blocks[self._index.number :]]
        if new:
            self._index.apply([BlockAdded(block) for block in new], Checkpoint.at(new[-1]))


class LedgerOfOne:
    """No global update ever: the anchor is genesis."""

    def __init__(self, anchor: Anchor) -> None:
        self._anchor = anchor

    def head_number(self) -> int:
        return 0

    def latest_anchor(self) -> Anchor:
        return self._anchor

    def anchor_at(self, number: int) -> Anchor | None:
        return self._anchor if number == 0 else None


class ClientMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.blobs = MemoryStore()
        parameters = LedgerParameters(
            chain_id=CHAIN_ID,
            ledger=LEDGER,
            difficulty=1,
            aggregation_threshold=1000,
            max_transactions=50,
            base_reward=CONFIG.aggregation.base_reward,
            miner_reward=0,
            rules_digest=rules_of(CONFIG, GENESIS.model).digest,
            genesis=self.blobs.put(GENESIS.blob),
        )
        participants = DictionaryParticipants(
            {CLIENT.address: key_digest(KEY.public_key)},
            {number: identity.address for number, identity in NODE_KEYS.items()},
        )
        self.apis = {}
        for number, identity in NODE_KEYS.items():
            node = create_edge_node(
                CONFIG,
                GENESIS,
                EdgeNodeIdentity(
                    number, identity.address, identity.signing_key(SCHEME), HashCertifier(identity.address)
                ),
                parameters=parameters,
                participants=participants,
                verify=verifier_of(SCHEME),
                pool=MemoryCachePool(),
                blobs=self.blobs,
            )
            self.apis[number] = DirectApi(number, node)
        self.blocks: list[SealedBlock] = []
        self.stored = np.zeros(SIZE)
        self.updates = 0
        self.receipts: set[bytes] = set()
        self.envelopes: list[bytes] = []
        self.database: MortalDatabase | None = None
        self.start()

    def start(self) -> None:
        """A process of the client, on what the last one left on disk."""
        if self.database is not None:
            self.database.close()
        self.database = MortalDatabase(self.folder / "wallet.sqlite", b"ledger")
        identity = ClientIdentity(CLIENT.address, SCHEME.name, KEY, CHAIN_ID, LEDGER)
        self.store = WalletStore(self.database)
        index = LedgerIndex(self.database, CLIENT.address, 0)
        client = Client(identity, client_rules_of(CONFIG), GENESIS.model.spec, self.blobs)
        self.state = ClientState(client, self.store)
        self.state.jump(LedgerOfOne(self.apis[1].node.state.anchors[0]))
        access: Any = DirectAccess(self.blocks, index)
        self.filing = Filing(
            CLIENT.address,
            self.state,
            self.store,
            index,
            access,
            NearEdgeNodes(self.database, self.apis),
            self.blobs,
            patience=0.0,
        )

    # ---------------------------------------------------------------- what happens

    @rule(value=st.integers(1, 1000), kill=st.sampled_from([None, "before", "after"]))
    def train(self, value: int, kill: str | None) -> None:
        content = np.zeros(SIZE, np.float32)
        content[self.updates % SIZE] = value
        before = self.state.pending
        self._run(lambda: self.state.contribute(GENESIS.initial + content), kill, 1)
        if self.state.pending > before:
            self.stored += content
            self.updates += 1

    @rule(first=FAULTS, second=FAULTS, kill=st.sampled_from([None, None, "before", "after"]), at=st.integers(1, 6))
    def send(self, first: str, second: str, kill: str | None, at: int) -> None:
        self.apis[1].fault, self.apis[2].fault = first, second
        self._run(self._send, kill, at)

    @rule(first=FAULTS, second=FAULTS, kill=st.sampled_from([None, None, "before", "after"]), at=st.integers(1, 6))
    def watch(self, first: str, second: str, kill: str | None, at: int) -> None:
        self.apis[1].fault, self.apis[2].fault = first, second
        self._run(self.filing.watch, kill, at)

    @rule()
    def kill(self) -> None:
        self.start()

    @precondition(lambda self: any(api.node.assembler.eligible() for api in self.apis.values()))
    @rule(data=st.data())
    def mine(self, data: st.DataObject) -> None:
        able = [api.node for api in self.apis.values() if api.node.assembler.eligible()]
        miner = data.draw(st.sampled_from(able))
        for api in self.apis.values():
            for item in list(api.node.pool):
                announcement = api.node.supply(item.gradient.digest)
                for other in self.apis.values():
                    if announcement is not None:
                        other.node.exchange(announcement, 0.0)
        candidate = miner.candidate()
        nonce = search(candidate.header.hash, 1, 0, NONCE_LIMIT)
        assert nonce is not None
        block, _ = miner.seal(candidate, nonce)
        for api in self.apis.values():
            api.node.record(block)
        self.blocks.append(block)

    @precondition(lambda self: any(len(api.node.pool) for api in self.apis.values()))
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        """Somebody sends an envelope once more, to the other edge node."""
        held = [item.gradient.envelope for api in self.apis.values() for item in api.node.pool]
        self.apis[data.draw(st.sampled_from(EDGE_NODES))].node.receive(data.draw(st.sampled_from(held)), 0.0)

    def _send(self) -> None:
        with suppress(NoEdgeNodeError):
            self.filing.send()

    def _run(self, work: Any, kill: str | None, at: int) -> None:
        assert self.database is not None
        if kill is not None:
            self.database.countdown, self.database.after = at, kill == "after"
        try:
            work()
        except _KilledError:
            self.start()
        self.database.countdown = -1

    # ---------------------------------------------------------------- what always holds

    @invariant()
    def every_stored_update_counts_once(self) -> None:
        if not hasattr(self, "state"):
            return
        filed = {gradient.digest: gradient for gradient in self.store.filed()}
        held = {item.gradient.digest: item.gradient for api in self.apis.values() for item in api.node.pool}
        total = np.zeros(SIZE)
        for digest, gradient in filed.items():
            assert digest in held, "a receipt was given for what no edge node holds"
            total += gradient.header.updates * held[digest].vector.astype(np.float64)
        for update in self.state._client._pending.updates:
            total += update.total
        np.testing.assert_allclose(total, self.stored, rtol=1e-4, atol=1e-2)

    @invariant()
    def one_sequence_number_stands_for_one_local_gradient(self) -> None:
        if not hasattr(self, "state"):
            return
        held = {item.gradient.digest: item.gradient.header for api in self.apis.values() for item in api.node.pool}
        sequences = [header.sequence for header in held.values()]
        assert len(sequences) == len(set(sequences))
        assert all(sequence <= self.state.sequence for sequence in sequences)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            if self.database is not None:
                self.database.close()
            shutil.rmtree(self.folder)


TestClientMachine = ClientMachine.TestCase
TestClientMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
