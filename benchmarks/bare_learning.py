"""The default run's learning with nothing that makes it trustworthy: one aggregator that everybody believes.

No chain, no contracts, no storage, no signatures, no proof of work, no second edge node. Arrivals, movement, local
updates, clustering, aggregation and evaluation are those of `bflmec run`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from hashlib import sha256

from bflmec.configuration import load
from bflmec.consortium.rules import rules_of, threshold_of
from bflmec.learning.blob import encode_blob
from bflmec.learning.datasets import load_dataset
from bflmec.protocol.client import ClientIdentity
from bflmec.protocol.edge_node import EdgeNodeIdentity
from bflmec.protocol.ledger_state import LedgerParameters
from bflmec.simulation.assembly import Consortium, RegistrySnapshot, assemble
from bflmec.simulation.population import create_population
from bflmec.storage import MemoryStore
from bflmec.storage.unixfs import cid_of

LEDGER = bytes(20)
NO_KEY = b"-"


class NoSigner:
    public_key = NO_KEY

    def sign(self, message: bytes, context: bytes) -> bytes:
        return NO_KEY


class NoCertifier:
    def sign(self, block: bytes) -> bytes:
        return NO_KEY

    def holds(self, block: bytes, account: bytes, entry: bytes) -> bool:
        return True

    def assemble(self, entries: Mapping[bytes, bytes]) -> bytes:
        return NO_KEY


def believe(scheme: str, public_key: bytes, message: bytes, signature: bytes, context: bytes) -> bool:
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="configuration keys, as for bflmec run")
    settings = ["edge_nodes=1", "ledger.difficulty=1", *parser.parse_args().settings]
    config = load(None, settings)
    population = create_population(config, load_dataset(config.data.dataset))
    accounts = [number.to_bytes(20, "big") for number in range(1, config.experiment.clients + 1)]
    key_digest = sha256(NO_KEY).digest()
    parameters = LedgerParameters(
        chain_id=config.chain.chain_id,
        ledger=LEDGER,
        difficulty=config.ledger.difficulty,
        aggregation_threshold=threshold_of(config),
        max_transactions=config.ledger.max_transactions,
        base_reward=config.aggregation.base_reward,
        miner_reward=0,
        rules_digest=rules_of(config, population.model).digest,
        genesis=cid_of(encode_blob(population.model.spec, population.initial)),
    )
    consortium = Consortium(
        parameters=parameters,
        participants=RegistrySnapshot(dict.fromkeys(accounts, key_digest), {1: b"\xff" * 20}),
        blobs=MemoryStore(),
        verify=believe,
        edge_nodes=(EdgeNodeIdentity(1, b"\xff" * 20, NoSigner(), NoCertifier()),),
        clients=tuple(
            ClientIdentity(account, config.signatures.scheme, NoSigner(), parameters.chain_id, LEDGER)
            for account in accounts
        ),
        gateway=None,
    )
    simulation = assemble(config, population, consortium)
    accuracy = 0.0
    for appended in simulation.run(config.experiment.aggregations, config.experiment.horizon):
        if appended.update is not None:
            accuracy = population.global_accuracy(appended.update.weights)
            population.mean_client_accuracy(simulation.held_weights())
    print(json.dumps({"accuracy": accuracy, "cpu_seconds": time.process_time()}))


if __name__ == "__main__":
    main()
