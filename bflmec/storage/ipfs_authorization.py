"""What an IPFS daemon wants to see before it obeys: Kubo's `API.Authorizations`, in Kubo's own notation.

    bearer:TOKEN            basic:USER:PASSWORD

https://github.com/ipfs/kubo/blob/master/docs/config.md#apiauthorizations
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bflmec.errors import StorageError

SECRET_VARIABLE: Final = "BFLMEC_IPFS_AUTH"
FILE_VARIABLE: Final = "BFLMEC_IPFS_AUTH_FILE"
_MAX_SIZE: Final = 4096


@dataclass(frozen=True, slots=True)
class Authorization:
    """A secret; `header` is what HTTP carries of it. Neither repr nor any error message shows it."""

    header: str = field(repr=False)

    @classmethod
    def parse(cls, secret: str) -> Authorization:
        """From "bearer:TOKEN" or "basic:USER:PASSWORD". Raises StorageError on anything else."""
        kind, _, value = secret.partition(":")
        user, colon, _ = value.partition(":")
        if len(secret) > _MAX_SIZE or not value.isprintable():
            raise StorageError("the IPFS daemon's secret must be one line of at most 4096 printable characters")
        if kind == "bearer" and value.isascii() and value and " " not in value:
            return cls(f"Bearer {value}")
        if kind == "basic" and user and colon:
            return cls("Basic " + base64.b64encode(value.encode()).decode())
        raise StorageError("write the IPFS daemon's secret as bearer:TOKEN or basic:USER:PASSWORD")

    @classmethod
    def from_file(cls, path: Path) -> Authorization:
        """From a file that only its owner may read, a line break at its end left out. Raises StorageError otherwise."""
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(_MAX_SIZE + 1)
        except OSError as error:
            raise StorageError(f"can't read the IPFS daemon's secret from {path}: {error.strerror}") from error
        if stat.S_IMODE(mode) & 0o077:
            raise StorageError(f"others may read the IPFS daemon's secret in {path}; run: chmod 600 {path}")
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise StorageError(f"the IPFS daemon's secret in {path} is not UTF-8 text") from None
        return cls.parse(text.removesuffix("\n").removesuffix("\r"))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Authorization | None:
        """From $BFLMEC_IPFS_AUTH_FILE, which names a file, or $BFLMEC_IPFS_AUTH. None if neither is set."""
        if environment.get(FILE_VARIABLE):
            return cls.from_file(Path(environment[FILE_VARIABLE]))
        if environment.get(SECRET_VARIABLE):
            return cls.parse(environment[SECRET_VARIABLE])
        return None
