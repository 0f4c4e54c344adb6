"""Edge nodes with trees of one-time keys, for the contract tests.

A tree as high as in use takes seconds to make. These have 16 real keys, the leftmost ones; the siblings above them are
arbitrary, which no verifier can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from consortium import Append, Chain, Consortium, digest
from web3.contract import Contract

from bflmec.crypto import wots, xmss
from bflmec.crypto.one_time_keys import OneTimeSignature
from bflmec.ledger.xmss_certificates import Entry

REAL = 4


@dataclass
class HashSigner:
    """One account and its keys in a certificates contract, of which the next unused one signs."""

    account: bytes
    contract: bytes
    chain_id: int
    height: int = REAL
    epoch: int = 1
    next_index: int = 0
    tree: xmss.Tree = field(init=False)

    def __post_init__(self) -> None:
        context = xmss.context_of(self.chain_id, self.contract, self.account, self.epoch)
        self.tree = xmss.grow(self.seed, context, REAL)

    @property
    def seed(self) -> bytes:
        return digest("seed", self.account)

    @property
    def above(self) -> bytes:
        """Siblings between the real keys and the root."""
        return b"".join(digest("sibling", level) for level in range(self.height - REAL))

    @property
    def root(self) -> bytes:
        node, context = self.tree.root, self.tree.context
        for level in range(REAL + 1, self.height + 1):
            sibling = digest("sibling", level - REAL - 1)
            node = wots.keccak(wots.tweak(context, wots.NODE, 0, level) + node + sibling)
        return node

    def entry(self, asker: bytes, message: bytes, index: int | None = None) -> bytes:
        """The next key's signature, or that of key `index`."""
        if index is None:
            index, self.next_index = self.next_index, self.next_index + 1
        context = self.tree.context
        salt = xmss.short_salt(context, index, asker, message)
        signed = xmss.sign(self.seed, self.tree, index, xmss.message_digest(context, index, salt, asker, message))
        return Entry(self.account, self.epoch, OneTimeSignature(index, salt, signed + self.above)).encode()


def signer(contract: Contract, account: bytes, height: int = REAL, epoch: int = 1) -> HashSigner:
    return HashSigner(account, bytes.fromhex(contract.address[2:]), int(contract.w3.eth.chain_id), height, epoch)


def certify(signers: Sequence[HashSigner], asker: bytes, message: bytes) -> bytes:
    ordered = sorted(signers, key=lambda one: one.account)
    return b"".join(one.entry(asker, message) for one in ordered)


@dataclass
class HashConsortium:
    """A consortium whose edge nodes certify with one-time keys."""

    base: Consortium
    signers: list[HashSigner]

    @classmethod
    def found(cls, chain: Chain, edge_nodes: int = 2, height: int = REAL, **changes: object) -> HashConsortium:
        base = Consortium.found(chain, edge_nodes, certificates="XMSSCertificates", **changes)
        accounts = [key.public_key.to_canonical_address() for key in base.keys]
        signers = [signer(base.certificates, account, height) for account in accounts]
        for one in signers:
            chain.send(base.certificates.functions.enroll(one.account, one.root, height))
        return cls(base, signers)

    @property
    def ledger(self) -> bytes:
        return bytes.fromhex(self.base.ledger.address[2:])

    def certified(self, block: Append, signers: Sequence[HashSigner] | None = None) -> Append:
        certificate = certify(self.signers if signers is None else signers, self.ledger, block.header.hash)
        return Append(block.header, block.nonce, block.transactions, block.rewards, certificate)
