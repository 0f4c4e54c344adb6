"""Local gradients for the tests of a cache pool."""

from __future__ import annotations

from protocol_world import ProtocolWorld, some_vector

from bflmec.protocol.cache_pool import PooledGradient
from bflmec.protocol.verification import GradientVerifier, VerifiedGradient

OWNER = bytes(32)
WORLD = ProtocolWorld(edge_nodes=1)
VERIFIER: GradientVerifier = WORLD.nodes[0]._intake._verifier


def gradient(client: int = 0, sequence: int = 1, variant: int = 0) -> VerifiedGradient:
    return VERIFIER(WORLD.envelope(client, sequence, some_vector(client, 100 * variant + sequence)))


def item(client: int = 0, sequence: int = 1, variant: int = 0) -> PooledGradient:
    return PooledGradient(gradient(client, sequence, variant), 1, 0, 0.0)
