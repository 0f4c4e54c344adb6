"""What a client must not lose: its state, and every local gradient that an edge node has promised to keep.

State and receipt change in one transaction: after a crash a local gradient is either pending, under a sequence number
whose attempts are all known, or filed with its receipt; never both, never neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bflmec.client.database import Database
from bflmec.errors import MessageError, WalletError
from bflmec.protocol.client_snapshot import ClientSnapshot
from bflmec.protocol.messages import Envelope, GradientHeader, Receipt, SignedHeader, decode, encode

_STATE = "client"
_ATTEMPT = "attempt"


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """A receipt that was checked, and the edge node's ML-DSA public key that it was checked against."""

    receipt: Receipt
    public_key: bytes


@dataclass(frozen=True, slots=True)
class FiledGradient:
    """A local gradient of this client that has a receipt.

    `envelope` is kept until it can't be needed any more. `block` is the ledger's block that records it, None while it
    waits. It is `superseded` if another one was recorded under its sequence number, which happens only to a wallet that
    was restored from a backup or copied.
    """

    digest: bytes
    header: GradientHeader
    signed: SignedHeader
    envelope: bytes | None
    receipts: tuple[KeptReceipt, ...]
    block: int | None
    superseded: bool


class WalletStore:
    """The client's part of the wallet's file. Raises WalletError like `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ---------------------------------------------------------------- the client's state

    def snapshot(self) -> ClientSnapshot | None:
        """The client's state as it was saved last. Raises MessageError if it is damaged."""
        data = self._database.get(_STATE)
        return None if data is None else ClientSnapshot.decode(data)

    def save(self, snapshot: ClientSnapshot) -> None:
        self._database.put(_STATE, snapshot.encode())

    def attempt(self) -> bytes | None:
        """The envelope that may have left under the present sequence number."""
        return self._database.get(_ATTEMPT) or None

    def save_attempt(self, snapshot: ClientSnapshot, envelope: bytes) -> None:
        """The state with an envelope that is about to leave."""
        with self._database.transaction():
            self.save(snapshot)
            self._database.put(_ATTEMPT, envelope)

    def begin_sequence(self, snapshot: ClientSnapshot) -> None:
        """The state under another sequence number, under which nothing was attempted yet."""
        with self._database.transaction():
            self.save(snapshot)
            self._database.put(_ATTEMPT, b"")

    def file(self, snapshot: ClientSnapshot, envelope: bytes, kept: KeptReceipt) -> None:
        """The state after a receipt, and what the receipt is for."""
        upload = decode(Envelope, envelope)
        header = GradientHeader.decode(upload.signed.header)
        with self._database.transaction():
            self.save(snapshot)
            self._database.put(_ATTEMPT, b"")
            self._database.run(
                "INSERT OR IGNORE INTO gradients (digest, sequence, signed, envelope) VALUES (?, ?, ?, ?)",
                header.digest,
                header.sequence,
                encode(upload.signed),
                envelope,
            )
            self.add_receipt(kept)

    # ---------------------------------------------------------------- local gradients with a receipt

    def add_receipt(self, kept: KeptReceipt) -> None:
        """One more edge node's promise for a filed local gradient."""
        self._database.run(
            "INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?)",
            kept.receipt.gradient,
            kept.receipt.edge_node,
            encode(kept.receipt),
            kept.public_key,
        )

    def settle(self, number: int) -> None:
        """Envelopes of what is recorded up to this block won't be needed any more."""
        self._database.run(
            "UPDATE gradients SET envelope = NULL WHERE envelope IS NOT NULL "
            "AND digest IN (SELECT digest FROM records WHERE block <= ?)",
            number,
        )

    def supersede(self, digest: bytes) -> None:
        """The ledger recorded another local gradient under this one's sequence number."""
        self._database.run("UPDATE gradients SET superseded = 1, envelope = NULL WHERE digest = ?", digest)

    def filed(self) -> list[FiledGradient]:
        """All local gradients with a receipt, in the order of their sequence numbers."""
        return self._filed("")

    def waiting(self) -> list[FiledGradient]:
        """Those that no block records yet."""
        return self._filed("WHERE block IS NULL AND NOT superseded")

    def count(self) -> tuple[int, int]:
        """How many local gradients have a receipt, and how many of them are recorded."""
        ((filed, recorded),) = self._database.rows(
            "SELECT COUNT(*), COUNT(block) FROM gradients LEFT JOIN records ON records.digest = gradients.digest"
        )
        return filed, recorded

    def _filed(self, condition: str) -> list[FiledGradient]:
        rows = self._database.rows(
            "SELECT gradients.digest, signed, envelope, block, superseded FROM gradients LEFT JOIN records "
            f"ON records.digest = gradients.digest {condition} ORDER BY sequence, gradients.digest"
        )
        try:
            return [self._gradient(row) for row in rows]
        except (MessageError, TypeError) as error:
            raise WalletError(f"the wallet's local gradients are damaged: {error}") from error

    def _gradient(self, row: tuple[Any, ...]) -> FiledGradient:
        digest, signed_bytes, envelope, block, superseded = row
        signed = decode(SignedHeader, signed_bytes)
        kept = self._database.rows(
            "SELECT receipt, public_key FROM receipts WHERE gradient = ? ORDER BY edge_node", digest
        )
        return FiledGradient(
            digest=digest,
            header=GradientHeader.decode(signed.header),
            signed=signed,
            envelope=envelope,
            receipts=tuple(KeptReceipt(decode(Receipt, data), key) for data, key in kept),
            block=block,
            superseded=bool(superseded),
        )
