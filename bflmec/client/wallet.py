"""The wallet SDK for threads; `bflmec.client.async_wallet` is the same for asyncio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from bflmec.client.audit_proof import FORMAT, AuditProof, BlockProof, gradient_proofs, hexed, reward_proof
from bflmec.client.database import Database, binding_of
from bflmec.client.directory import WalletDirectory, WalletKeys
from bflmec.client.edge_nodes import EdgeNodes
from bflmec.client.filing import Filed, Filing
from bflmec.client.ledger_access import LedgerAccess
from bflmec.client.ledger_index import LedgerIndex
from bflmec.client.registration import register, rotate
from bflmec.client.rewards import Rewards
from bflmec.client.state import ClientState
from bflmec.client.status import WalletStatus, wallet_status
from bflmec.client.store import FiledGradient, WalletStore
from bflmec.configuration import Config, load
from bflmec.consortium.genesis import genesis_of
from bflmec.consortium.rules import client_rules_of, rules_of
from bflmec.errors import ConfigError, LedgerError, WalletError
from bflmec.learning.blob import blob_size, decode_blob
from bflmec.protocol.client import Client, ClientIdentity, ClientRules
from bflmec.protocol.pending import ATTEMPTS
from bflmec.protocol.ports import Anchor
from bflmec.storage import BlobStore, FallbackStore, Getter, storages

if TYPE_CHECKING:
    from web3 import Web3

    from bflmec.ledger.deployment import Deployment
    from bflmec.ledger.fees import FeePolicy

PATIENCE: Final = 300.0
"""Seconds after which a local gradient that has a receipt, but no place in the ledger, is filed again."""
PENDING_BYTES: Final = 1 << 26
"""About what pending updates take up at most."""


@dataclass(frozen=True, eq=False)
class GlobalGradient:
    """A global gradient: the block that holds it, and its weights (P,) float32, read-only."""

    anchor: Anchor
    weights: NDArray[np.float32]


class Wallet:
    """One client of one ledger: its keys, its state, and everything it does. Threads may share it; processes may not.

    Errors say what was wrong: WalletError the folder, LedgerError the chain, NoEdgeNodeError the edge nodes,
    StorageError a global gradient. Nothing that was promised or trained is lost by any of them.
    """

    def __init__(
        self,
        directory: WalletDirectory,
        keys: WalletKeys,
        config: Config,
        deployment: Deployment,
        connect: Callable[[], Web3],
        *,
        confirmations: int = 0,
        fees: FeePolicy | None = None,
        patience: float = PATIENCE,
        timeout: float = 30.0,
        getters: Sequence[Getter] = (),
        prefer: Sequence[int] = (),
    ) -> None:
        """For whoever has its own way to the chain; others use `open`. `connect` is called when the ledger is needed
        first. `timeout` is how long an edge node may stay silent. `getters` are asked for blobs before edge nodes are.
        Edge nodes that it `prefer`s, by id, are asked before the others.

        Raises RulesMismatchError if the configuration is not the ledger's, ConfigError if the key's scheme isn't.
        """
        from eth_account import Account

        genesis = genesis_of(config)
        rules_of(config, genesis.model).require(deployment.parameters.rules_digest)
        if keys.scheme != config.signatures.scheme:
            raise ConfigError(
                f"the ledger's clients sign with {config.signatures.scheme}, this wallet's key is {keys.scheme}"
            )
        self.directory = directory
        self.config = config
        self.deployment = deployment
        self.model = genesis.model
        self.keys = keys
        account = Account.from_key(keys.account_key)
        self.account = bytes.fromhex(account.address[2:])
        self.rules = _bounded(client_rules_of(config), genesis.model.spec.size)
        directory.lock()
        try:
            self._database = Database(directory.database_file, binding_of(deployment))
        except BaseException:
            directory.unlock()
            raise
        self._store = WalletStore(self._database)
        self._index = LedgerIndex(self._database, self.account, deployment.parameters.miner_reward)
        self._edge_nodes = EdgeNodes(
            self._database, deployment.chain_id, deployment.ledger, timeout=timeout, prefer=prefer
        )
        self._access = LedgerAccess(connect, deployment, account, self._index, confirmations, fees)
        self._local_blobs = BlobStore(directory.blobs)
        self._blobs = FallbackStore(self._local_blobs, [*getters, self._edge_nodes.blob])
        identity = ClientIdentity(self.account, keys.scheme, keys.signing_key, deployment.chain_id, deployment.ledger)
        self.state = ClientState(Client(identity, self.rules, self.model.spec, self._blobs), self._store)
        self._filing = Filing(
            self.account,
            self.state,
            self._store,
            self._index,
            self._access,
            self._edge_nodes,
            self._blobs,
            patience,
        )
        self._rewards = Rewards(self._access, self.account)

    @classmethod
    def open(
        cls,
        path: str | Path,
        password: bytes | None = None,
        *,
        network: str | None = None,
        deployment: Path | None = None,
        config: Path | None = None,
        patience: float = PATIENCE,
        timeout: float = 30.0,
    ) -> Self:
        """The wallet in a folder that `WalletDirectory.create` or `bflmec client init` made. What is not given is as
        its `wallet.toml` says, the password that of the folder.

        Raises WalletError, KeystoreError, ConfigError or LedgerError for what does not fit.
        """
        from bflmec.ledger.deployment import Deployment
        from bflmec.ledger.network import connect, find_network

        directory = WalletDirectory.open(path)
        settings = directory.settings()
        networks = directory.resolve(settings.networks) if settings.networks else None
        chain = find_network(network or settings.network, networks)
        return cls(
            directory,
            directory.keys(directory.password() if password is None else password),
            load(config or directory.resolve(settings.config)),
            Deployment.load(deployment or directory.resolve(settings.deployment)),
            lambda: connect(chain),
            confirmations=chain.confirmations,
            fees=chain.fee_policy,
            patience=patience,
            timeout=timeout,
            getters=[storages.get("ipfs")(settings.ipfs).get] if settings.ipfs else [],
            prefer=[int(part) for part in settings.prefer.split(",") if part],
        )

    # ---------------------------------------------------------------- taking part

    def register(self) -> bool:
        """Registers the account as a client with its ML-DSA key; False if it is already. Costs gas.

        Raises NotRegisteredError if the account has to be allowed first, LedgerError if it can't pay.
        """
        return register(self._access, self.account, self.keys.key_digest)

    def rotate_key(self, password: bytes | None = None, *, light: bool = False) -> bytes:
        """Replaces the ML-DSA key by a new one of the same scheme; returns its digest. Interrupted, call it again.

        The new key file is locked with `password`, which is the old one's; without it, that of the folder. Raises
        WalletError while a local gradient that was signed with the old key waits to be recorded: edge nodes that have
        not seen it yet could not check it any more.
        """
        if self._filing.watch():
            raise WalletError("local gradients signed with the present key wait to be recorded; try again after that")
        self.keys = rotate(self.directory, self._access, self.account, password, light=light)
        self.state.sign_with(self.keys.signing_key)
        return self.keys.key_digest

    def latest_global_gradient(self) -> GlobalGradient:
        """The newest global gradient, verified: found through the ledger, its blob from the wallet's own folder or any
        edge node (Algorithm 2, lines 2-5). Training and `submit` start from it."""
        self._filing.refresh_registry()
        before = self.state.anchor
        if self.state.jump(self._access.client):
            self._keep_blob_of(self.state.anchor, before)
        anchor = self.state.anchor
        if anchor is None:
            raise LedgerError("the ledger has no global gradient")
        blob = self._blobs.get(anchor.content, blob_size(self.model.spec))
        return GlobalGradient(anchor, decode_blob(self.model.spec, blob))

    def _keep_blob_of(self, anchor: Anchor | None, before: Anchor | None) -> None:
        """The blob of the client's anchor stays, older ones go."""
        if anchor is not None:
            self._local_blobs.pin(anchor.content)
        if before is not None and (anchor is None or before.content != anchor.content):
            self._local_blobs.unpin(before.content)
            self._local_blobs.gc()

    # ---------------------------------------------------------------- contributing

    def submit(self, *, weights: NDArray[np.float32] | None = None, delta: NDArray[np.float32] | None = None) -> Filed:
        """Signs and sends what was trained from `latest_global_gradient()`: the `weights` (P,) float32, or their
        `delta` to it. Raises NoEdgeNodeError if it can't be sent now: it stays pending, for `send_pending`."""
        if (weights is None) == (delta is None):
            raise ConfigError("submit takes either weights or a delta")
        if weights is None and delta is not None:
            weights = self._anchor_weights() + np.asarray(delta, np.float32)
        trained = np.asarray(weights, np.float32)
        if trained.shape != (self.model.spec.size,) or not np.isfinite(trained).all():
            raise ConfigError(f"the model has {self.model.spec.size} finite weights, not {trained.shape}")
        self.state.contribute(trained)
        filed = self._filing.send()
        assert filed is not None
        return filed

    def _anchor_weights(self) -> NDArray[np.float32]:
        anchor = self.state.anchor
        if anchor is None:
            raise LedgerError("the client has read no global gradient yet; call latest_global_gradient first")
        return decode_blob(self.model.spec, self._blobs.get(anchor.content, blob_size(self.model.spec)))

    def send_pending(self) -> Filed | None:
        """Sends the average of everything pending (Algorithm 2, lines 10-16); None if nothing is. Raises like
        `submit`."""
        return self._filing.send()

    def watch(self) -> list[FiledGradient]:
        """Follows the ledger, and files again what an edge node promised to keep and did not bring to the ledger in
        time. Returns what still waits to be recorded. Call it now and then; a worker does."""
        return self._filing.watch()

    # ---------------------------------------------------------------- rewards and proofs

    def balance(self) -> int:
        """Tokens that the account holds, in the smallest unit."""
        return self._rewards.balance()

    def claimable(self) -> int:
        """What the ledger owes the account, in the token's smallest unit."""
        return self._rewards.claimable()

    def claim(self) -> int:
        """Claims it; returns how much that was. Costs gas."""
        return self._rewards.claim()

    def audit_proof(self) -> AuditProof:
        """All that this client has contributed and earned, to be checked by anybody with `verify_audit_proof`."""
        self._access.follow()
        reward = None
        if self._index.earned():
            reward = reward_proof(self.account, self._index.balances(), self._index.newest)
        return AuditProof(
            format=FORMAT,
            chain_id=self.deployment.chain_id,
            ledger=hexed(self.deployment.ledger),
            client=hexed(self.account),
            gradients=gradient_proofs(self._store.filed()),
            blocks=tuple(BlockProof.of(block) for block in self._index.recording_blocks()),
            reward=reward,
        )

    def status(self) -> WalletStatus:
        """What the wallet knows, and what the ledger says if it answers."""
        return wallet_status(
            self.account, self.keys.key_digest, self.state, self._store, self._access, self._edge_nodes
        )

    # ---------------------------------------------------------------- the end

    def close(self) -> None:
        """Everything is on disk already; this lets go of it."""
        self._edge_nodes.close()
        self._database.close()
        self.directory.unlock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _bounded(rules: ClientRules, parameters: int) -> ClientRules:
    """So many pending vectors that they fit PENDING_BYTES, as float64."""
    limit = max(ATTEMPTS + 2, min(rules.pending_limit, PENDING_BYTES // (8 * parameters)))
    return replace(rules, pending_limit=limit)
