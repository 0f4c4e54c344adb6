import hashlib

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bflmec.errors import BlobError
from bflmec.learning.blob import blob_size, decode_blob, encode_blob
from bflmec.learning.models import create_model
from bflmec.learning.tensors import TensorSpec

SPEC = TensorSpec.of({"0.weight": (2, 3), "0.bias": (2,)})
FLAT = np.array([0.5, -0.0, 1e-45, -2.0, 3.25, 3.4028235e38, 7.0, 0.1], np.float32)
HEADER = (
    b'{"0.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
    b'"0.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]}}      '
)
DATA = bytes.fromhex("0000003f 00000080 01000000 000000c0 00005040 ffff7f7f 0000e040 cdcccc3d")
GOLDEN = bytes([128, 0, 0, 0, 0, 0, 0, 0]) + HEADER + DATA
FINITE = arrays(np.float32, SPEC.size, elements=st.floats(width=32, allow_nan=False, allow_infinity=False))


def library_bytes(spec: TensorSpec, flat: np.ndarray) -> bytes:
    return safetensors.numpy.save({name: np.ascontiguousarray(part) for name, part in spec.unflatten(flat).items()})


def test_golden_blob() -> None:
    assert encode_blob(SPEC, FLAT) == GOLDEN
    assert decode_blob(SPEC, GOLDEN).tobytes() == FLAT.tobytes()


@pytest.mark.parametrize(
    ("model", "size", "digest"),
    [
        ("logistic", 31544, "53d56a95724984b06ea6b2cd7a164546873576d06c4223b94aabb13fb39f1282"),
        ("mlp-200", 636328, "8bb77b7a9359d997f5154d1a13ecab94940bf09228d550b14854817e370c169e"),
        ("mlp-200-200", 797280, "e4d32025dc7595afc0f4fef050e363396cc983da4a968ef87b9764a3fdc4d803"),
    ],
)
def test_golden_digest_of_each_model(model: str, size: int, digest: str) -> None:
    spec = create_model(model, 784, 10).spec
    blob = encode_blob(spec, np.arange(spec.size, dtype=np.float32) / 1024)
    assert (len(blob), hashlib.sha256(blob).hexdigest()) == (size, digest)


@given(FINITE)
def test_every_vector_comes_back_bit_for_bit(flat: np.ndarray) -> None:
    blob = encode_blob(SPEC, flat)
    assert len(blob) == blob_size(SPEC)
    assert decode_blob(SPEC, blob).tobytes() == flat.tobytes()


@given(FINITE)
def test_a_blob_is_what_the_safetensors_library_writes(flat: np.ndarray) -> None:
    assert encode_blob(SPEC, flat) == library_bytes(SPEC, flat)


def test_the_safetensors_library_reads_a_blob() -> None:
    spec = create_model("mlp-200-200", 784, 10).spec
    flat = np.random.default_rng(0).standard_normal(spec.size).astype(np.float32)
    tensors = safetensors.numpy.load(encode_blob(spec, flat))
    assert np.array_equal(spec.flatten(tensors), flat)


@given(st.binary(max_size=300) | st.binary(max_size=40).map(lambda tail: GOLDEN[:136] + tail))
def test_any_bytes_are_an_error_or_an_exact_round_trip(data: bytes) -> None:
    try:
        flat = decode_blob(SPEC, data)
    except BlobError:
        return
    assert encode_blob(SPEC, flat) == data


@given(st.integers(0, len(GOLDEN) - 1), st.integers(1, 255))
def test_a_changed_byte_is_an_error_or_another_vector(position: int, change: int) -> None:
    data = bytearray(GOLDEN)
    data[position] ^= change
    try:
        flat = decode_blob(SPEC, bytes(data))
    except BlobError:
        return
    assert position >= 136
    assert flat.tobytes() != FLAT.tobytes()


@given(st.integers(0, len(GOLDEN) - 1))
def test_a_truncated_blob_is_an_error(length: int) -> None:
    with pytest.raises(BlobError):
        decode_blob(SPEC, GOLDEN[:length])


def test_a_decoded_vector_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        decode_blob(SPEC, GOLDEN)[0] = 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_both_ways(bad: float) -> None:
    flat = FLAT.copy()
    flat[3] = bad
    with pytest.raises(BlobError, match=r"1 in '0\.weight'"):
        encode_blob(SPEC, flat)
    with pytest.raises(BlobError, match=r"1 in '0\.weight'"):
        decode_blob(SPEC, library_bytes(SPEC, flat))


@pytest.mark.parametrize("flat", [FLAT[:-1], FLAT.astype(np.float64), FLAT[None]])
def test_only_a_float32_vector_of_the_spec_is_encoded(flat: np.ndarray) -> None:
    with pytest.raises(BlobError, match="convert it first"):
        encode_blob(SPEC, flat)


def with_header(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text + DATA


OTHER = np.zeros(2, np.float32)


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"", "not a gradient blob"),
        (b"\xff" * 8, "not a gradient blob"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "not a gradient blob"),
        (with_header(b"[" * 20000), "not that of a safetensors file"),
        (with_header(b'{"0.bias":' + b"[" * 20000), "not that of a safetensors file"),
        (with_header(b'{"0.bias":{"dtype":"F32","shape":[' + b"9" * 5000 + b"]}}"), "not that of a safetensors file"),
        (safetensors.numpy.save({"0.bias": OTHER}, {"note": "hi"}), "without metadata"),
        (safetensors.numpy.save({"1.bias": OTHER}), r"no tensor '0\.bias'"),
        (safetensors.numpy.save({"0.bias": OTHER.astype(np.float16)}), r"'0\.bias' is F16 \[2\], the model has F32"),
        (safetensors.numpy.save({"0.bias": OTHER[None]}), r"'0\.bias' is F32 \[1, 2\], the model has F32 \[2\]"),
        (with_header(HEADER.strip()), "not canonical"),
        (GOLDEN + b"\0", "has 168 bytes, not 169"),
    ],
)
def test_the_error_says_what_is_wrong(blob: bytes, message: str) -> None:
    with pytest.raises(BlobError, match=message):
        decode_blob(SPEC, blob)


def test_more_tensors_than_the_model_has_are_refused() -> None:
    tensors = {**SPEC.unflatten(FLAT), "1.bias": OTHER}
    with pytest.raises(BlobError, match="more tensors"):
        decode_blob(SPEC, safetensors.numpy.save(tensors))
