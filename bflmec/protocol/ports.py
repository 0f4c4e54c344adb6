"""What the protocol needs of its world. In a test each of these is a plain dictionary or a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from bflmec.storage.cid import Cid


class Anchor(NamedTuple):
    """A block with a global update: its number, its hash and the global gradient in its first transaction."""

    number: int
    hash: bytes
    content: Cid


class Blobs(Protocol):
    """Content-addressed storage of global gradients and block bodies; every storage has these two."""

    def put(self, data: bytes) -> Cid:
        """Stores a blob durably. Storing it again changes nothing."""
        ...

    def get(self, cid: Cid, limit: int) -> bytes:
        """The verified blob, at most `limit` bytes. Raises StorageError if it is missing, damaged or larger."""
        ...


class LedgerView(Protocol):
    """What a client reads from the ledger."""

    def head_number(self) -> int: ...

    def latest_anchor(self) -> Anchor: ...

    def anchor_at(self, number: int) -> Anchor | None:
        """The anchor in block `number`, or None if its first transaction is no global update."""
        ...


class Participants(Protocol):
    """The registry of clients and edge nodes."""

    def client_key_digest(self, account: bytes) -> bytes | None:
        """SHA-256 of the client's registered public key, or None if the account is no client."""
        ...

    def edge_nodes(self) -> Mapping[int, bytes]:
        """Accounts of the active edge nodes by id."""
        ...


class Signer(Protocol):
    """A private key of a signature scheme, bound to nothing but its bytes."""

    @property
    def public_key(self) -> bytes: ...

    def sign(self, message: bytes, context: bytes) -> bytes: ...


class Verifier(Protocol):
    """Checks a signature of the named scheme; false for malformed bytes, SignatureError for an unknown scheme."""

    def __call__(self, scheme: str, public_key: bytes, message: bytes, signature: bytes, context: bytes) -> bool: ...


class Certifier(Protocol):
    """How edge nodes certify a block for the ledger; mirrors ICertificates.sol."""

    def sign(self, block: bytes) -> bytes:
        """This edge node's certificate entry for the block hash."""
        ...

    def holds(self, block: bytes, account: bytes, entry: bytes) -> bool:
        """Whether `entry` is the account's for that block hash."""
        ...

    def assemble(self, entries: Mapping[bytes, bytes]) -> bytes:
        """The certificate of entries by account, in the form that the ledger takes."""
        ...
