import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.errors import ConfigError
from bflmec.learning.tensors import TensorSpec

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,12}", fullmatch=True)
SHAPES = st.lists(st.integers(1, 5), max_size=3).map(tuple)
SPECS = st.dictionaries(NAMES, SHAPES, min_size=1, max_size=6).map(TensorSpec.of)


@given(SPECS, st.integers(0, 3))
def test_flat_and_named_are_inverse(spec: TensorSpec, seed: int) -> None:
    flat = np.random.default_rng(seed).standard_normal(spec.size).astype(np.float32)
    assert np.array_equal(spec.flatten(spec.unflatten(flat)), flat)


@given(SPECS)
def test_unflatten_gives_views_that_keep_leading_axes(spec: TensorSpec) -> None:
    flat = np.zeros((3, spec.size), np.float32)
    for name, view in spec.unflatten(flat).items():
        assert view.shape == (3, *dict(spec.tensors)[name])
        view += 1
    assert (flat == 1).all()


def test_tensors_lie_in_the_order_of_their_names() -> None:
    spec = TensorSpec.of({"b": (2,), "a": (3,)})
    flat = spec.flatten({"b": np.array([4.0, 5.0]), "a": np.array([1.0, 2.0, 3.0])})
    assert flat.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "tensors",
    [
        (),
        (("b", (1,)), ("a", (1,))),
        (("a", (1,)), ("a", (1,))),
        (("", (1,)),),
        (('"', (1,)),),
        (("é", (1,)),),
        (("a" * 201, (1,)),),
        (("a", (0,)),),
        (("a", (-1,)),),
    ],
    ids=["none", "unsorted", "repeated", "no name", "quote", "not ASCII", "long name", "empty", "negative"],
)
def test_impossible_specs_are_refused(tensors: tuple[tuple[str, tuple[int, ...]], ...]) -> None:
    with pytest.raises(ConfigError):
        TensorSpec(tensors)


def test_other_sizes_and_names_are_refused() -> None:
    spec = TensorSpec.of({"a": (2, 2)})
    with pytest.raises(ValueError, match="expected 4 parameters"):
        spec.unflatten(np.zeros(5, np.float32))
    with pytest.raises(ValueError, match="expected the tensors"):
        spec.flatten({"a": np.zeros(4)})
