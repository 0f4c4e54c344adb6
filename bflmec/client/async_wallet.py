"""The wallet SDK for asyncio: the methods of `Wallet`, none of which holds up the event loop.

    async with await AsyncWallet.open("wallet") as wallet:
        gradient = await wallet.latest_global_gradient()
        await wallet.submit(weights=await train(gradient.weights))

The work is done by a `Wallet` in threads of its own. If an awaited call is cancelled, what it began is finished all the
same, and nothing is half done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from bflmec.client.audit_proof import AuditProof
from bflmec.client.filing import Filed
from bflmec.client.status import WalletStatus
from bflmec.client.store import FiledGradient
from bflmec.client.wallet import PATIENCE, GlobalGradient, Wallet

P = ParamSpec("P")
R = TypeVar("R")
_THREADS = 4


class AsyncWallet:
    """Errors, units and shapes are those of `Wallet`."""

    def __init__(self, wallet: Wallet) -> None:
        """Takes over a wallet, and closes it in the end."""
        self.wallet = wallet
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="bflmec-wallet")

    @classmethod
    async def open(
        cls,
        path: str | Path,
        password: bytes | None = None,
        *,
        network: str | None = None,
        deployment: Path | None = None,
        config: Path | None = None,
        patience: float = PATIENCE,
        timeout: float = 30.0,
    ) -> Self:
        """As `Wallet.open`."""
        opening = partial(
            Wallet.open,
            path,
            password,
            network=network,
            deployment=deployment,
            config=config,
            patience=patience,
            timeout=timeout,
        )
        return cls(await asyncio.to_thread(opening))

    async def register(self) -> bool:
        return await self._run(self.wallet.register)

    async def rotate_key(self, password: bytes | None = None, *, light: bool = False) -> bytes:
        return await self._run(self.wallet.rotate_key, password, light=light)

    async def latest_global_gradient(self) -> GlobalGradient:
        return await self._run(self.wallet.latest_global_gradient)

    async def submit(
        self, *, weights: NDArray[np.float32] | None = None, delta: NDArray[np.float32] | None = None
    ) -> Filed:
        return await self._run(self.wallet.submit, weights=weights, delta=delta)

    async def send_pending(self) -> Filed | None:
        return await self._run(self.wallet.send_pending)

    async def watch(self) -> list[FiledGradient]:
        return await self._run(self.wallet.watch)

    async def balance(self) -> int:
        return await self._run(self.wallet.balance)

    async def claimable(self) -> int:
        return await self._run(self.wallet.claimable)

    async def claim(self) -> int:
        return await self._run(self.wallet.claim)

    async def audit_proof(self) -> AuditProof:
        return await self._run(self.wallet.audit_proof)

    async def status(self) -> WalletStatus:
        return await self._run(self.wallet.status)

    async def close(self) -> None:
        """Waits for what was begun, then lets go of the wallet."""
        await asyncio.to_thread(self._threads.shutdown)
        self.wallet.close()

    async def _run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **kwargs))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
