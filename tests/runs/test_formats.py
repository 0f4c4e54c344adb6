"""Figures as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.configuration.sections import TOKEN
from bflmec.runs.formats import duration, printable, share, short_hex, tokens


@pytest.mark.parametrize(
    ("value", "text"),
    [(bytes.fromhex("0123456789abcdef"), "0x012345…cdef"), ("0x0123456789abcdef", "0x012345…cdef"), ("abcd", "0xabcd")],
)
def test_hex_is_shortened_to_its_ends(value: str | bytes, text: str) -> None:
    assert short_hex(value) == text


@pytest.mark.parametrize(
    ("units", "text"), [(0, "0"), (100 * TOKEN, "100"), (1234 * TOKEN, "1,234"), (TOKEN // 4, "0.25"), (1, "0.00")]
)
def test_amounts_are_in_tokens(units: int, text: str) -> None:
    assert tokens(units) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 seconds"), (119, "119.0 seconds"), (120, "2.0 minutes"), (7200, "2.0 hours"), (10**6, "11.6 days")],
)
def test_spans_of_time_have_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_share_of_nothing_is_no_number() -> None:
    assert share(0, 0) == "–"
    assert share(1, 4) == "25 %"


@given(st.text())
def test_foreign_text_never_holds_a_control_character(text: str) -> None:
    assert printable(text).isprintable()
