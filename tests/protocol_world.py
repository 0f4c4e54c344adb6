"""A small consortium for the protocol's own tests: a model of eight numbers, real ML-DSA keys, dictionaries else.

Client and edge-node keys are made once per process; a world is cheap.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
from dictionary_world import LEDGER, DictionaryParticipants, HashCertifier, verify
from numpy.typing import NDArray

from bflmec.crypto.keys import Role, derived_identity, key_digest
from bflmec.crypto.schemes import SigningKey, signature_scheme
from bflmec.crypto.seal import NONCE_LIMIT, search
from bflmec.learning.blob import encode_blob
from bflmec.learning.rules import AggregationRules
from bflmec.learning.tensors import TensorSpec
from bflmec.protocol.aggregator import Aggregator
from bflmec.protocol.block_assembler import BlockAssembler, Candidate
from bflmec.protocol.blocks import SealedBlock, Transaction
from bflmec.protocol.cache_pool import MemoryCachePool
from bflmec.protocol.client import ClientIdentity
from bflmec.protocol.edge_node import EdgeNode, EdgeNodeIdentity
from bflmec.protocol.intake import POOL_LIMIT
from bflmec.protocol.ledger_state import LedgerParameters, LedgerState
from bflmec.protocol.messages import GRADIENT_CONTEXT, Announcement, Envelope, GradientHeader, SignedHeader, encode
from bflmec.protocol.ports import Anchor
from bflmec.protocol.rules import Rules
from bflmec.protocol.verification import GradientVerifier
from bflmec.storage import MemoryStore

SCHEME = "ML-DSA-44"
CHAIN_ID = 1337
SPEC = TensorSpec.of({"bias": (2,), "weight": (3, 2)})
BASE_REWARD = 100


@cache
def participant(role: Role, number: int) -> tuple[bytes, SigningKey]:
    """Account and ML-DSA key."""
    identity = derived_identity(7, role, number)
    return identity.address, identity.signing_key(signature_scheme(SCHEME))


def some_vector(client: int, sequence: int) -> NDArray[np.float32]:
    """A local gradient like those of other clients, and unlike any other."""
    rng = np.random.default_rng([client, sequence])
    return (np.linspace(0.5, 1.5, SPEC.size) + 0.1 * rng.normal(size=SPEC.size)).astype(np.float32)


class ProtocolWorld:
    """`edge_nodes` edge nodes with ids from 1, and as many `clients`; everybody is registered."""

    def __init__(
        self,
        edge_nodes: int = 3,
        clients: int = 4,
        *,
        threshold: int = 4,
        max_transactions: int = 8,
        per_client: int = 2,
        omission_limit: int = 8,
        miner_reward: int = 0,
        record_after: float = 10.0,
        difficulty: int = 2,
        final_after: int = 0,
        pool_limit: int = POOL_LIMIT,
        **aggregation: Any,
    ) -> None:
        self.rules = Rules(
            model="eight numbers",
            parameters=SPEC.size,
            schemes=(SCHEME,),
            aggregation_threshold=threshold,
            per_client=per_client,
            omission_limit=omission_limit,
            aggregation=AggregationRules(base_reward=BASE_REWARD, **aggregation),
        )
        self.initial = np.zeros(SPEC.size, np.float32)
        self.blobs = MemoryStore()
        self.parameters = LedgerParameters(
            chain_id=CHAIN_ID,
            ledger=LEDGER,
            difficulty=difficulty,
            aggregation_threshold=threshold,
            max_transactions=max_transactions,
            base_reward=BASE_REWARD,
            miner_reward=miner_reward,
            rules_digest=self.rules.digest,
            genesis=self.blobs.put(encode_blob(SPEC, self.initial)),
        )
        self.participants = DictionaryParticipants()
        self.clients: list[ClientIdentity] = []
        for number in range(clients):
            account, key = participant(Role.CLIENT, number)
            self.participants.clients[account] = key_digest(key.public_key)
            self.clients.append(ClientIdentity(account, SCHEME, key, CHAIN_ID, LEDGER))
        for id_ in range(1, edge_nodes + 1):
            self.participants.nodes[id_] = participant(Role.EDGE_NODE, id_)[0]
        self.record_after = record_after
        self.final_after = final_after
        self.pool_limit = pool_limit
        self.nodes = [self.edge_node(id_) for id_ in range(1, edge_nodes + 1)]

    def edge_node(self, id_: int) -> EdgeNode:
        """An edge node that knows nothing yet but the ledger's parameters."""
        account, key = participant(Role.EDGE_NODE, id_)
        state, pool = LedgerState(self.parameters), MemoryCachePool()
        return EdgeNode(
            EdgeNodeIdentity(id_, account, key, HashCertifier(account)),
            state=state,
            participants=self.participants,
            rules=self.rules,
            verifier=GradientVerifier(state, self.participants, self.rules, SPEC, verify),
            assembler=BlockAssembler(
                state, self.participants, pool, Aggregator(self.rules, self.initial), self.rules, SPEC
            ),
            pool=pool,
            blobs=self.blobs,
            record_after=self.record_after,
            final_after=self.final_after,
            pool_limit=self.pool_limit,
        )

    # ---------------------------------------------------------------- local gradients

    @property
    def genesis(self) -> Anchor:
        return LedgerState(self.parameters).anchors[0]

    def header(self, by: int, sequence: int, blob: bytes, anchor: Anchor | None = None) -> GradientHeader:
        anchor = anchor or self.genesis
        return GradientHeader(
            chain_id=CHAIN_ID,
            ledger=LEDGER,
            client=self.clients[by].account,
            sequence=sequence,
            anchor=anchor.number,
            anchor_hash=anchor.hash,
            mode=self.rules.mode,
            blob_digest=sha256(blob).digest(),
            blob_length=len(blob),
            updates=1,
        )

    def envelope(
        self,
        by: int = 0,
        sequence: int = 1,
        vector: NDArray[np.float32] | None = None,
        *,
        anchor: Anchor | None = None,
        blob: bytes | None = None,
        **changes: Any,
    ) -> bytes:
        """An upload of that client; `changes` replace fields of its header before it is signed."""
        vector = some_vector(by, sequence) if vector is None else vector
        blob = encode_blob(SPEC, vector) if blob is None else blob
        header = replace(self.header(by, sequence, blob, anchor), **changes)
        return encode(Envelope(self.sign(by, header), blob))

    def sign(self, by: int, header: GradientHeader) -> SignedHeader:
        signer = self.clients[by].signer
        return SignedHeader(header.encode(), SCHEME, signer.sign(header.digest, GRADIENT_CONTEXT), signer.public_key)

    def spread(self, *envelopes: bytes, now: float = 0.0, to: int = 0) -> None:
        """One edge node takes the uploads in; all others get the announcements."""
        for envelope in envelopes:
            announcement = self.nodes[to].receive(envelope, now).announcement
            if announcement is not None:
                self.announce(announcement, now)

    def spread_rivals(self, by: int = 0) -> None:
        """The client signs its sequence 1 twice, for two edge nodes at once; each pools both, its own first."""
        taken_in = [self.nodes[node].receive(self.envelope(by, 1, some_vector(by, 100 + node)), 0.0) for node in (0, 1)]
        for acceptance in taken_in:
            assert acceptance.announcement is not None
            self.announce(acceptance.announcement)

    def announce(self, announcement: Announcement, now: float = 0.0) -> None:
        for node in self.nodes:
            node.exchange(announcement, now)

    # ---------------------------------------------------------------- blocks

    def seal(self, candidate: Candidate) -> SealedBlock:
        nonce = search(candidate.header.hash, self.parameters.difficulty, 0, NONCE_LIMIT)
        assert nonce is not None
        return candidate.sealed(nonce)

    def reseal(self, block: SealedBlock, **changes: Any) -> SealedBlock:
        """The block with other header fields, sealed again."""
        header = replace(block.header, **changes)
        nonce = search(header.hash, self.parameters.difficulty, 0, NONCE_LIMIT)
        assert nonce is not None
        return replace(block, header=header, nonce=nonce)

    def mine(self, node: int = 0) -> SealedBlock:
        """The edge node's next block, sealed, its blobs stored; nobody has reviewed it yet."""
        miner = self.nodes[node]
        block = self.seal(miner.candidate())
        miner.seal(miner.candidate(), block.nonce)
        return block

    def propose(self, transactions: list[Transaction], miner: int = 0) -> SealedBlock:
        """The sealed block that these transactions lead to, chosen freely by its miner; its body is stored."""
        node = self.nodes[miner]
        candidate = node.assembler.assemble(transactions, node.identity.account)
        self.blobs.put(candidate.body)
        return self.seal(candidate)

    def record(self, block: SealedBlock) -> None:
        for node in self.nodes:
            node.record(block)

    def run_block(self, *envelopes: bytes, miner: int = 0) -> SealedBlock:
        """Takes uploads in everywhere, mines and records one block."""
        self.spread(*envelopes)
        block = self.mine(miner)
        self.record(block)
        return block


def snapshot(node: EdgeNode) -> tuple[Any, ...]:
    """Everything of an edge node that a refused message must leave as it is."""
    state = {name: repr(value) for name, value in vars(node.state).items()}
    pool = [(item.gradient.digest, item.gradient.signed, item.receiver, item.known_at) for item in node.pool]
    aggregator = node.assembler.aggregator
    return state, pool, aggregator.weights.tobytes(), len(aggregator.history)
