"""A deployed ledger on an embedded chain in memory, with blocks to append to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3

from bflmec.crypto.seal import search
from bflmec.devchain import DevChain, DevChainProvider, Genesis
from bflmec.ledger.certificates import ECDSACertifier
from bflmec.ledger.client import Appended, LedgerClient
from bflmec.ledger.deployment import Deployment, DeploymentParameters, deploy
from bflmec.protocol import merkle
from bflmec.protocol.blocks import ZERO_DIGEST, Header, Reward, SealedBlock, Transaction, transactions_hash
from bflmec.storage.cid import RAW, Cid

ACCOUNTS: list[LocalAccount] = [Account.from_key(bytes([index] * 32)) for index in range(1, 7)]
OWNER, FIRST, SECOND, CLIENT, STRANGER = ACCOUNTS[:5]
BASE = 100 * 10**18
PARAMETERS = DeploymentParameters(
    difficulty=8,
    aggregation_threshold=3,
    max_transactions=40,
    base_reward=BASE,
    miner_reward=0,
    rules_digest=sha256(b"rules").digest(),
    genesis=Cid(RAW, sha256(b"genesis").digest()),
)


def address(account: LocalAccount) -> bytes:
    return bytes.fromhex(account.address[2:])


def digest(*parts: object) -> bytes:
    return sha256(repr(parts).encode()).digest()


def start_chain(file: Path | None = None) -> DevChain:
    balances = {address(account): 10**24 for account in ACCOUNTS}
    return DevChain.create(file, Genesis(timestamp=1_700_000_000, difficulty=4, balances=balances))


@dataclass
class World:
    """Two edge nodes (FIRST, SECOND) on a ledger that OWNER deployed; appends go through FIRST's client."""

    chain: DevChain
    w3: Web3
    deployment: Deployment
    client: LedgerClient
    certifiers: list[ECDSACertifier]
    balances: dict[bytes, int] = field(default_factory=dict)

    @classmethod
    def start(cls, file: Path | None = None, **changes: Any) -> World:
        chain = start_chain(file)
        w3 = Web3(DevChainProvider(chain))
        deployment = deploy(w3, OWNER, replace(PARAMETERS, **changes))
        owner = LedgerClient(w3, deployment, OWNER)
        for account in (FIRST, SECOND):
            owner.participants.admit_edge_node(
                address(account), digest("ml-dsa", account.address), digest("ml-kem", account.address), "https://edge"
            )
        certifiers = [ECDSACertifier(bytes(account.key)) for account in (FIRST, SECOND)]
        return cls(chain, w3, deployment, LedgerClient(w3, deployment, FIRST), certifiers)

    def as_(self, account: LocalAccount) -> LedgerClient:
        return LedgerClient(self.w3, self.deployment, account)

    def block(self, count: int = 1, **changes: Any) -> SealedBlock:
        """The sealed next block of `count` transactions; a due global update rewards its clients equally."""
        head, (root, total), parameters = self.client.head(), self.client.rewards(), self.deployment.parameters
        transactions = tuple(
            Transaction(digest("client", i)[:20], 1, digest("gradient", head.number, i), digest("signature", i))
            for i in range(count)
        )
        is_update = head.pending + count >= parameters.aggregation_threshold
        rewards = tuple(_shares(transactions)) if is_update else ()
        header = Header(
            parent=head.hash,
            number=head.number + 1,
            anchor=head.number + 1 if is_update else head.anchor,
            edge_node=address(FIRST),
            transactions_hash=transactions_hash(transactions),
            transaction_count=count,
            body_digest=digest("body", head.number),
            global_digest=digest("global", head.number) if is_update else ZERO_DIGEST,
            global_codec=RAW if is_update else 0,
            rewards_root=merkle.root(self._after(rewards)) if is_update else root,
            rewards_total=total + sum(reward.amount for reward in rewards),
        )
        header = replace(header, **changes)
        nonce = search(header.hash, parameters.difficulty, 0, 1 << 20)
        assert nonce is not None
        return SealedBlock(header, nonce, transactions, rewards)

    def certificate(self, block: SealedBlock) -> bytes:
        entries = {certifier.account: certifier.sign(block.header.hash) for certifier in self.certifiers}
        return self.certifiers[0].assemble(entries)

    def append(self, block: SealedBlock) -> Appended:
        appended = self.client.append(block, self.certificate(block))
        self.balances = self._after(block.rewards)
        return appended

    def grow(self, *counts: int) -> list[SealedBlock]:
        """Append blocks of that many transactions."""
        blocks = []
        for count in counts:
            blocks.append(self.block(count))
            self.append(blocks[-1])
        return blocks

    def _after(self, rewards: Sequence[Reward]) -> dict[bytes, int]:
        balances = dict(self.balances)
        for reward in rewards:
            balances[reward.account] = balances.get(reward.account, 0) + reward.amount
        return balances


def _shares(transactions: Sequence[Transaction]) -> list[Reward]:
    each = BASE // len(transactions)
    amounts = [each] * (len(transactions) - 1)
    return [
        Reward(transaction.client, amount)
        for transaction, amount in zip(transactions, [*amounts, BASE - sum(amounts)], strict=True)
    ]
