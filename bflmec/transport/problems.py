"""How a refusal travels over HTTP: `application/problem+json` (RFC 9457) that names an error of `bflmec.errors`."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from bflmec import errors
from bflmec.errors import BFLMECError, EdgeBusyError, EdgeUnavailableError

CONTENT_TYPE: Final = "application/problem+json"
MAX_PROBLEM: Final = 2**14
_MAX_DETAIL: Final = 1024

STATUS: Final[dict[type[BFLMECError], int]] = {
    errors.MessageError: 400,
    errors.EncryptionError: 400,
    errors.SignatureRejectedError: 403,
    errors.SessionError: 403,
    errors.NotHeldError: 404,
    errors.StaleSequenceError: 409,
    errors.MessageTooLargeError: 413,
    errors.BlobError: 422,
    errors.GradientRejectedError: 422,
    errors.ClientQuotaError: 429,
    errors.PoolFullError: 429,
    errors.EdgeBusyError: 503,
    errors.EdgeStoreError: 503,
}
"""The status of each error that an edge node answers with; of any other error it is 500."""

_BY_NAME: Final = {kind.__name__: kind for kind in STATUS}
_INTERNAL: Final = "internal"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """`type` is the name of the error, `title` what it means in general, `detail` what was wrong here, `retry_after`
    the seconds after which trying again makes sense."""

    type: Annotated[str, Meta(max_length=64)]
    title: Annotated[str, Meta(max_length=256)]
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: Annotated[str, Meta(max_length=2 * _MAX_DETAIL)] = ""
    retry_after: Annotated[float, Meta(ge=0, le=86400)] | None = None

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


def problem_of(error: BFLMECError) -> Problem:
    """The answer to a request that ended in `error`. One without a status of its own says nothing of what went on."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            title = (kind.__doc__ or "").split("\n")[0]
            return Problem(kind.__name__, title, STATUS[kind], str(error)[:_MAX_DETAIL], error.retry_after)
    return Problem(_INTERNAL, "The edge node failed; its log says why.", 500)


def error_of(status: int, body: bytes, retry_after: str | None) -> BFLMECError:
    """The error that an answer with that status stands for; `retry_after` is the header of that name."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        problem = Problem("", "", status)
    text = problem.detail or problem.title or f"HTTP status {status}"
    kind = _BY_NAME.get(problem.type)
    if kind is None or STATUS[kind] != status:
        kind, text = (EdgeBusyError if status in (429, 503) else EdgeUnavailableError), f"the edge node answers: {text}"
    error = kind(text)
    error.retry_after = problem.retry_after if problem.retry_after is not None else _seconds(retry_after)
    return error


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isascii() and header.isdigit() and len(header) < 6 else None
