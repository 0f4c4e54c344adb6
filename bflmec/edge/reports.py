"""What an edge node says about itself over HTTP. `gradient_state` and `status` run in the core's thread."""

from __future__ import annotations

from typing import Any

from bflmec import __version__
from bflmec.edge.service import EdgeService
from bflmec.errors import NotHeldError
from bflmec.transport.node_info import GradientState, NodeInfo


def node_info(service: EdgeService) -> NodeInfo:
    state, keys, identity = service.node.state, service.parts.keys, service.node.identity
    return NodeInfo(
        edge_node=identity.id,
        account=_hex(identity.account),
        chain_id=state.parameters.chain_id,
        ledger=_hex(state.parameters.ledger),
        scheme=keys.scheme,
        signature_key=_hex(keys.signature.public_key),
        encapsulation_key=_hex(keys.encapsulation.public_key),
        head=state.number,
        anchor=state.anchor,
        blob_limit=service.parts.blob_limit,
        upload_limit=service.uploads.limit,
        challenge=_hex(service.responder.challenge),
    )


def gradient_state(service: EdgeService, digest: bytes) -> GradientState:
    """Raises NotHeldError for one that is not known here."""
    try:
        fate = service.index[digest]
    except KeyError:
        if service.node.pool.get(digest) is None:
            raise NotHeldError("this edge node does not know the local gradient; the ledger may") from None
        return GradientState("waiting")
    if fate.anchor is None:
        return GradientState("recorded", fate.block)
    return GradientState("aggregated", fate.block, fate.anchor, "high" if fate.is_high else "low")


def status(service: EdgeService) -> dict[str, Any]:
    node, state = service.node, service.node.state
    return {
        "version": __version__,
        "edge_node": node.identity.id,
        "account": _hex(node.identity.account),
        "chain_id": state.parameters.chain_id,
        "ledger": _hex(state.parameters.ledger),
        "head": {"number": state.number, "hash": _hex(state.head)},
        "anchor": {"number": state.anchor, "global_gradient": str(state.anchors[state.anchor].content)},
        "pending": len(state.pending),
        "aggregation_threshold": state.parameters.aggregation_threshold,
        "recorded": state.recorded,
        "pool": {"gradients": len(node.pool), "bytes": node.pool.size, "limit": service.parts.settings.pool_limit},
        "edge_nodes": len(service.parts.registry.edge_nodes()),
        "peers_up": service.peers.up(),
        "ether": service.ether,
        "lacks": service.parts.replica.lacks,
        "troubles": service.troubles(),
    }


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
