"""A deployment that is interrupted goes on where it was, and creates no contract twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ledger_tools import OWNER, PARAMETERS, SECOND, address, start_chain
from web3 import Web3
from web3.types import RPCEndpoint, RPCResponse

from bflmec.devchain import DevChain, DevChainProvider
from bflmec.errors import LedgerError, LedgerRevertedError
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.creation import contract_address
from bflmec.ledger.deployment import DeploymentParameters, deploy

SENDING, RECEIPT = RPCEndpoint("eth_sendRawTransaction"), RPCEndpoint("eth_getTransactionReceipt")
CONTRACTS = 5


class EndedError(Exception):
    """The process ends."""


class EndingProvider(DevChainProvider):
    """Lets the process end at the so-many-th request of a method, before or after the chain sees it."""

    def __init__(self, chain: DevChain, method: RPCEndpoint, at: int, *, seen: bool) -> None:
        super().__init__(chain)
        self._end = method, at, seen
        self._count = 0

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        ending, at, seen = self._end
        self._count += method == ending
        if method != ending or self._count != at:
            return super().make_request(method, params)
        if seen:
            super().make_request(method, params)
        raise EndedError


def created(chain: DevChain) -> int:
    """How many transactions the owner has sent: each created a contract."""
    return Web3(DevChainProvider(chain)).eth.get_transaction_count(OWNER.address)


@pytest.mark.parametrize("at", range(1, CONTRACTS + 1))
@pytest.mark.parametrize(
    ("method", "seen"),
    [(SENDING, False), (SENDING, True), (RECEIPT, True)],
    ids=["before-sending", "after-sending", "at-the-receipt"],
)
def test_an_interrupted_deployment_goes_on(tmp_path: Path, method: RPCEndpoint, at: int, seen: bool) -> None:
    file = tmp_path / "unfinished"
    with start_chain() as chain:
        with pytest.raises(EndedError):
            deploy(Web3(EndingProvider(chain, method, at, seen=seen)), OWNER, PARAMETERS, file)
        w3 = Web3(DevChainProvider(chain))
        deployment = deploy(w3, OWNER, PARAMETERS, file)
        assert created(chain) == CONTRACTS
        assert deploy(w3, OWNER, PARAMETERS, file) == deployment
        assert created(chain) == CONTRACTS
        assert LedgerClient(w3, deployment).parameters().ledger == deployment.ledger


@pytest.mark.parametrize("scheme", ["ecdsa", "xmss"])
@pytest.mark.parametrize("archive", [False, True])
def test_each_contract_is_recognised_by_its_code(tmp_path: Path, scheme: str, archive: bool) -> None:
    """What a creation call returns is the code that the creation leaves, for every contract and constructor."""
    file = tmp_path / "unfinished"
    parameters = replace(PARAMETERS, certificate_scheme=scheme, archive=archive)
    with start_chain() as chain:
        for at in range(1, CONTRACTS + 1):
            with pytest.raises(EndedError):
                deploy(Web3(EndingProvider(chain, SENDING, 1, seen=True)), OWNER, parameters, file)
            assert created(chain) == at
        deploy(Web3(DevChainProvider(chain)), OWNER, parameters, file)
        assert created(chain) == CONTRACTS


def test_a_contract_of_another_purpose_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "unfinished"
    with start_chain() as chain:
        w3 = Web3(DevChainProvider(chain))
        with pytest.raises(EndedError):
            deploy(Web3(EndingProvider(chain, SENDING, 1, seen=False)), OWNER, PARAMETERS, file)
        other = deploy(w3, OWNER, PARAMETERS)
        assert deploy(w3, OWNER, PARAMETERS, file).ledger != other.ledger
        assert created(chain) == 2 * CONTRACTS


@pytest.mark.parametrize(
    "changed",
    [replace(PARAMETERS, base_reward=1), replace(PARAMETERS, certificate_scheme="xmss")],
    ids=["reward", "certificates"],
)
def test_an_unfinished_deployment_of_other_parameters_is_refused(tmp_path: Path, changed: DeploymentParameters) -> None:
    file = tmp_path / "unfinished"
    with start_chain() as chain:
        w3 = Web3(DevChainProvider(chain))
        deploy(w3, OWNER, PARAMETERS, file)
        with pytest.raises(LedgerError, match="other parameters"):
            deploy(w3, OWNER, changed, file)
        with pytest.raises(LedgerError, match="other parameters"):
            deploy(w3, SECOND, PARAMETERS, file)
        assert created(chain) == CONTRACTS


def test_an_unfinished_deployment_to_a_chain_that_is_gone_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "unfinished"
    for chain in (start_chain(), start_chain()):
        with chain:
            w3 = Web3(DevChainProvider(chain))
            if not file.exists():
                deploy(w3, OWNER, PARAMETERS, file)
                continue
            with pytest.raises(LedgerError, match="remove the file"):
                deploy(w3, OWNER, PARAMETERS, file)


@pytest.mark.parametrize(
    "change",
    [{"created": [{"contract": "X"}]}, {"chain_id": "1337"}, {"purpose": "0x12"}, {"extra": 1}, {"created": None}],
    ids=str,
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    file = tmp_path / "unfinished"
    with start_chain() as chain:
        w3 = Web3(DevChainProvider(chain))
        with pytest.raises(LedgerRevertedError):
            deploy(w3, OWNER, replace(PARAMETERS, difficulty=0), file)
        file.write_text(json.dumps(json.loads(file.read_text()) | change))
        with pytest.raises(LedgerError, match="can't be read"):
            deploy(w3, OWNER, replace(PARAMETERS, difficulty=0), file)


def test_the_address_of_a_creation_follows_from_creator_and_nonce() -> None:
    with start_chain() as chain:
        deployment = deploy(Web3(DevChainProvider(chain)), OWNER, PARAMETERS)
    assert [contract_address(address(OWNER), nonce) for nonce in range(CONTRACTS)] == [
        deployment.participants,
        deployment.certificates,
        deployment.ledger,
        deployment.token,
        deployment.government,
    ]
