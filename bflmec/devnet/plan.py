"""What a devnet consists of, and where in its directory everything lies.

devnet.json       the plan: how many of what, on which ports
config.toml       the configuration that everybody shares
networks.toml     the chain as the network `devnet`
deployment.json   the ledger's deployment record
chain.sqlite      the embedded chain (anvil: chain.json)
edge-1/ …         directories of the edge nodes, see bflmec/edge/directory.py
client-1/ …       wallets of the clients, see bflmec/client/directory.py
logs/NAME.log     what each process prints
run/NAME.json     which process it is
lock              held by the process that supervises them
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from bflmec.errors import DevnetError
from bflmec.files import write_atomically

CHAIN: Final = "chain"
SUPERVISOR: Final = "devnet"
NETWORK: Final = "devnet"
HOST: Final = "127.0.0.1"
_MAX_PLAN: Final = 1 << 16

_Port = Annotated[int, Meta(ge=1, le=65535)]


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`rate` is in samples a second and client, `ipfs` the address of a daemon or empty."""

    chain: Literal["embedded", "anvil"]
    chain_port: _Port
    edge_ports: Annotated[tuple[_Port, ...], Meta(min_length=1, max_length=64)]
    clients: Annotated[int, Meta(ge=0, le=1000)]
    rate: Annotated[float, Meta(gt=0)]
    ipfs: str = ""

    @property
    def rpc(self) -> str:
        return f"http://{HOST}:{self.chain_port}"

    def endpoint(self, number: int) -> str:
        """Where edge node `number` (from 1) is reached."""
        return f"http://{HOST}:{self.edge_ports[number - 1]}"

    @property
    def edge_nodes(self) -> list[str]:
        """Names of the edge nodes; so are those of their directories."""
        return [f"edge-{number}" for number in range(1, len(self.edge_ports) + 1)]

    @property
    def client_names(self) -> list[str]:
        return [f"client-{number}" for number in range(1, self.clients + 1)]

    @property
    def names(self) -> list[str]:
        """All processes, in the order in which they start."""
        return [CHAIN, *self.edge_nodes, *self.client_names]


def new_plan(chain: Literal["embedded", "anvil"], edge_nodes: int, clients: int, rate: float, ipfs: str = "") -> Plan:
    """A plan with ports that are free now."""
    first, *others = _free_ports(edge_nodes + 1)
    return Plan(chain=chain, chain_port=first, edge_ports=tuple(others), clients=clients, rate=rate, ipfs=ipfs)


class DevnetDirectory:
    """Paths in a devnet's directory, its plan and its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.config = self.path / "config.toml"
        self.networks = self.path / "networks.toml"
        self.deployment = self.path / "deployment.json"
        self.plan_file = self.path / "devnet.json"
        self.founded = self.path / "founded"

    def member(self, name: str) -> Path:
        return self.path / name

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def pid_file(self, name: str) -> Path:
        return self.path / "run" / f"{name}.json"

    def exists(self) -> bool:
        return self.plan_file.exists()

    def create(self, plan: Plan, config: str) -> None:
        """Writes the plan last: a directory with a plan is complete. Raises DevnetError if it can't be written."""
        networks = f'[networks.{NETWORK}]\nrpc = "{plan.rpc}"\nchain_id = {CHAIN_ID}\npoll_interval = {POLL_SECONDS}\n'
        try:
            for folder in (self.path, self.path / "logs", self.path / "run"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self.config, config.encode())
            write_atomically(self.networks, networks.encode())
            write_atomically(self.plan_file, msgspec.json.encode(plan))
        except OSError as error:
            raise DevnetError(f"can't write {self.path}: {error.strerror}") from error

    def plan(self) -> Plan:
        """Raises DevnetError if there is none."""
        try:
            with self.plan_file.open("rb") as file:
                return msgspec.json.decode(file.read(_MAX_PLAN), type=Plan)
        except FileNotFoundError as error:
            raise DevnetError(f"{self.path} is no devnet; make one: bflmec devnet up --dir {self.path}") from error
        except (OSError, msgspec.DecodeError) as error:
            raise DevnetError(f"{self.plan_file} can't be read: {error}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time supervises a devnet. Raises DevnetError if another one does."""
        try:
            descriptor = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DevnetError(f"can't lock {self.path}: {error.strerror}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise DevnetError(f"{self.path} is up already; end it with: bflmec devnet down") from error
            yield
        finally:
            os.close(descriptor)


CHAIN_ID: Final = 1337
POLL_SECONDS: Final = 0.25


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [int(opened.getsockname()[1]) for opened in sockets]
