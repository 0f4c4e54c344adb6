"""A consortium on the embedded chain: contracts deployed, everybody registered, keys derived from the run's seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import dropwhile
from pathlib import Path

from web3 import Web3

from bflmec.configuration.sections import Config
from bflmec.consortium.commitments import deployment_parameters
from bflmec.consortium.signatures import verifier_of
from bflmec.crypto.encapsulation import encapsulation_public_key
from bflmec.crypto.keys import Identity, Role, derived_identity, derived_seed, key_digest
from bflmec.crypto.schemes import SignatureScheme, signature_scheme
from bflmec.devchain.chain import DevChain
from bflmec.devchain.database import is_chain
from bflmec.devchain.genesis import Genesis
from bflmec.devchain.provider import DevChainProvider
from bflmec.errors import LedgerError, RunDirectoryError
from bflmec.ledger.artifacts import LEDGER_CONTRACTS
from bflmec.ledger.certifiers import certificate_keys, create_certifier, enroll_tree
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import Deployment, DeploymentParameters, deploy
from bflmec.ledger.participants import ParticipantsClient
from bflmec.ledger.sender import Sender
from bflmec.protocol.blocks import SealedBlock
from bflmec.protocol.client import ClientIdentity
from bflmec.protocol.edge_node import EdgeNodeIdentity
from bflmec.protocol.ports import Anchor
from bflmec.simulation.assembly import Consortium, RegistrySnapshot
from bflmec.simulation.population import Population
from bflmec.simulation.replay import Recording, RememberingSigner
from bflmec.storage import BlobStore

GENESIS_TIME = 1_767_225_600
"""Virtual time 0 on the chain: 1 January 2026. A run's bytes must not depend on when it runs."""
ETHER = 10**18


@dataclass(frozen=True)
class ChainFiles:
    """Where chain, deployment record and blobs of a run are kept."""

    chain: Path
    deployment: Path
    blobs: Path

    @property
    def keys(self) -> Path:
        """Where edge nodes keep one-time keys, if they certify with such."""
        return self.chain.parent / "one-time-keys"


class VirtualClock:
    """The chain's clock: seconds of virtual time since GENESIS_TIME, once there is something to follow."""

    def __init__(self) -> None:
        self._now: Callable[[], float] = lambda: 0.0

    def follow(self, now: Callable[[], float]) -> None:
        self._now = now

    def __call__(self) -> int:
        return GENESIS_TIME + int(self._now())


class ChainGateway:
    """The real ledger. Clients' reads are kept until the next block, as a light client keeps them."""

    def __init__(self, ledger: LedgerClient) -> None:
        self._ledger = ledger
        self._latest: Anchor | None = None
        self._number = ledger.head_number()

    def append(self, block: SealedBlock, certificate: bytes, time: float) -> int:
        gas = self._ledger.append(block, certificate).gas_used
        self._number, self._latest = block.header.number, None
        return gas

    def head_number(self) -> int:
        return self._number

    def latest_anchor(self) -> Anchor:
        if self._latest is None:
            self._latest = self._ledger.latest_anchor()
        return self._latest

    def anchor_at(self, number: int) -> Anchor | None:
        return self._ledger.anchor_at(number)


@dataclass(frozen=True)
class ChainConsortium:
    """What a run needs of its chain. `recording` is what an earlier, interrupted run left in the ledger."""

    consortium: Consortium
    ledger: LedgerClient
    clock: VirtualClock
    recording: Recording


@contextmanager
def open_consortium(config: Config, population: Population, files: ChainFiles) -> Iterator[ChainConsortium]:
    """Opens the chain of a run, or creates it; deploys and registers what is missing.

    Raises ChainError, LedgerError, StorageError or RulesMismatchError if the files belong to something else.
    """
    cast = _Cast(config)
    parameters = deployment_parameters(config, population.genesis)
    clock = VirtualClock()
    genesis = Genesis(
        timestamp=GENESIS_TIME,
        chain_id=config.chain.chain_id,
        difficulty=config.chain.difficulty,
        miner=cast.owner.address,
        balances={identity.address: 10**6 * ETHER for identity in cast.everybody},
    )
    with _chain(files, genesis, clock) as chain:
        w3 = Web3(DevChainProvider(chain))
        deployment = _deployment(w3, parameters, cast, files.deployment)
        ledger = LedgerClient(w3, deployment, cast.owner.account())
        _register(w3, chain, ledger, cast)
        _enroll(ledger, cast, files.keys)
        blobs = BlobStore(files.blobs)
        recording = Recording.of(ledger, blobs)
        yield ChainConsortium(cast.consortium(ledger, blobs, recording, files.keys), ledger, clock, recording)


class _Cast:
    """Identities and keys of everybody who takes part."""

    def __init__(self, config: Config) -> None:
        seed, experiment = config.experiment.seed, config.experiment
        self.config = config
        self.scheme: SignatureScheme = signature_scheme(config.signatures.scheme, config.signatures.backend)
        self.owner = derived_identity(seed, Role.OWNER, 0)
        self.clients = [derived_identity(seed, Role.CLIENT, number) for number in range(experiment.clients)]
        self.edge_nodes = [derived_identity(seed, Role.EDGE_NODE, number) for number in range(experiment.edge_nodes)]
        self.keys = [identity.signing_key(self.scheme) for identity in self.clients]
        self.receipt_keys = [identity.signing_key(self.scheme) for identity in self.edge_nodes]

    @property
    def everybody(self) -> list[Identity]:
        return [self.owner, *self.clients, *self.edge_nodes]

    def encapsulation_digest(self, number: int) -> bytes:
        seed = derived_seed(self.config.experiment.seed, Role.EDGE_NODE, number, "encapsulation", 64)
        return key_digest(encapsulation_public_key(seed))

    def certificate_seed(self, number: int) -> bytes:
        return derived_seed(self.config.experiment.seed, Role.EDGE_NODE, number, "certificates", 32)

    def consortium(self, ledger: LedgerClient, blobs: BlobStore, recording: Recording, keys: Path) -> Consortium:
        parameters = ledger.parameters()
        clients = tuple(
            ClientIdentity(
                identity.address,
                self.scheme.name,
                RememberingSigner(key, recording.signatures),
                parameters.chain_id,
                parameters.ledger,
            )
            for identity, key in zip(self.clients, self.keys, strict=True)
        )
        nodes = dict(ledger.participants.edge_nodes())
        ids = {account: id_ for id_, account in nodes.items()}
        certifiers = [
            create_certifier(ledger, identity.account_key, self.certificate_seed(number), keys)
            for number, identity in enumerate(self.edge_nodes)
        ]
        edge_nodes = tuple(
            EdgeNodeIdentity(ids[identity.address], identity.address, key, certifier)
            for identity, key, certifier in zip(self.edge_nodes, self.receipt_keys, certifiers, strict=True)
        )
        digests = {
            identity.address: key_digest(key.public_key) for identity, key in zip(self.clients, self.keys, strict=True)
        }
        gateway = recording.gateway(ChainGateway(ledger))
        registry = RegistrySnapshot(digests, nodes)
        return Consortium(parameters, registry, blobs, verifier_of(self.scheme), edge_nodes, clients, gateway)


def _chain(files: ChainFiles, genesis: Genesis, clock: VirtualClock) -> DevChain:
    """The chain of a run that has begun, or a new one."""
    if not files.deployment.exists():
        _discard_unfinished(files)
        return DevChain.create(files.chain, genesis, clock=clock)
    chain = DevChain.open(files.chain, clock=clock)
    if chain.genesis != genesis:
        chain.close()
        raise _changed("experiment.seed, experiment.clients, experiment.edge_nodes or the section [chain]")
    return chain


def _discard_unfinished(files: ChainFiles) -> None:
    """A chain without a deployment record is what a start left that was killed while it deployed: contracts that nobody
    knows. Raises RunDirectoryError if it holds more than that."""
    if not is_chain(files.chain):
        return
    with DevChain.open(files.chain) as chain:
        blocks = chain.head.number
    if blocks > len(LEDGER_CONTRACTS):
        raise RunDirectoryError(
            f"{files.deployment} is missing, and {files.chain} holds a ledger: restore the record from a copy or start "
            "a new run directory"
        )
    files.chain.unlink()


def _deployment(w3: Web3, parameters: DeploymentParameters, cast: _Cast, record: Path) -> Deployment:
    if record.exists():
        deployment = Deployment.load(record)
        differing = [
            field.name
            for field in fields(parameters)
            if getattr(deployment.parameters, field.name) != getattr(parameters, field.name)
        ]
        if differing:
            raise _changed(f"what fixes the ledger's {', '.join(differing)}")
        return deployment
    deployment = deploy(w3, cast.owner.account(), parameters)
    deployment.save(record)
    return deployment


def _changed(what: str) -> RunDirectoryError:
    return RunDirectoryError(
        f"{what} was changed in config.toml since the run began: put it back or start a new run directory"
    )


def _enroll(ledger: LedgerClient, cast: _Cast, folder: Path) -> None:
    """With certificates of one-time keys: gives every edge node its tree, unless an earlier start did."""
    if cast.config.ledger.certificates != "xmss":
        return
    for number, identity in enumerate(cast.edge_nodes):
        keys = certificate_keys(ledger, identity.address, cast.certificate_seed(number), folder)
        enroll_tree(ledger, keys, cast.config.ledger.tree_height)


def _register(w3: Web3, chain: DevChain, ledger: LedgerClient, cast: _Cast) -> None:
    """Registers whoever is not registered yet, as an interrupted start may have left it."""
    participants = ledger.participants
    admitted = participants.last_edge_node_id()
    for number, (identity, key) in enumerate(zip(cast.edge_nodes, cast.receipt_keys, strict=True)):
        if number >= admitted:
            participants.admit_edge_node(
                identity.address,
                key_digest(key.public_key),
                cast.encapsulation_digest(number),
                f"simulation:edge-node-{number + 1}",
            )
    missing = [
        (identity, key)
        for identity, key in zip(cast.clients, cast.keys, strict=True)
        if participants.client_key_digest(identity.address) is None
    ]
    if not missing:
        return
    accounts = [identity.address for identity, _ in missing]
    participants.allow_clients(list(dropwhile(participants.is_client_allowed, accounts)))
    chain.auto_mine = False
    try:
        for identity, key in missing:
            own = ParticipantsClient(Sender(w3, identity.account()), participants.address)
            waiting = own.submit_registration(key_digest(key.public_key))
        while chain.pending(waiting):
            chain.mine()
    finally:
        chain.auto_mine = True
    for account in accounts:
        if participants.client_key_digest(account) is None:
            raise LedgerError(f"client 0x{account.hex()} could not register; start a new run directory")
