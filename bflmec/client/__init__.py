"""The wallet SDK and the client worker: what a device embeds to take part in a ledger.

    from bflmec.client import ArraySource, Wallet, Worker

    with Wallet.open("wallet") as wallet:
        wallet.register()
        Worker(wallet).run(ArraySource(x, y))     Algorithm 2 on the device's own samples
        wallet.claim()

`AsyncWallet` and `AsyncWorker` are the same for asyncio.
"""

from bflmec.client.async_wallet import AsyncWallet
from bflmec.client.async_worker import AsyncWorker
from bflmec.client.audit import AuditReport, verify_audit_proof
from bflmec.client.audit_proof import AuditProof
from bflmec.client.directory import WalletDirectory, WalletSettings
from bflmec.client.filing import Filed
from bflmec.client.sources import ArraySource, DataSource, LoaderSource, QueueSource
from bflmec.client.status import WalletStatus
from bflmec.client.wallet import GlobalGradient, Wallet
from bflmec.client.worker import Progress, Worker

__all__ = [
    "ArraySource",
    "AsyncWallet",
    "AsyncWorker",
    "AuditProof",
    "AuditReport",
    "DataSource",
    "Filed",
    "GlobalGradient",
    "LoaderSource",
    "Progress",
    "QueueSource",
    "Wallet",
    "WalletDirectory",
    "WalletSettings",
    "WalletStatus",
    "Worker",
    "verify_audit_proof",
]
