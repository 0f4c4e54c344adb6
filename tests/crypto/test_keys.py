"""Identities: random ones differ, derived ones follow from the run's seed and are fixed for ever."""

from __future__ import annotations

import copy
import pickle

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from bflmec.crypto.keys import SECP256K1_ORDER, Identity, Role, derived_identity, key_digest, new_identity
from bflmec.crypto.schemes import signature_scheme
from bflmec.errors import SignatureError


def test_derived_keys_are_fixed_for_ever() -> None:
    """Recorded runs are only repeatable as long as these bytes stay."""
    identity = derived_identity(2022, Role.CLIENT, 7)
    assert identity.account_key.hex() == "9f1584d201f4710e64937aaf8cec11c980fdb26f1e9e7264997c7ee8701feaa3"
    assert identity.seed.hex() == "ae9dfba0a2e5d481b7afb593515935021a4bb94fe98c6951b16713febc8b2bcb"
    assert identity.address.hex() == "3f68b9380f9c0182ecfe12be5204d591cf2a5e81"
    public_key = identity.signing_key(signature_scheme("ML-DSA-44")).public_key
    assert key_digest(public_key).hex() == "7031d1ffbfb69a388df1eb00048f76c58da6ca3be74bfcab5b2006e55c7280c4"


def test_seed_role_and_number_all_matter() -> None:
    identities = [
        derived_identity(seed, role, number) for seed in (0, 1, 2**256 - 1) for role in Role for number in (0, 1, 10)
    ]
    secrets = {identity.account_key for identity in identities} | {identity.seed for identity in identities}
    assert len(secrets) == 2 * len(identities)


@given(seed=st.integers(0, 2**256 - 1), role=st.sampled_from(Role), number=st.integers(0, 2**32))
def test_derived_account_keys_are_on_the_curve(seed: int, role: Role, number: int) -> None:
    assert 0 < int.from_bytes(derived_identity(seed, role, number).account_key, "big") < SECP256K1_ORDER


def test_new_identities_differ() -> None:
    assert len({new_identity().seed for _ in range(10)} | {new_identity().account_key for _ in range(10)}) == 20


def test_the_account_is_the_one_that_wallets_derive() -> None:
    identity = derived_identity(1, Role.EDGE_NODE, 0)
    assert bytes.fromhex(Account.from_key(identity.account_key).address[2:]) == identity.address
    assert bytes.fromhex(identity.account().address[2:]) == identity.address


@pytest.mark.parametrize(
    ("account_key", "seed"),
    [
        (bytes(32), bytes(32)),
        (SECP256K1_ORDER.to_bytes(32, "big"), bytes(32)),
        (b"\1" * 31, bytes(32)),
        (b"\1" * 32, bytes(31)),
    ],
)
def test_impossible_secrets_are_refused(account_key: bytes, seed: bytes) -> None:
    with pytest.raises(SignatureError):
        Identity(account_key, seed)


def test_an_identity_does_not_leak() -> None:
    identity = derived_identity(1, Role.OWNER, 0)
    assert repr(identity) == "<Identity>"
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copying(identity)
