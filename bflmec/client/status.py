"""A wallet at one moment."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bflmec.client.edge_nodes import EdgeNodes
from bflmec.client.ledger_access import LedgerAccess
from bflmec.client.state import ClientState
from bflmec.client.store import WalletStore
from bflmec.errors import LedgerError


@dataclass(frozen=True)
class WalletStatus:
    """A wallet at one moment. What only the ledger knows is None while it does not answer; amounts are in the token's
    smallest unit; `edge_nodes` are seconds of distance by id, None for one that was not asked or failed."""

    account: bytes
    key_digest: bytes
    registered: bool | None
    sequence: int
    pending: int
    filed: int
    recorded: int
    anchor: int | None
    newest_anchor: int | None
    earned: int | None
    claimed: int | None
    edge_nodes: dict[int, float | None]


def wallet_status(
    account: bytes,
    key_digest: bytes,
    state: ClientState,
    store: WalletStore,
    access: LedgerAccess,
    edge_nodes: EdgeNodes,
) -> WalletStatus:
    """What the wallet knows, and what the ledger says if it answers."""
    filed, recorded = store.count()
    status = WalletStatus(
        account=account,
        key_digest=key_digest,
        registered=None,
        sequence=state.sequence,
        pending=state.pending,
        filed=filed,
        recorded=recorded,
        anchor=None if state.anchor is None else state.anchor.number,
        newest_anchor=None,
        earned=None,
        claimed=None,
        edge_nodes=edge_nodes.distances(),
    )
    try:
        ledger, earned = access.client, access.newest_balances().get(account, 0)
        filed, recorded = store.count()
        return replace(
            status,
            registered=ledger.participants.client_key_digest(account) == key_digest,
            filed=filed,
            recorded=recorded,
            newest_anchor=ledger.head().anchor,
            earned=earned,
            claimed=ledger.token.claimed(account),
        )
    except LedgerError:
        return status
