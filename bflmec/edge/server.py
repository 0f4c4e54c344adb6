"""The HTTP server of an edge node, with its event loop in a thread of its own."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import Any, Final, Self

import uvicorn

from bflmec.edge.app import create_app
from bflmec.edge.assembly import Assembly
from bflmec.edge.guard import guarded_protocol
from bflmec.edge.service import EdgeService
from bflmec.errors import ConfigError, EdgeUnavailableError

MAX_CONNECTIONS: Final = 1024
KEEP_ALIVE_SECONDS: Final = 30
START_SECONDS: Final = 60.0
_MAX_HEAD: Final = 16 << 10
_SHUTDOWN_SECONDS: Final = 10


class EdgeServer:
    """A context manager: listens from construction on, answers while it is entered. `verify` is httpx's, for other edge
    nodes' TLS.

    Raises ConfigError if the address can't be had or the TLS files can't be read.
    """

    def __init__(self, parts: Assembly, verify: Any = True) -> None:
        settings = parts.settings
        self.service = EdgeService(parts, verify)
        self._socket = listening_socket(settings.host, settings.port)
        self.url = _url(self._socket, bool(settings.tls_certificate))
        config = uvicorn.Config(
            create_app(self.service),
            http=guarded_protocol(settings.slowest_upload),
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            h11_max_incomplete_event_size=_MAX_HEAD,
            ssl_certfile=settings.tls_certificate or None,
            ssl_keyfile=settings.tls_key or None,
        )
        try:
            config.load()
        except OSError as error:
            self._socket.close()
            raise ConfigError(f"the TLS files can't be used: {error}") from error
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="http", daemon=True)

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._server.server_state.connections)

    def __enter__(self) -> Self:
        self._thread.start()
        end = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise EdgeUnavailableError("the edge node's service did not start; its log says why")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.service.dismiss_listeners()  # their connections would keep the server from ending
        self._server.should_exit = True
        self._thread.join()

    def is_alive(self) -> bool:
        return self._thread.is_alive()


def listening_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=MAX_CONNECTIONS)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"can't listen on {host} port {port}: {error}; choose another host or port") from error


def _url(listening: socket.socket, is_tls: bool) -> str:
    host, port = listening.getsockname()[:2]
    return f"{'https' if is_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
