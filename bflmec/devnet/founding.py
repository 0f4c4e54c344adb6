"""A ledger for a devnet: contracts, admitted edge nodes, registered clients. Interrupted, it goes on where it was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from web3 import Web3

from bflmec.client.directory import WalletDirectory, WalletSettings
from bflmec.configuration import Config, load
from bflmec.consortium.commitments import deployment_parameters
from bflmec.consortium.genesis import genesis_of
from bflmec.devchain.service.accounts import dev_accounts
from bflmec.devnet.plan import NETWORK, DevnetDirectory, Plan
from bflmec.edge.directory import EdgeDirectory, EdgeKeys
from bflmec.errors import DevnetError, LedgerError
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.deployment import Deployment, check, deploy
from bflmec.ledger.network import connect, find_network
from bflmec.ledger.participants import ParticipantsClient
from bflmec.ledger.refusals import ledger_errors
from bflmec.ledger.sender import Sender

ETHER = 10**18
EDGE_NODE_ETHER = 100
CLIENT_ETHER = 1
_TRANSFER_GAS = 21_000

Report = Callable[[str], None]


def found(directory: DevnetDirectory, plan: Plan, report: Report) -> None:
    """Everything that has to be on the chain before edge nodes and clients start. The first development account, whose
    key everybody knows, owns the registry and pays.

    Raises LedgerError if the chain refuses, or does not hold the ledger that the directory was made with.
    """
    config = load(directory.config)
    w3 = connect(find_network(NETWORK, directory.networks))
    owner: LocalAccount = Account.from_key(dev_accounts(1)[0].key)
    deployment = _deployed(directory, config, w3, owner, report)
    if directory.founded.exists():
        return
    ledger = LedgerClient(w3, deployment, owner)
    for number, name in enumerate(plan.edge_nodes, 1):
        keys = _edge_directory(directory, plan, config, number).keys()
        report(f"{name} is admitted")
        _admit(ledger, keys, plan.endpoint(number))
    wallets = [_wallet(directory, config, name) for name in plan.client_names]
    _register(ledger, wallets, report)
    directory.founded.touch()


def _deployed(directory: DevnetDirectory, config: Config, w3: Web3, owner: LocalAccount, report: Report) -> Deployment:
    if directory.deployment.exists():
        deployment = Deployment.load(directory.deployment)
        try:
            check(w3, deployment)
        except LedgerError as error:
            raise DevnetError(f"the chain no longer holds the ledger of {directory.path}: {error}") from error
        return deployment
    report("contracts are deployed")
    unfinished = directory.deployment.with_name("deployment.json.unfinished")
    deployment = deploy(w3, owner, deployment_parameters(config, genesis_of(config)), unfinished)
    deployment.save(directory.deployment)
    unfinished.unlink(missing_ok=True)
    return deployment


def _edge_directory(directory: DevnetDirectory, plan: Plan, config: Config, number: int) -> EdgeDirectory:
    """The edge node's keys and settings, made once: a half-made directory is never used."""
    path = directory.member(plan.edge_nodes[number - 1])
    if not path.exists():
        making = path.with_name(path.name + ".new")
        shutil.rmtree(making, ignore_errors=True)
        made = EdgeDirectory.create(
            making, scheme=config.signatures.scheme, password=None, port=plan.edge_ports[number - 1]
        )
        if plan.ipfs:
            with (made.path / "edge.toml").open("a") as settings:
                settings.write(f'ipfs = "{plan.ipfs}"\n')
        os.rename(making, path)
    return EdgeDirectory(path)


def _admit(ledger: LedgerClient, keys: EdgeKeys, endpoint: str) -> None:
    registry = ledger.participants
    _fund(ledger.sender, keys.account, EDGE_NODE_ETHER)
    if registry.edge_node_id(keys.account) is None:
        registry.admit_edge_node(keys.account, keys.signature_digest, keys.encapsulation_digest, endpoint)


def _wallet(directory: DevnetDirectory, config: Config, name: str) -> WalletDirectory:
    path = directory.member(name)
    if not (path / "account.json").exists():
        WalletDirectory.create(
            path,
            scheme=config.signatures.scheme,
            settings=WalletSettings(
                network=NETWORK, networks="../networks.toml", deployment="../deployment.json", config="../config.toml"
            ),
        )
    return WalletDirectory.open(path)


def _register(ledger: LedgerClient, wallets: list[WalletDirectory], report: Report) -> None:
    """Allows, funds and registers the clients."""
    registry, w3 = ledger.participants, ledger.sender.w3
    opened = [wallet.keys(wallet.password()) for wallet in wallets]
    accounts = [Account.from_key(keys.account_key) for keys in opened]
    addresses = [bytes.fromhex(account.address[2:]) for account in accounts]
    if not registry.open_registration():
        registry.allow_clients([address for address in addresses if not registry.is_client_allowed(address)])
    report(f"{len(wallets)} clients are registered")
    for address, account, keys in zip(addresses, accounts, opened, strict=True):
        if registry.client_key_digest(address) is None:
            _fund(ledger.sender, address, CLIENT_ETHER)
            own = ParticipantsClient(Sender(w3, account), ledger.deployment.participants)
            own.register_client(keys.key_digest)


def _fund(giver: Sender, receiver: bytes, ether: int) -> None:
    with ledger_errors():
        has = giver.w3.eth.get_balance(to_checksum_address(receiver))
    if has < ether * ETHER // 2:
        giver.send(receiver, b"", _TRANSFER_GAS, ether * ETHER)
