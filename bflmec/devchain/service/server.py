"""The HTTP server of an embedded chain, in a thread of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import uvicorn

from bflmec.devchain.chain import DevChain
from bflmec.devchain.rpc import JsonRpc
from bflmec.devchain.service.app import rpc_app
from bflmec.devchain.service.guard import GuardedProtocol
from bflmec.errors import ChainError

WORKERS = 8  # requests that are executed at a time; more wait
MAX_CONNECTIONS = 256
KEEP_ALIVE_SECONDS = 15
_MAX_HEAD = 16 << 10  # bytes of a request line and its headers
_SHUTDOWN_SECONDS = 3


class ChainServer:
    """A context manager: listens from construction on, answers while it is entered. `port` 0 chooses a free one.

    Raises ChainError if the address can't be had.
    """

    def __init__(
        self, chain: DevChain, host: str = "127.0.0.1", port: int = 8545, cors_origins: Sequence[str] = ("*",)
    ) -> None:
        self._socket = _listening_socket(host, port)
        self.url = _url(self._socket)
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="rpc")
        self._server = uvicorn.Server(
            uvicorn.Config(
                rpc_app(JsonRpc(chain), self._workers, cors_origins),
                http=GuardedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
                h11_max_incomplete_event_size=_MAX_HEAD,
            )
        )
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="http", daemon=True)

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._server.server_state.connections)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._workers.shutdown(cancel_futures=True)


def _listening_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=MAX_CONNECTIONS)
    except (OSError, OverflowError) as error:
        raise ChainError(f"can't listen on {host} port {port}: {error}; choose another --host or --port") from error


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
