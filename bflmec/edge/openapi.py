"""What the OpenAPI description says beyond what follows from the code: binary bodies, and errors by status."""

from __future__ import annotations

from typing import Any, Final

from bflmec.transport.exchange import BINARY
from bflmec.transport.problems import CONTENT_TYPE

DESCRIPTION: Final = (
    "Takes in local gradients of clients, exchanges them with other edge nodes, makes and certifies blocks. Bodies of "
    "type application/octet-stream hold canonical msgpack; refusals are application/problem+json whose `type` names an "
    "error of docs/reference/errors.md."
)

_BINARY: Final[dict[str, Any]] = {BINARY: {"schema": {"type": "string", "format": "binary"}}}
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "retry_after": {"type": "number"},
    },
}

BINARY_BODY: Final[dict[str, Any]] = {"requestBody": {"required": True, "content": _BINARY}}
UPLOAD_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "An envelope, sealed for this edge node: docs/explanation/transport.md",
        "content": _BINARY,
    }
}

_TEXTS: Final = {
    400: "Malformed, or does not decrypt",
    403: "Not a registered client or active edge node, or the signature is false",
    404: "Not held here",
    409: "The sequence number is too old",
    413: "Too large",
    422: "Wrong network, ledger, anchor, mode or blob",
    429: "No room before the next global update; see Retry-After",
    503: "Not now; see Retry-After",
}


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"description": _TEXTS[status], "content": {CONTENT_TYPE: {"schema": _PROBLEM}}} for status in statuses
    }


def _answer(description: str, content: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": description, "content": content}}


def json_answer(description: str) -> dict[int | str, dict[str, Any]]:
    return _answer(description, {"application/json": {"schema": {"type": "object"}}}) | _refusals(400, 503)


UPLOAD: Final = _answer("The receipt", _BINARY) | _refusals(400, 403, 409, 413, 422, 429, 503)
GRADIENT: Final = json_answer("Its state") | _refusals(404)
BLOB: Final = _answer("The blob", _BINARY) | _refusals(400, 404)
SESSION: Final = _answer("The encrypted answer", _BINARY) | _refusals(400, 403, 413, 503)
HEALTH: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": text, "content": {"application/json": {"schema": {"type": "object"}}}}
    for status, text in ((200, "Yes"), (503, "No, and why"))
}
METRICS: Final = _answer("The metrics", {"text/plain": {"schema": {"type": "string"}}})
EVENTS: Final = _answer("A stream of events", {"text/event-stream": {"schema": {"type": "string"}}}) | _refusals(503)
