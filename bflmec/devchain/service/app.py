"""JSON-RPC over HTTP: one POST, bounded, and readable from web pages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from bflmec.devchain.rpc import JsonRpc
from bflmec.devchain.rpc.codes import INVALID_REQUEST, LIMIT_EXCEEDED
from bflmec.devchain.rpc.dispatch import failure
from bflmec.devchain.rpc.wire import MAX_REQUEST, encode, respond_bytes

_CONTENT_TYPES = ("application/json", "application/json-rpc", "application/jsonrequest")
_CORS_SECONDS = 3600


def rpc_app(rpc: JsonRpc, workers: Executor, cors_origins: Sequence[str]) -> Starlette:
    """An ASGI application that answers requests in the threads of `workers`."""

    async def answer(request: Request) -> Response:
        if request.method != "POST":
            return _refusal(405, INVALID_REQUEST, "send a JSON-RPC request by POST", {"Allow": "POST"})
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in _CONTENT_TYPES:
            return _refusal(415, INVALID_REQUEST, "send the request with Content-Type: application/json")
        try:
            body = await _body(request)
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            return _refusal(413, LIMIT_EXCEEDED, f"a request has at most {MAX_REQUEST} bytes")
        loop = asyncio.get_running_loop()
        return Response(await loop.run_in_executor(workers, respond_bytes, rpc, body), media_type="application/json")

    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(cors_origins),
        allow_methods=["POST"],
        allow_headers=["Content-Type"],
        max_age=_CORS_SECONDS,
    )
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Starlette(routes=[Route("/", answer, methods=methods)], middleware=[cors])


async def _body(request: Request) -> bytes | None:
    """None if it is too long."""
    announced = request.headers.get("content-length", "0")  # digits: the server checked it
    if len(announced) > 12 or int(announced) > MAX_REQUEST:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_REQUEST:
            return None
    return bytes(body)


def _refusal(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return Response(encode(failure(None, code, message)), status, headers, media_type="application/json")
