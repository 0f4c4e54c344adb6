"""ML-DSA-44 verified in Solidity, against every public vector of NIST ACVP and Wycheproof."""

from __future__ import annotations

import pytest
from mldsa_evm import Verifier
from mldsa_vectors import Vector, vectors


@pytest.mark.parametrize("vector", [v for v in vectors() if v.fits], ids=str)
def test_verify_answers_as_the_vector_of_a_32_byte_message_says(vector: Vector) -> None:
    assert vector.message is not None
    answer = Verifier.deployed().verify(vector.public_key, vector.message, vector.context, vector.signature)
    assert answer is vector.valid


# A context that is too long is nothing that a message representative could show.
@pytest.mark.parametrize("vector", [v for v in vectors() if len(v.context) <= 255], ids=str)
def test_verify_mu_answers_as_the_vector_of_any_message_says(vector: Vector) -> None:
    assert Verifier.deployed().verify_mu(vector.public_key, vector.mu, vector.signature) is vector.valid


def test_vectors_of_both_answers_fit_a_32_byte_message() -> None:
    assert {v.valid for v in vectors() if v.fits} == {True, False}
    assert len(vectors()) == 225
