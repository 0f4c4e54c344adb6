"""An edge node of the ledger, from the configuration."""

from __future__ import annotations

from bflmec.configuration.sections import Config
from bflmec.consortium.genesis import Genesis
from bflmec.consortium.rules import rules_of
from bflmec.protocol.aggregator import Aggregator
from bflmec.protocol.block_assembler import BlockAssembler
from bflmec.protocol.cache_pool import CachePool
from bflmec.protocol.edge_node import EdgeNode, EdgeNodeIdentity
from bflmec.protocol.intake import POOL_LIMIT
from bflmec.protocol.ledger_state import LedgerParameters, LedgerState
from bflmec.protocol.ports import Blobs, Participants, Verifier
from bflmec.protocol.verification import GradientVerifier


def create_edge_node(
    config: Config,
    genesis: Genesis,
    identity: EdgeNodeIdentity,
    *,
    parameters: LedgerParameters,
    participants: Participants,
    verify: Verifier,
    pool: CachePool,
    blobs: Blobs,
    quorum: bool = True,
    final_after: int = 0,
    pool_limit: int = POOL_LIMIT,
) -> EdgeNode:
    """An edge node at block 0. Raises RulesMismatchError if the ledger committed to other rules."""
    state, rules, spec = LedgerState(parameters), rules_of(config, genesis.model, quorum=quorum), genesis.model.spec
    return EdgeNode(
        identity,
        state=state,
        participants=participants,
        rules=rules,
        verifier=GradientVerifier(state, participants, rules, spec, verify),
        assembler=BlockAssembler(state, participants, pool, Aggregator(rules, genesis.initial), rules, spec),
        pool=pool,
        blobs=blobs,
        record_after=config.ledger.record_after,
        final_after=final_after,
        pool_limit=pool_limit,
    )
