"""Content ids have one binary and one text form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.errors import StorageError
from bflmec.storage import DAG_PB, RAW, Cid

EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"

cids = st.builds(Cid, st.sampled_from([RAW, DAG_PB]), st.binary(min_size=32, max_size=32))


@given(cids)
def test_both_forms_round_trip(cid: Cid) -> None:
    assert Cid.from_bytes(bytes(cid)) == cid
    assert Cid.parse(str(cid)) == cid


def test_the_empty_file_has_its_well_known_id() -> None:
    assert str(Cid.of(RAW, b"")) == EMPTY


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(EMPTY[:-1], id="short"),
        pytest.param(EMPTY + "a", id="long"),
        pytest.param(EMPTY.upper(), id="base32upper"),
        pytest.param("b" + EMPTY[1:].upper(), id="upper case"),
        pytest.param(EMPTY[:-1] + "v", id="spare bits set"),
        pytest.param(EMPTY[:-1] + "1", id="not base32"),
        pytest.param("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", id="CIDv0"),
        pytest.param("bafyrei" + EMPTY[7:], id="dag-cbor"),
        pytest.param("é" * 59, id="not ASCII"),
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(StorageError):
        Cid.parse(text)


@given(st.binary(max_size=80))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(StorageError):
        Cid.from_bytes(data)


@pytest.mark.parametrize(("codec", "digest"), [(0x71, bytes(32)), (RAW, bytes(31)), (RAW, bytes(33))])
def test_other_codecs_and_digest_lengths_are_refused(codec: int, digest: bytes) -> None:
    with pytest.raises(StorageError):
        Cid(codec, digest)
