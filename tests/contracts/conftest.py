from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from consortium import Chain, Consortium


@pytest.fixture(scope="session")
def evm() -> Chain:
    return Chain.start()


@pytest.fixture(scope="session")
def founded(evm: Chain) -> Consortium:
    return Consortium.found(evm, edge_nodes=3)


@pytest.fixture
def chain(evm: Chain, founded: Consortium) -> Iterator[Chain]:
    """The EVM, left as it was found. `founded` comes first, so that the snapshot holds it."""
    snapshot = evm.tester.take_snapshot()
    yield evm
    evm.tester.revert_to_snapshot(snapshot)


@pytest.fixture
def consortium(chain: Chain, founded: Consortium) -> Consortium:
    """Three active edge nodes and an empty ledger with threshold 3 that does not archive."""
    return replace(founded, keys=list(founded.keys), balances={})
