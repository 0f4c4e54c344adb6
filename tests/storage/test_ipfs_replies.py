"""Any bytes from a daemon are an answer of the right kind or a StorageError, and never cost more than their size."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cases import cases
from hypothesis import given
from hypothesis import strategies as st

from bflmec.errors import StorageError
from bflmec.storage import RAW, Cid
from bflmec.storage import ipfs_replies as replies

CID = Cid.of(RAW, b"blob")
BASE58 = "zb2rhoUrWzEigaKeTQiwQprCVSmfUaRgGgtHqLQDbtFMfR6Qo"

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from([str(CID), BASE58]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Keys", "Pins", "Hash", "Key", "RepoSize", "Error", "Message", "/", "Type"]), inner
        )
    ),
    max_leaves=8,
)
answers = st.binary(max_size=200) | st.lists(values, max_size=3).map(
    lambda lines: b"\n".join(json.dumps(line).encode() for line in lines)
)

DECODERS: dict[str, Callable[[bytes], object]] = {
    "add": replies.added,
    "pin/add": lambda answer: replies.require_pin(answer, CID),
    "pin/ls": replies.pinned,
    "repo/gc": lambda answer: replies.collected([answer[:7], answer[7:]]),
    "repo/stat": replies.repository_size,
    "an error": replies.error_message,
}
KINDS = {"add": str, "pin/add": type(None), "pin/ls": list, "repo/gc": int, "repo/stat": int, "an error": str}


@pytest.mark.parametrize("name", DECODERS)
@cases(100)
@given(answer=answers)
def test_any_answer_is_of_the_right_kind_or_refused(name: str, answer: bytes) -> None:
    try:
        result = DECODERS[name](answer)
    except StorageError:
        return
    assert type(result) is KINDS[name]
    if isinstance(result, list):
        assert all(isinstance(cid, Cid) for cid in result)


@cases(200)
@given(st.text(max_size=80) | st.from_regex(r"z[1-9A-HJ-NP-Za-km-z]{40,60}", fullmatch=True))
def test_any_text_is_a_content_id_of_ours_or_none(text: str) -> None:
    found = replies.parse_cid(text)
    assert found is None or isinstance(found, Cid)


def test_both_bases_name_the_same_block() -> None:
    assert replies.parse_cid(BASE58) == replies.parse_cid(str(CID)) == CID


@pytest.mark.parametrize("depth", [100, 100_000])
@pytest.mark.parametrize("name", DECODERS)
def test_a_deep_answer_is_refused(name: str, depth: int) -> None:
    for opening in (b"[", b'{"Keys":', b'{"Pins":['):
        if name == "an error":
            assert replies.error_message(opening * depth) == ""
        else:
            with pytest.raises(StorageError):
                DECODERS[name](opening * depth)


@pytest.mark.parametrize("pieces", [1, 2, 3, 1000])
def test_a_collections_lines_may_be_cut_anywhere(pieces: int) -> None:
    lines = b"".join(b'{"Key":{"/":"%d"}}\n' % number for number in range(50)) + b"\n"
    step = -(-len(lines) // pieces)
    assert replies.collected(lines[at : at + step] for at in range(0, len(lines), step)) == 50


def test_a_line_that_never_ends_is_refused() -> None:
    with pytest.raises(StorageError):
        replies.collected(b"x" * 1000 for _ in range(1000))
