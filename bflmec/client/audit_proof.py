"""An audit proof: one JSON document by which a client shows what it has contributed and earned, to anybody.

It holds the client's signed local gradient headers (never a local gradient), the edge nodes' receipts, the blocks that
record the headers, and a Merkle proof of all that the client has earned. Everything but two things can be checked
with the document alone: that the blocks are the ledger's, and that the keys are the registered ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from bflmec.client.store import FiledGradient
from bflmec.errors import LedgerError, MessageError
from bflmec.protocol import merkle
from bflmec.protocol.blocks import Header, SealedBlock, Transaction, decode_transactions, encode_transactions
from bflmec.protocol.messages import Receipt, SignedHeader

FORMAT: Final = "BFL-MEC/audit-proof/v1"
MAX_DOCUMENT: Final = 1 << 28

_Hex = Annotated[str, Meta(pattern=r"\A0x([0-9a-f]{2})*\Z", max_length=1 << 20)]
_Account = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{40}\Z")]
_Digest = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{64}\Z")]
_Amount = Annotated[str, Meta(pattern=r"\A(0|[1-9][0-9]{0,38})\Z")]
_Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ReceiptProof(_Strict, frozen=True):
    """An edge node's promise to keep a local gradient, and the ML-DSA public key that it signed with."""

    edge_node: Annotated[int, Meta(ge=1, lt=2**16)]
    signature: _Hex
    public_key: _Hex

    def receipt(self, gradient: bytes) -> Receipt:
        return Receipt(self.edge_node, gradient, unhex(self.signature))


class GradientProof(_Strict, frozen=True):
    """A signed local gradient header, its receipts, and the number of the block that records it, if one does."""

    header: _Hex
    scheme: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9-]{1,32}\Z")]
    signature: _Hex
    public_key: _Hex
    receipts: tuple[ReceiptProof, ...]
    block: _Number | None

    def signed(self) -> SignedHeader:
        return SignedHeader(unhex(self.header), self.scheme, unhex(self.signature), unhex(self.public_key))


class BlockProof(_Strict, frozen=True):
    """A block as far as the ledger's hash of it covers: header (352 bytes) and transaction set."""

    header: _Hex
    transactions: _Hex

    @classmethod
    def of(cls, block: SealedBlock) -> BlockProof:
        return cls(hexed(block.header.encode()), hexed(encode_transactions(block.transactions)))

    def parts(self) -> tuple[Header, list[Transaction]]:
        """Raises MessageError if it is not canonical."""
        return Header.decode(unhex(self.header)), decode_transactions(unhex(self.transactions))


class RewardProof(_Strict, frozen=True):
    """All that the client had earned after a block, in the token's smallest unit, the siblings that lead from there to
    the block's rewards root, and the block's header."""

    cumulative: _Amount
    siblings: tuple[_Digest, ...]
    header: _Hex


class AuditProof(_Strict, frozen=True):
    """The document. `reward` is None for a client that was never paid."""

    format: str
    chain_id: _Number
    ledger: _Account
    client: _Account
    gradients: tuple[GradientProof, ...]
    blocks: tuple[BlockProof, ...]
    reward: RewardProof | None

    def encode(self) -> bytes:
        """Indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> AuditProof:
        """Raises MessageError unless `data` is an audit proof; whether it holds is for `verify_audit_proof` to say."""
        if len(data) > MAX_DOCUMENT:
            raise MessageError(f"{len(data)} bytes are more than any audit proof has")
        try:
            proof = msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise MessageError(f"not an audit proof: {error}") from error
        if proof.format != FORMAT:
            raise MessageError(f"the audit proof has the format {proof.format!r}, which is not {FORMAT!r}")
        return proof


def gradient_proofs(filed: Iterable[FiledGradient]) -> tuple[GradientProof, ...]:
    """What a wallet knows of its local gradients, for the document."""
    return tuple(
        GradientProof(
            header=hexed(gradient.signed.header),
            scheme=gradient.signed.scheme,
            signature=hexed(gradient.signed.signature),
            public_key=hexed(gradient.signed.public_key),
            receipts=tuple(
                ReceiptProof(kept.receipt.edge_node, hexed(kept.receipt.signature), hexed(kept.public_key))
                for kept in gradient.receipts
            ),
            block=gradient.block,
        )
        for gradient in filed
    )


def reward_proof(account: bytes, balances: Mapping[bytes, int], newest: SealedBlock | None) -> RewardProof:
    """The account's cumulative reward after the block `newest`, whose rewards root is over `balances`. Raises
    LedgerError if the block was just taken away."""
    if newest is None:
        raise LedgerError("the chain is being reorganised; try again")
    siblings = merkle.proof(balances, account)
    return RewardProof(str(balances[account]), tuple(map(hexed, siblings)), hexed(newest.header.encode()))


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def unhex(text: str) -> bytes:
    return bytes.fromhex(text[2:])
