"""Refusals over HTTP: every error that an edge node names arrives as itself, and nothing else does."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bflmec.errors import (
    BFLMECError,
    BlockRejectedError,
    EdgeBusyError,
    EdgeUnavailableError,
    PoolFullError,
    StaleSequenceError,
)
from bflmec.transport.problems import STATUS, error_of, problem_of


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.__name__)
def test_an_error_arrives_as_itself(kind: type[BFLMECError]) -> None:
    error = kind("what was wrong")
    error.retry_after = 2.5
    problem = problem_of(error)
    arrived = error_of(problem.status, problem.encode(), None)
    assert type(arrived) is kind
    assert (str(arrived), arrived.retry_after) == ("what was wrong", 2.5)


def test_a_subclass_without_a_status_arrives_as_its_nearest_base() -> None:
    class SpecialError(StaleSequenceError):
        pass

    problem = problem_of(SpecialError("old"))
    assert type(error_of(problem.status, problem.encode(), None)) is StaleSequenceError


def test_an_error_that_is_nobodys_business_tells_nothing() -> None:
    problem = problem_of(BlockRejectedError("a secret detail"))
    assert problem.status == 500
    assert b"secret" not in problem.encode()
    assert type(error_of(500, problem.encode(), None)) is EdgeUnavailableError


def test_an_error_under_a_wrong_status_is_not_believed() -> None:
    body = problem_of(PoolFullError("full")).encode()
    assert type(error_of(404, body, None)) is EdgeUnavailableError


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_gateway_is_a_busy_edge_node(status: int) -> None:
    error = error_of(status, b"<html>", "7")
    assert type(error) is EdgeBusyError
    assert error.retry_after == 7.0


@pytest.mark.parametrize("header", ["-1", "soon", "1e99", "Tue, 24 Nov 2026 00:00:00 GMT", "999999"])
def test_a_retry_after_that_is_no_number_of_seconds_is_ignored(header: str) -> None:
    assert error_of(503, b"", header).retry_after is None


@given(st.integers(400, 599), st.binary(max_size=300))
def test_any_body_gives_an_error(status: int, body: bytes) -> None:
    assert isinstance(error_of(status, body, None), BFLMECError)


@given(st.recursive(st.none() | st.text() | st.floats(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=5))
def test_any_json_gives_an_error(document: object) -> None:
    assert isinstance(error_of(500, msgspec.json.encode(document), None), BFLMECError)
