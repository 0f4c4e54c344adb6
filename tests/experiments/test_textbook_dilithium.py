"""Algorithm 1 as the paper has it."""

import numpy as np
import pytest

from bflmec.experiments import textbook_dilithium as book


@pytest.fixture(scope="module")
def key() -> book.SecretKey:
    return book.generate()


def schoolbook(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    product = [0] * (2 * book.DEGREE)
    for i, x in enumerate(a.tolist()):
        for j, y in enumerate(b.tolist()):
            product[i + j] += x * y
    return np.array([product[i] - product[i + book.DEGREE] for i in range(book.DEGREE)]) % book.Q


def test_transform_multiplies_as_in_the_ring() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, book.Q, (2, book.DEGREE))
    product = book.inverse_ntt(book.ntt(a) * book.ntt(b) % book.Q)
    assert np.array_equal(product, schoolbook(a, b))


def test_transform_has_its_inverse() -> None:
    values = np.random.default_rng(2).integers(0, book.Q, (3, 2, book.DEGREE))
    assert np.array_equal(book.inverse_ntt(book.ntt(values)), values)


def test_decomposition_adds_up_and_is_short() -> None:
    values = np.array([0, 1, book.GAMMA2, book.GAMMA2 + 1, book.Q - 1, book.Q // 2])
    high, low = book.decompose(values)
    assert np.array_equal((high * 2 * book.GAMMA2 + low) % book.Q, values)
    assert np.abs(low).max() <= book.GAMMA2
    assert high.max() < 44


def test_a_signature_holds_for_its_message_alone(key: book.SecretKey) -> None:
    signature = book.sign(key, b"a local gradient")
    assert book.verify(key.public, b"a local gradient", signature)
    assert not book.verify(key.public, b"another one", signature)
    assert not book.verify(book.generate().public, b"a local gradient", signature)


def test_a_changed_signature_does_not_hold(key: book.SecretKey) -> None:
    signature = book.sign(key, b"message")
    z = signature.z.copy()
    z[0, 0] += 2 * book.GAMMA2
    assert not book.verify(key.public, b"message", book.Signature(z, signature.c))


def test_signatures_don_t_show_the_secret_by_their_size(key: book.SecretKey) -> None:
    assert np.abs(book.sign(key, b"message").z).max() < book.GAMMA1 - book.BETA
