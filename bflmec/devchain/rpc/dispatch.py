"""From a request to its response: the table of methods, and errors as JSON-RPC writes them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence

from bflmec.devchain.chain import DevChain
from bflmec.devchain.rpc.blocks import BlockMethods
from bflmec.devchain.rpc.codes import (
    EXECUTION_REVERTED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    METHOD_NOT_SUPPORTED,
    SERVER_ERROR,
)
from bflmec.devchain.rpc.format import Json, data
from bflmec.devchain.rpc.logs import LogMethods
from bflmec.devchain.rpc.methods import MethodGroup, Methods
from bflmec.devchain.rpc.node import NodeMethods
from bflmec.devchain.rpc.params import shown
from bflmec.devchain.rpc.state import StateMethods
from bflmec.devchain.rpc.unsupported import why_unsupported
from bflmec.errors import CallRevertedError, ChainError, RpcError

MAX_BATCH = 100
_MAX_ID = 1000  # characters; it is sent back
_LARGEST_ID = 1 << 64

_log = logging.getLogger(__name__)


class JsonRpc:
    """`handle` answers one method, `respond` a whole request. Safe to use from several threads."""

    def __init__(self, chain: DevChain) -> None:
        self.chain = chain
        groups: list[MethodGroup] = [NodeMethods(chain), BlockMethods(chain), StateMethods(chain), LogMethods(chain)]
        self._methods: Methods = {name: method for group in groups for name, method in group.methods().items()}

    def handle(self, method: str, params: Sequence[Json] = ()) -> Json:
        """The result of a method. Raises RpcError, CallRevertedError or another ChainError."""
        implementation = self._methods.get(method)
        if implementation is None:
            raise _unknown(method)
        try:
            return implementation(*params)
        except TypeError as error:
            # Only a wrong number of parameters fails before the method's own first line.
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
            raise RpcError(INVALID_PARAMS, f"{method} takes other parameters than {len(params)}") from error

    def respond(self, request: Json) -> Json:
        """The JSON-RPC 2.0 response to a request or a batch of them. Never raises for what a request holds.

        A request without an id is answered too, with the id null.
        """
        if isinstance(request, list):
            refusal = batch_refusal(request)
            return [self.respond_one(one) for one in request] if refusal is None else refusal
        return self.respond_one(request)

    def respond_one(self, request: Json) -> Json:
        """The response to one request that is not a batch."""
        if not isinstance(request, Mapping):
            return failure(None, INVALID_REQUEST, "a request is an object with method and params")
        name, method, params = id_of(request), request.get("method"), request.get("params")
        if name != request.get("id"):
            return failure(None, INVALID_REQUEST, "an id is a short text, an integer of 64 bits, a number or null")
        if not isinstance(method, str) or not isinstance(params, list | tuple | None):
            return failure(name, INVALID_REQUEST, "a request has a method (text) and params (a list)")
        start = time.perf_counter()
        response = self._answer(name, method, params or ())
        outcome = f"error {response['error']['code']}" if "error" in response else "ok"
        _log.info("%s: %s, %.1f ms", shown(method), outcome, 1000 * (time.perf_counter() - start))
        return response

    def _answer(self, name: Json, method: str, params: Sequence[Json]) -> dict[str, Json]:
        try:
            return {"jsonrpc": "2.0", "id": name, "result": self.handle(method, params)}
        except CallRevertedError as error:
            return failure(name, EXECUTION_REVERTED, str(error), data(error.data))
        except RpcError as error:
            return failure(name, error.code, str(error))
        except ChainError as error:
            return failure(name, SERVER_ERROR, str(error))
        except Exception:
            _log.exception("internal error in %s", shown(method))
            return failure(name, INTERNAL_ERROR, "internal error; the log of the chain says more")


def batch_refusal(batch: list[Json]) -> dict[str, Json] | None:
    """The one response to a batch of an unacceptable size."""
    if 1 <= len(batch) <= MAX_BATCH:
        return None
    return failure(None, INVALID_REQUEST, f"a batch has 1 to {MAX_BATCH} requests, not {len(batch)}")


def failure(name: Json, code: int, message: str, details: str | None = None) -> dict[str, Json]:
    """A response with an error."""
    error: dict[str, Json] = {"code": code, "message": message}
    if details is not None:
        error["data"] = details
    return {"jsonrpc": "2.0", "id": name, "error": error}


def _unknown(method: str) -> RpcError:
    reason = why_unsupported(method)
    if reason is None:
        return RpcError(METHOD_NOT_FOUND, f"the method {shown(method)} does not exist")
    return RpcError(METHOD_NOT_SUPPORTED, f"{shown(method)} is not supported: {reason}")


def id_of(request: Json) -> Json:
    """The id under which a request is answered: its own, or None if it has none or an unacceptable one."""
    name = request.get("id") if isinstance(request, Mapping) else None
    if isinstance(name, str):
        return name if len(name) <= _MAX_ID else None
    if isinstance(name, float):
        return name if math.isfinite(name) else None
    return name if type(name) is int and abs(name) < _LARGEST_ID else None
