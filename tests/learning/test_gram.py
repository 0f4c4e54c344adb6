"""Exact dot products, and the cosines and logarithmic norms that follow from them."""

import decimal
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bflmec.errors import BlobError
from bflmec.learning.fixed_point import Quantised, quantise
from bflmec.learning.gram import UNIT, Gram, gram, log_root

MATRICES = arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 20)),
    elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_nan=False),
)


def gram_of(matrix: np.ndarray) -> Gram:
    return gram([quantise(row) for row in matrix])


def exact_dot(a: Quantised, b: Quantised) -> Fraction:
    dot = sum(int(x) * int(y) for x, y in zip(a.values, b.values, strict=True))
    return dot * Fraction(2) ** (a.exponent + b.exponent)


@given(MATRICES)
def test_dot_products_equal_those_of_python_integers(matrix: np.ndarray) -> None:
    rows = [quantise(row) for row in matrix]
    products = gram(rows)
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            unit = Fraction(2) ** (products.exponents[i] + products.exponents[j])
            assert int(products.values[i, j]) * unit == exact_dot(a, b)


@pytest.mark.parametrize("columns", [1, 7, 64, 1000, 1 << 23])
def test_the_number_of_columns_at_a_time_changes_nothing(columns: int) -> None:
    rng = np.random.default_rng(1)
    rows = [quantise(rng.standard_normal(1000).astype(np.float32)) for _ in range(5)]
    assert np.array_equal(gram(rows, columns=columns).values, gram(rows).values)


def test_the_largest_values_sum_without_loss() -> None:
    extreme = Quantised(0, np.full(1 << 18, 2**15 - 1, np.int16))
    assert gram([extreme, extreme], columns=1 << 18).values.tolist() == [[(2**15 - 1) ** 2 * 2**18] * 2] * 2


def test_vectors_of_different_models_are_refused() -> None:
    with pytest.raises(BlobError, match="one size"):
        gram([quantise(np.ones(3, np.float32)), quantise(np.ones(4, np.float32))])


@given(MATRICES)
def test_cosines_are_within_one_unit_of_the_true_value(matrix: np.ndarray) -> None:
    products = gram_of(matrix)
    for i in range(len(products)):
        for j in range(len(products)):
            dot, a, b = (int(products.values[k]) for k in ((i, j), (i, i), (j, j)))
            if a and b:
                magnitude = math.isqrt((dot * dot << 60) // (a * b))
                assert abs(abs(int(products.cosines[i, j])) - magnitude) <= 1


@given(MATRICES)
def test_cosines_are_symmetric_and_one_on_the_diagonal(matrix: np.ndarray) -> None:
    cosines = gram_of(matrix).cosines
    assert np.array_equal(cosines, cosines.T)
    assert np.all(cosines.diagonal() == UNIT)
    assert np.all(np.abs(cosines) <= UNIT)


def test_a_zero_vector_is_at_a_right_angle_to_others_and_equal_to_its_like() -> None:
    cosines = gram_of(np.array([[0, 0], [1, 0], [0, 0]], np.float32)).cosines
    assert cosines.tolist() == [[UNIT, 0, UNIT], [0, UNIT, 0], [UNIT, 0, UNIT]]


@given(st.integers(1, 2**62))
def test_logarithms_agree_with_the_pure_python_decimal_module(square: int) -> None:
    import _pydecimal

    context = _pydecimal.Context(prec=40, rounding=_pydecimal.ROUND_HALF_EVEN)
    units = context.multiply(context.ln(_pydecimal.Decimal(square)), UNIT // 2)
    assert log_root(square) == int(units.to_integral_value(_pydecimal.ROUND_HALF_EVEN))


@given(st.integers(1, 2**62))
def test_logarithms_are_rounded_correctly(square: int) -> None:
    with decimal.localcontext(prec=80):
        true = decimal.Decimal(square).ln() * (UNIT // 2)
    assert abs(log_root(square) - true) <= decimal.Decimal("0.5")


def test_logarithms_ignore_the_decimal_context_of_the_caller() -> None:
    log_root.cache_clear()
    with decimal.localcontext(prec=3, rounding=decimal.ROUND_UP):
        rough = log_root(12345)
    log_root.cache_clear()
    assert log_root(12345) == rough


@given(MATRICES, st.integers(-10, 10))
def test_scaling_all_vectors_by_a_power_of_two_keeps_cosines_and_norm_ratios(matrix: np.ndarray, power: int) -> None:
    plain, scaled = gram_of(matrix), gram_of(np.ldexp(matrix.astype(np.float64), power))
    assert np.array_equal(plain.cosines, scaled.cosines)
    lengths = [(p, s) for p, s, n in zip(plain.log_norms, scaled.log_norms, plain.norms, strict=True) if n]
    assert len({int(p) - int(s) for p, s in lengths}) <= 1


@given(MATRICES)
def test_log_norms_are_those_of_the_norms(matrix: np.ndarray) -> None:
    products = gram_of(matrix)
    for length, log in zip(products.norms, products.log_norms, strict=True):
        if length:
            assert log / UNIT == pytest.approx(math.log(length), abs=1e-6)


def test_a_zero_vector_counts_as_shorter_than_any_other() -> None:
    products = gram_of(np.array([[0.0], [2.0**-149]], np.float32))
    assert products.log_norms[0] < products.log_norms[1]


@given(MATRICES)
def test_cosines_to_the_sum_equal_exact_arithmetic(matrix: np.ndarray) -> None:
    rows = [quantise(row) for row in matrix]
    members = tuple(range(0, len(rows), 2))
    square = sum(exact_dot(rows[i], rows[j]) for i in members for j in members)
    for i, cosine in zip(members, gram(rows).cosines_to_sum(members), strict=True):
        dot, own = sum(exact_dot(rows[i], rows[j]) for j in members), exact_dot(rows[i], rows[i])
        if not own or not square:
            assert cosine == 0
        else:
            exact = dot * dot / (own * square) * UNIT**2
            assert cosine**2 <= exact < (abs(cosine) + 1) ** 2
            assert cosine == 0 or (cosine > 0) == (dot > 0)
