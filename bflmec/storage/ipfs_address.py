"""Where an IPFS daemon's HTTP API listens: as a URL, as a unix socket, or as a multiaddr."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from bflmec.errors import StorageError

DEFAULT_ADDRESS: Final = "http://127.0.0.1:5001"
_API: Final = "/api/v0"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[A-Za-z0-9._:\-]{1,253}")
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~\-]{1,100}){0,16}")
_MULTIADDR: Final = re.compile(r"/(ip4|ip6|dns|dns4|dns6)/([^/]+)/tcp/([0-9]{1,5})(?:/(http|https))?")
_ADDRESS_STARTS: Final = ("http://", "https://", "unix://", "/ip4/", "/ip6/", "/dns/", "/dns4/", "/dns6/", "/unix/")


@dataclass(frozen=True, slots=True)
class DaemonAddress:
    """`scheme` http or https, `host`, `port`, `prefix` of the path before /api/v0; or the path of a unix `socket`."""

    scheme: str
    host: str
    port: int
    prefix: str = ""
    socket: str = ""

    @classmethod
    def parse(cls, text: str) -> DaemonAddress:
        """From http://host:port, https://host/prefix, unix:///path, /ip4/127.0.0.1/tcp/5001, /dns/host/tcp/443/https
        or /unix/path; empty: http://127.0.0.1:5001. Raises StorageError on anything else, and on a password in it."""
        text = text or DEFAULT_ADDRESS
        for start in ("unix://", "/unix"):
            if text.startswith(start + "/"):
                return cls._unix(text.removeprefix(start))
        if text.startswith("/"):
            return cls._multiaddr(text)
        return cls._url(text)

    @classmethod
    def _unix(cls, path: str) -> DaemonAddress:
        if not path.isprintable() or len(path.encode()) > 107 or path.endswith("/"):
            raise StorageError("a unix socket's path has 1 to 107 printable bytes")
        return cls("http", "localhost", 80, socket=path)

    @classmethod
    def _multiaddr(cls, text: str) -> DaemonAddress:
        match = _MULTIADDR.fullmatch(text)
        if match is None:
            raise _malformed()
        _, host, port, scheme = match.groups()
        return cls._checked(scheme or "http", host, int(port), "")

    @classmethod
    def _url(cls, text: str) -> DaemonAddress:
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise _malformed() from None
        if parts.username is not None or parts.password is not None:
            raise StorageError("an address is printed in messages: keep its password in BFLMEC_IPFS_AUTH_FILE instead")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise _malformed()
        if port is None:
            port = _DEFAULT_PORTS[parts.scheme]
        return cls._checked(parts.scheme, parts.hostname, port, parts.path.rstrip("/").removesuffix(_API))

    @classmethod
    def _checked(cls, scheme: str, host: str, port: int, prefix: str) -> DaemonAddress:
        if not _HOST.fullmatch(host) or not 0 < port < 1 << 16 or not _PREFIX.fullmatch(prefix):
            raise _malformed()
        if ":" in host and not _is_ip(host):
            raise _malformed()
        return cls(scheme, host, port, prefix)

    def __str__(self) -> str:
        return f"unix://{self.socket}" if self.socket else f"{self.scheme}://{self._netloc}{self.prefix}"

    @property
    def api(self) -> str:
        """The URL below which the API's commands are; a unix socket's has the host localhost."""
        return f"{self.scheme}://{self._netloc}{self.prefix}{_API}/"

    @property
    def multiaddr(self) -> str:
        """The same place as a multiaddr, which has no room for the prefix."""
        if self.socket:
            return f"/unix{self.socket}"
        kind = "dns" if not _is_ip(self.host) else "ip6" if ":" in self.host else "ip4"
        return f"/{kind}/{self.host}/tcp/{self.port}/{self.scheme}"

    @property
    def stays_on_this_machine(self) -> bool:
        """Whether what is sent there crosses no network."""
        is_loopback = self.host == "localhost" or (_is_ip(self.host) and ipaddress.ip_address(self.host).is_loopback)
        return bool(self.socket) or is_loopback

    @property
    def _netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def is_daemon_address(location: str) -> bool:
    """Whether a location looks like a daemon's address rather than a folder."""
    return location.startswith(_ADDRESS_STARTS)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _malformed() -> StorageError:
    # The text itself stays out of the message: somebody may have put a secret into it.
    return StorageError(
        "not the address of an IPFS daemon; write http://127.0.0.1:5001, https://host, unix:///path/to/socket, "
        "/ip4/127.0.0.1/tcp/5001 or /dns/host/tcp/443/https"
    )
