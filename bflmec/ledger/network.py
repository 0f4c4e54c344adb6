"""Ethereum networks by name, from one TOML file, and connections to them.

    [networks.testnet]
    rpc = "https://rpc.example/v1/${RPC_KEY}"
    chain_id = 11155111
    confirmations = 3

A secret does not stand in the file: ${NAME} in a URL is replaced by the environment variable of that name, and what
came out is never printed.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from requests import ConnectionError as RequestsConnectionError
from requests import RequestException, Session
from requests import Timeout as RequestsTimeout
from requests.adapters import HTTPAdapter
from web3 import Web3
from web3._utils.threads import Timeout  # what IPCProvider raises; it has no public name
from web3.providers import BaseProvider, HTTPProvider, IPCProvider
from web3.providers.rpc.utils import REQUEST_RETRY_ALLOWLIST, ExceptionRetryConfiguration
from web3.types import RPCEndpoint, RPCResponse

from bflmec.errors import ConfigError, LedgerError
from bflmec.ledger.fees import GWEI, FeePolicy
from bflmec.ledger.refusals import ledger_errors
from bflmec.registry import nearest

FILE = "networks.toml"
"""Looked for in the working folder, then in the user's configuration folder."""

_MAX_FILE = 1 << 20
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CONNECTIONS = 16
_RETRIES, _BACKOFF = 3, 0.2
_READS = [method for method in REQUEST_RETRY_ALLOWLIST if "send" not in method]


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to reach a network. Times in seconds."""

    rpc: Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
    """http://, https://, or the path of a node's IPC socket."""
    chain_id: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)] | None = None
    """EIP-155 chain id that the node must have; None takes what it says."""
    confirmations: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    """Host blocks on top of one before it is trusted."""
    poll_interval: Annotated[float, msgspec.Meta(ge=0.01, le=3600)] = 1.0
    """Between two looks at the chain."""
    timeout: Annotated[float, msgspec.Meta(ge=0.1, le=600)] = 15.0
    """Of one request."""
    fees: Literal["auto", "legacy"] = "auto"
    """EIP-1559 where blocks have a base fee, or legacy gas prices everywhere."""
    max_fee_gwei: Annotated[float, msgspec.Meta(gt=0, le=1e9)] = 500.0
    """The most that a transaction pays per gas, in 10⁻⁹ ether."""
    replace_after: Annotated[float, msgspec.Meta(ge=1, le=86400)] = 30.0
    """After so long without a block a transaction is sent again with an eighth more."""

    @property
    def fee_policy(self) -> FeePolicy:
        """How an account pays on this network."""
        return FeePolicy(kind=self.fees, cap=int(self.max_fee_gwei * GWEI), replace_after=self.replace_after)

    @property
    def location(self) -> str:
        """The address without what may be secret in it, for messages."""
        parts = urlsplit(self.rpc)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}" if parts.scheme in ("http", "https") else self.rpc

    def __repr__(self) -> str:
        return f"Network({self.location}, chain_id={self.chain_id})"


LOCAL = Network(rpc="http://127.0.0.1:8545", poll_interval=0.25)
"""What `bflmec chain serve`, anvil and geth listen on: the network `local` unless the file says otherwise."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    networks: dict[str, Network]


def load_networks(file: Path | None = None) -> dict[str, Network]:
    """The networks of the file given, else of ./networks.toml, else of the user's; `local` is always there.

    Raises ConfigError if the file given is missing, or one has something in it that it may not have.
    """
    found = file if file is not None else next((path for path in _usual_places() if path.is_file()), None)
    return {"local": LOCAL} | ({} if found is None else _read(found))


def find_network(name: str, file: Path | None = None) -> Network:
    """The network of that name, or the one behind an http(s) URL given instead. Raises ConfigError."""
    if name.startswith(("http://", "https://")):
        return Network(rpc=name)
    networks = load_networks(file)
    if name not in networks:
        raise ConfigError(
            f"no network named {name!r}; {nearest(name, list(networks))}. Networks stand in {file or FILE}:\n"
            f'[networks.{name}]\nrpc = "https://…"\nchain_id = …'
        )
    return networks[name]


def connect(network: Network) -> Web3:
    """A connection that has answered. Reads are repeated when the connection breaks, transactions never are.

    Raises LedgerError if the node can't be reached or is of another chain, ConfigError if a variable in the URL is not
    set.
    """
    w3 = Web3(_provider(network))
    try:
        with ledger_errors():
            chain_id = w3.eth.chain_id
    except LedgerError as error:
        raise LedgerError(f"{network.location} does not answer as an Ethereum node; is it running? {error}") from None
    if network.chain_id is not None and chain_id != network.chain_id:
        raise LedgerError(f"{network.location} is chain {chain_id}, not {network.chain_id}; check rpc and chain_id")
    return w3


class _HTTPProvider(HTTPProvider):
    """Errors name the host alone: the rest of a URL can hold an API key."""

    def __init__(self, url: str, network: Network) -> None:
        session = Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
        retries = ExceptionRetryConfiguration(
            errors=(RequestsConnectionError, RequestsTimeout),
            retries=_RETRIES,
            backoff_factor=_BACKOFF,
            method_allowlist=_READS,
        )
        super().__init__(url, {"timeout": network.timeout}, session, exception_retry_configuration=retries)
        self._location = network.location

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        try:
            return super().make_request(method, params)
        except RequestException as error:
            raise ConnectionError(f"{self._location}: {type(error).__name__}") from None

    def __str__(self) -> str:
        return f"RPC connection {self._location}"


class _IPCProvider(IPCProvider):
    """A node that does not answer in time is an OSError here, too."""

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        try:
            return super().make_request(method, params)
        except Timeout as error:
            raise TimeoutError(f"no answer in {self.timeout} s") from error


def _provider(network: Network) -> BaseProvider:
    url = _VARIABLE.sub(_environment, network.rpc)
    if url.startswith(("http://", "https://")):
        return _HTTPProvider(url, network)
    if "://" in url:
        raise ConfigError(f"rpc = {network.location!r}: only http://, https:// and the path of an IPC socket are known")
    return _IPCProvider(url, timeout=max(int(network.timeout), 1))


def _environment(match: re.Match[str]) -> str:
    value = os.environ.get(match[1])
    if value is None:
        raise ConfigError(f"the network's rpc needs the environment variable {match[1]}, which is not set")
    return value


def _usual_places() -> list[Path]:
    own = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "bflmec"
    return [Path(FILE), own / FILE]


def _read(path: Path) -> dict[str, Network]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}") from error
    if len(data) > _MAX_FILE:
        raise ConfigError(f"{path} is too large for a file of networks")
    try:
        return msgspec.convert(tomllib.loads(data.decode()), _File).networks
    except (ValueError, RecursionError) as error:  # tomllib's, UnicodeDecodeError and msgspec's are ValueErrors
        raise ConfigError(f"{path} is not a file of networks: {error}") from error
