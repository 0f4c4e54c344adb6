"""The HTTP API of an edge node, version 1. What people ask is JSON, what programs exchange is canonical msgpack."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

from fastapi import FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from bflmec import __version__
from bflmec.edge import metrics, openapi
from bflmec.edge.reports import gradient_state, node_info, status
from bflmec.edge.service import EdgeService
from bflmec.edge.uploads import busy, read_body
from bflmec.errors import BFLMECError, MessageError, MessageTooLargeError, NotHeldError, StorageError
from bflmec.protocol.messages import MAX_BLOB
from bflmec.storage import Cid
from bflmec.transport.exchange import BINARY
from bflmec.transport.handshake import MAX_OPENING
from bflmec.transport.peer_messages import decode_request, encode
from bflmec.transport.problems import CONTENT_TYPE, Problem, problem_of

log = logging.getLogger(__name__)

PEER_MESSAGES: Final = 16
"""Messages of other edge nodes that are read at a time."""
BLOB_READS: Final = 8
IMMUTABLE: Final = {"Cache-Control": "public, max-age=31536000, immutable"}

_Digest = Annotated[str, Path(pattern="^0x[0-9a-f]{64}$", description="Gradient digest, hex")]
_Account = Annotated[str, Path(pattern="^0x[0-9a-f]{40}$", description="The client's account, hex")]
_Cid = Annotated[str, Path(pattern="^b[a-z2-7]{58}$", description="Content id, CIDv1 in base32")]


def create_app(service: EdgeService) -> FastAPI:
    """The application; its lifespan starts and stops the service."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = FastAPI(title="BFL-MEC edge node", version=__version__, description=openapi.DESCRIPTION, lifespan=lifespan)
    _handle_errors(app, service)
    _add_client_routes(app, service)
    _add_peer_routes(app, service)
    _add_operator_routes(app, service)
    return app


def _add_client_routes(app: FastAPI, service: EdgeService) -> None:
    reads = asyncio.Semaphore(BLOB_READS)

    @app.get("/v1/node", tags=["clients"], responses=openapi.json_answer("Id, ledger and keys"))
    async def node() -> Response:
        """The edge node's id, ledger and keys; compare the keys with the digests that the ledger registers."""
        return _json(node_info(service))

    @app.post("/v1/gradients", tags=["clients"], responses=openapi.UPLOAD, openapi_extra=openapi.UPLOAD_BODY)
    async def submit(request: Request) -> Response:
        """Submit a sealed local gradient. The receipt promises that it is durable; repeating gives the same one."""
        admitted = await service.uploads.take(request.stream(), _announced(request))
        service.took(admitted)
        return Response(admitted.receipt, media_type=BINARY)

    @app.get("/v1/gradients/{digest}", tags=["clients"], responses=openapi.GRADIENT)
    async def gradient(digest: _Digest) -> Response:
        """What became of a local gradient, as far as this edge node remembers."""
        return _json(await service.core.run(gradient_state, service, bytes.fromhex(digest[2:])))

    @app.get("/v1/clients/{account}/next-sequence", tags=["clients"], responses=openapi.json_answer("The number"))
    async def next_sequence(account: _Account) -> Response:
        """The lowest sequence number above all of a client that this edge node knows of."""
        number = await service.core.run(service.node.next_sequence, bytes.fromhex(account[2:]))
        return JSONResponse({"next_sequence": number})

    @app.get("/v1/blobs/{cid}", tags=["clients"], responses=openapi.BLOB)
    async def blob(cid: _Cid) -> Response:
        """A global gradient or block body by its content id."""
        try:
            wanted = Cid.parse(cid)
            async with reads:
                data = await asyncio.to_thread(service.parts.blobs.local.get, wanted, MAX_BLOB)
        except StorageError:
            raise NotHeldError(f"there is no {cid} here") from None
        return Response(data, media_type=BINARY, headers=IMMUTABLE | {"ETag": f'"{cid}"'})


def _add_peer_routes(app: FastAPI, service: EdgeService) -> None:
    reading = asyncio.Semaphore(PEER_MESSAGES)

    @app.post("/v1/peers/sessions", tags=["edge nodes"], responses=openapi.SESSION, openapi_extra=openapi.BINARY_BODY)
    async def open_session(request: Request) -> Response:
        """Open an encrypted session, as an active edge node."""
        opening = await _body(request, MAX_OPENING)
        return Response(service.responder.open(opening, _now()), media_type=BINARY)

    @app.post("/v1/peers/messages", tags=["edge nodes"], responses=openapi.SESSION, openapi_extra=openapi.BINARY_BODY)
    async def message(request: Request) -> Response:
        """Send an encrypted message inside of a session."""
        if reading.locked():
            raise busy("too many messages at a time")
        async with reading:
            incoming = service.responder.decrypt(await _body(request, service.message_limit), _now())
        answer = await service.answering.answer(incoming.peer, decode_request(incoming.request))
        return Response(incoming.encrypt(encode(answer)), media_type=BINARY)


def _add_operator_routes(app: FastAPI, service: EdgeService) -> None:
    @app.get("/v1/status", tags=["operators"], responses=openapi.json_answer("The state"))
    async def state() -> Response:
        """What the edge node does, for people."""
        return _json(await service.core.run(status, service))

    @app.get("/v1/events", tags=["operators"], responses=openapi.EVENTS)
    async def events() -> Response:
        """What happens, as it happens (server-sent events)."""
        return StreamingResponse(service.events.listen(), media_type="text/event-stream")

    @app.get("/health", tags=["operators"], responses=openapi.HEALTH)
    async def health() -> Response:
        """200 while the process works; else it should be started again."""
        stuck = service.is_stuck()
        return JSONResponse({"status": "stuck" if stuck else "ok"}, 503 if stuck else 200)

    @app.get("/ready", tags=["operators"], responses=openapi.HEALTH)
    async def ready() -> Response:
        """200 while clients should send here; else 503 and the reasons."""
        troubles = service.troubles()
        return JSONResponse({"ready": not troubles, "troubles": troubles}, 503 if troubles else 200)

    @app.get("/metrics", tags=["operators"], responses=openapi.METRICS)
    async def prometheus() -> Response:
        """Prometheus' text format."""
        service.measure()
        return Response(service.metrics.text(), media_type=metrics.CONTENT_TYPE)


# -------------------------------------------------------------------- errors


def _handle_errors(app: FastAPI, service: EdgeService) -> None:
    @app.exception_handler(BFLMECError)
    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, BFLMECError)
        service.rejected(error)
        return _problem(problem_of(error))

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: Exception) -> Response:
        return _problem(problem_of(MessageError(f"{request.url.path} is no address of this API")))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _problem(Problem("http", str(error.detail), error.status_code), error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=400)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return _problem(Problem("internal", "The edge node failed; its log says why.", 500))


def _problem(problem: Problem, headers: Any = None) -> Response:
    extra = dict(headers or {})
    if problem.retry_after is not None:
        extra["Retry-After"] = str(max(round(problem.retry_after), 1))
    return Response(problem.encode(), problem.status, extra, media_type=CONTENT_TYPE)


def _json(value: Any) -> Response:
    import msgspec

    return Response(msgspec.json.encode(value), media_type="application/json")


def _announced(request: Request) -> int | None:
    text = request.headers.get("content-length")
    return None if text is None else int(text[:12])  # digits: the server checked it


async def _body(request: Request, limit: int) -> bytes:
    announced = _announced(request)
    if announced is not None and announced > limit:
        raise MessageTooLargeError(f"a message of {announced} bytes is over the limit of {limit}")
    return await read_body(request.stream(), limit)


def _now() -> float:
    from time import monotonic

    return monotonic()
