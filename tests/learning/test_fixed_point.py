"""Quantisation to 16-bit block fixed point."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bflmec.errors import BlobError, RecomputationError
from bflmec.learning import fixed_point
from bflmec.learning.fixed_point import Quantised, mean, quantise, require_subnormals

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
VECTORS = arrays(np.float32, st.integers(1, 40), elements=FINITE)


def value_of(quantised: Quantised) -> np.ndarray:
    return np.ldexp(quantised.values.astype(np.float64), quantised.exponent)


@given(VECTORS)
def test_every_finite_float32_vector_is_quantised_within_half_a_unit(vector: np.ndarray) -> None:
    quantised = quantise(vector)
    assert np.all(np.abs(value_of(quantised) - vector) <= math.ldexp(0.5, quantised.exponent))


@given(VECTORS)
def test_quantised_values_use_all_fifteen_bits_unless_all_are_zero(vector: np.ndarray) -> None:
    peak = np.abs(quantise(vector).values.astype(int)).max()
    assert 2**14 <= peak < 2**15 or not vector.any()


@given(VECTORS, st.integers(-20, 20))
def test_scaling_by_a_power_of_two_changes_the_exponent_alone(vector: np.ndarray, power: int) -> None:
    plain, scaled = quantise(vector), quantise(np.ldexp(vector.astype(np.float64), power))
    assert np.array_equal(plain.values, scaled.values)
    assert scaled.exponent == plain.exponent + power or not vector.any()


@given(VECTORS)
def test_quantising_twice_is_quantising_once(vector: np.ndarray) -> None:
    quantised = quantise(vector)
    assert quantise(value_of(quantised)) == quantised


@pytest.mark.parametrize(
    ("vector", "exponent", "values"),
    [
        ([0.0, -0.0], 0, [0, 0]),
        ([1.0, -0.5], -14, [16384, -8192]),
        ([32767.5, 1.0], 1, [16384, 0]),  # rounds up to 2^15, which needs the next exponent; 0.5 rounds to even
        ([32766.0, 2.5, 3.5], 0, [32766, 2, 4]),
        ([float(np.finfo(np.float32).max)], 114, [16384]),
        ([2.0**-149, -(2.0**-149)], -163, [16384, -16384]),
    ],
)
def test_known_vectors_are_quantised_as_computed_by_hand(vector: list, exponent: int, values: list) -> None:
    quantised = quantise(np.array(vector, np.float32))
    assert (quantised.exponent, quantised.values.tolist()) == (exponent, values)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_value_that_is_not_finite_is_refused(value: float, place: int) -> None:
    vector = np.ones(3, np.float32)
    vector[place] = value
    with pytest.raises(BlobError, match="not finite"):
        quantise(vector)


def test_a_value_far_beyond_float32_is_refused() -> None:
    with pytest.raises(BlobError, match="out of range"):
        quantise(np.array([1e300]))


def test_a_quantised_vector_equals_nothing_but_its_like() -> None:
    assert quantise(np.ones(1, np.float32)) != 1.0


@pytest.mark.parametrize("shape", [(0,), (2, 2), ()])
def test_only_a_non_empty_vector_is_quantised(shape: tuple[int, ...]) -> None:
    with pytest.raises(BlobError):
        quantise(np.ones(shape, np.float32))


def test_strided_input_gives_the_same_as_contiguous_input() -> None:
    vector = np.random.default_rng(0).standard_normal(64).astype(np.float32)
    assert quantise(np.repeat(vector, 3)[::3]) == quantise(vector)
    assert quantise(vector[::-1]) == quantise(vector[::-1].copy())


@given(VECTORS)
def test_decoding_inverts_encoding(vector: np.ndarray) -> None:
    quantised = quantise(vector)
    assert Quantised.decode(quantised.encode(), vector.size) == quantised


def test_the_encoding_is_the_committed_one() -> None:
    assert quantise(np.array([1.0, -0.5], np.float32)).encode().hex() == "fff2004000e0"


@given(st.binary(max_size=12), st.integers(1, 5))
def test_any_bytes_decode_exactly_or_raise_the_typed_error(data: bytes, size: int) -> None:
    try:
        quantised = Quantised.decode(data, size)
    except BlobError:
        return
    assert quantised.encode() == data


@pytest.mark.parametrize(
    ("exponent", "values"),
    [(1, [0, 0]), (0, [16383]), (0, [-32768]), (257, [16384]), (-257, [16384]), (0, [])],
)
def test_a_form_that_is_not_canonical_is_refused(exponent: int, values: list[int]) -> None:
    with pytest.raises(BlobError):
        Quantised(exponent, np.array(values, np.int16))


def test_quantised_values_are_read_only() -> None:
    quantised = quantise(np.ones(3, np.float32))
    with pytest.raises(ValueError, match="read-only"):
        quantised.values[0] = 0


@given(VECTORS)
def test_the_square_is_exact(vector: np.ndarray) -> None:
    quantised = quantise(vector)
    assert quantised.square == sum(int(value) ** 2 for value in quantised.values)


def test_the_square_is_exact_beyond_one_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fixed_point, "EXACT_TERMS", 7)
    quantised = quantise(np.arange(1, 50, dtype=np.float32))
    assert quantised.square == sum(int(value) ** 2 for value in quantised.values)


def test_the_mean_adds_in_float64_in_the_order_given() -> None:
    vectors = [np.array([2.0**24], np.float32), np.array([1], np.float32), np.array([-(2.0**24)], np.float32)]
    assert mean(vectors) == np.array([1 / 3])


def test_the_mean_of_one_vector_is_the_vector() -> None:
    vector = np.array([0.1, 0.2], np.float32)
    assert mean([vector]) is vector


def test_a_process_that_flushes_subnormal_numbers_is_refused() -> None:
    torch = pytest.importorskip("torch")
    require_subnormals()
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor can't flush subnormal numbers")
    try:
        with pytest.raises(RecomputationError, match="subnormal"):
            require_subnormals()
    finally:
        torch.set_flush_denormal(False)
