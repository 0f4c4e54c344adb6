"""The settings of an edge node's service: one TOML file, `edge.toml`, in its directory."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from bflmec.errors import ConfigError

MAX_FILE: Final = 2**16

_Seconds = Annotated[float, Meta(ge=0.01, le=86400)]
_Count = Annotated[int, Meta(ge=1, le=100_000)]
_Bytes = Annotated[int, Meta(ge=2**20, le=2**44)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every key has a default; times in seconds, sizes in bytes."""

    host: Annotated[str, Meta(min_length=1, max_length=255)] = "127.0.0.1"
    """Address to listen on; 0.0.0.0 opens it to your network."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8600
    """0 chooses a free one."""
    tls_certificate: str = ""
    """PEM file with the certificate chain; empty: plain HTTP."""
    tls_key: str = ""
    """PEM file with its private key."""
    ipfs: str = ""
    """An IPFS daemon, such as http://127.0.0.1:5001, that global gradients and block bodies are put into, too."""
    final_after: Annotated[int, Meta(ge=1, le=1000)] = 12
    """Blocks of the ledger after which one is final; a deeper reorganisation of the host chain needs a hand."""
    patience: _Seconds = 20.0
    """How long a valid block of another edge node is given to reach the ledger before this one searches on."""
    review_timeout: _Seconds = 120.0
    """How long another edge node may take to answer a proposal."""
    pool_limit: _Bytes = 4 * 2**30
    """The cache pool on disk."""
    uploads_at_a_time: _Count = 256
    """Uploads that are read, verified or written at a time; more are answered with 503."""
    upload_memory: _Bytes = 256 * 2**20
    """What these may take up in memory; fewer are taken at a time if the model needs it."""
    slowest_upload: Annotated[float, Meta(ge=100)] = 20_000.0
    """Bytes a second; who sends more slowly is cut off."""
    lookups_per_second: Annotated[float, Meta(ge=0.1, le=10_000)] = 10.0
    """Questions to the ledger about accounts that are not known as clients."""
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def read_settings(path: Path) -> Settings:
    """Raises ConfigError that names what does not fit."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise ConfigError(f"{path} is too long for an edge node's settings")
        settings = msgspec.convert(tomllib.loads(data.decode()), Settings)
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}; `bflmec edge init` writes one") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} does not fit: {error}") from error
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise ConfigError(f"{path}: tls_certificate and tls_key go together")
    return settings


def template(host: str, port: int) -> str:
    """The file as `bflmec edge init` writes it."""
    return (
        "# Settings of this edge node's service; all keys: docs/how-to/run-an-edge-node.md\n"
        f'host = "{host}"\nport = {port}\n'
    )
