"""A JSON-RPC request and its response as bytes, both bounded."""

from __future__ import annotations

import json
import time
from typing import NoReturn

from bflmec.devchain.rpc.codes import LIMIT_EXCEEDED, PARSE_ERROR
from bflmec.devchain.rpc.dispatch import JsonRpc, batch_refusal, failure, id_of
from bflmec.devchain.rpc.format import Json
from bflmec.errors import RpcError

MAX_REQUEST = 4 << 20  # bytes; a transaction has at most 128 KiB, twice that in hex
MAX_RESPONSE = 32 << 20  # bytes, of a whole batch; what exceeds it is left out
MAX_SECONDS = 30.0  # for a whole batch; what has not begun by then is left out


def respond_bytes(rpc: JsonRpc, body: bytes) -> bytes:
    """The response to a request in UTF-8. Never raises for what a request holds."""
    try:
        request = parse(body)
    except RpcError as error:
        return encode(failure(None, error.code, str(error)))
    if not isinstance(request, list):
        return _respond_within(rpc, request, MAX_RESPONSE)
    refusal = batch_refusal(request)
    if refusal is not None:
        return encode(refusal)
    responses, room, end = [], MAX_RESPONSE, time.monotonic() + MAX_SECONDS
    for one in request:
        if time.monotonic() < end:
            response = _respond_within(rpc, one, room)
        else:
            response = _left_out(one, f"the batch took more than {MAX_SECONDS:.0f} s; ask for less at once")
        room -= len(response)
        responses.append(response)
    return b"[" + b",".join(responses) + b"]"


def parse(body: bytes) -> Json:
    """Raises RpcError unless `body` is one JSON value in UTF-8 of at most MAX_REQUEST bytes."""
    if len(body) > MAX_REQUEST:
        raise RpcError(LIMIT_EXCEEDED, f"a request has at most {MAX_REQUEST} bytes")
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise RpcError(PARSE_ERROR, f"the request is not UTF-8: byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise RpcError(PARSE_ERROR, f"the request is not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise RpcError(PARSE_ERROR, "the request is nested too deeply") from error
    except ValueError as error:
        raise RpcError(PARSE_ERROR, "the request holds a number that is too long, or none") from error


def encode(response: Json) -> bytes:
    return json.dumps(response, separators=(",", ":"), allow_nan=False).encode("ascii")


def _respond_within(rpc: JsonRpc, request: Json, room: int) -> bytes:
    if room > 0:
        response = encode(rpc.respond_one(request))
        if len(response) <= room:
            return response
    return _left_out(request, f"the response exceeds {MAX_RESPONSE} bytes; ask for less at once")


def _left_out(request: Json, reason: str) -> bytes:
    return encode(failure(id_of(request), LIMIT_EXCEEDED, reason))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
