"""Deploy the contracts with Brownie.

    brownie run deploy                                         # development network, default configuration
    brownie run deploy main config.toml --network NAME         # a live network, added by `brownie networks add`

The ledger commits to the rules and to the genesis global gradient of the configuration; edge nodes with another one
refuse to start. On a live network the owner's key is read from the key file $BFLMEC_KEY with the password in the file
$BFLMEC_PASSWORD_FILE, and the addresses are written to deployments/<chain id>.json.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from brownie import (
    BFLLedger,
    ECDSACertificates,
    Government,
    Participants,
    RewardToken,
    XMSSCertificates,
    accounts,
    network,
    web3,
)

from bflmec.configuration import load
from bflmec.consortium.commitments import deployment_parameters
from bflmec.consortium.genesis import genesis_of
from bflmec.crypto.keystore import ACCOUNT_SCHEME, read_key, read_password
from bflmec.errors import ArtifactError, ConfigError, KeystoreError, LedgerError
from bflmec.ledger import artifacts
from bflmec.ledger.compile import source_hash
from bflmec.ledger.deployment import Deployment, DeploymentParameters, abi_digest


def main(config_file: str = "") -> None:
    require_current_artifacts()
    path = None if network.show_active() == "development" else Path("deployments", f"{web3.eth.chain_id}.json")
    if path is not None and path.exists():
        raise LedgerError(f"{path} names a ledger on this chain already; move it away to deploy another one")
    deployment = deploy(parameters(Path(config_file) if config_file else None), owner_account())
    print(deployment.to_json())
    if path is not None:
        path.parent.mkdir(exist_ok=True)
        deployment.save(path)
        print(f"written to {path}")


def require_current_artifacts() -> None:
    """Brownie compiles the sources; everything else uses the shipped artifacts. They must be of one state."""
    stale = [name for name in artifacts.CONTRACTS if artifacts.load(name).source_hash != source_hash(name)]
    if stale:
        raise ArtifactError(f"not current: {', '.join(stale)}; recompile with `python -m bflmec.ledger.compile`")


def parameters(config_file: Path | None) -> DeploymentParameters:
    config = load(config_file)
    return deployment_parameters(config, genesis_of(config))


def owner_account() -> Any:
    """Brownie's account of the consortium's owner."""
    if network.show_active() == "development":
        return accounts[0]
    try:
        key_file, password_file = os.environ["BFLMEC_KEY"], os.environ["BFLMEC_PASSWORD_FILE"]
    except KeyError as error:
        raise ConfigError(f"a live network needs the owner's key: set ${error.args[0]} to a file") from None
    key = read_key(Path(key_file), read_password(Path(password_file)))
    if key.scheme != ACCOUNT_SCHEME:
        raise KeystoreError(f"{key_file} holds a key of {key.scheme}, not of a ledger account")
    return accounts.add(key.secret)


def deploy(fixed: DeploymentParameters, owner: Any) -> Deployment:
    participants = Participants.deploy(owner, fixed.open_registration, {"from": owner})
    if fixed.certificate_scheme == "xmss":
        certificates = XMSSCertificates.deploy(participants, {"from": owner})
    else:
        certificates = ECDSACertificates.deploy({"from": owner})
    ledger = BFLLedger.deploy(
        (
            participants,
            certificates,
            fixed.difficulty,
            fixed.aggregation_threshold,
            fixed.max_transactions,
            fixed.base_reward,
            fixed.miner_reward,
            fixed.rules_digest,
            fixed.archive,
            fixed.genesis.digest,
            fixed.genesis.codec,
        ),
        {"from": owner},
    )
    token = RewardToken.deploy(ledger, {"from": owner})
    government = Government.deploy(participants, certificates, fixed.government_delay, {"from": owner})
    return Deployment(
        chain_id=web3.eth.chain_id,
        block=participants.tx.block_number,
        participants=address(participants),
        certificates=address(certificates),
        ledger=address(ledger),
        token=address(token),
        government=address(government),
        abi_digest=abi_digest(),
        parameters=fixed,
    )


def address(contract: Any) -> bytes:
    return bytes.fromhex(contract.address[2:])
