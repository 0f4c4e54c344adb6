"""One edge node's way to another: an encrypted session that is opened, renewed and given up as needed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from bflmec.crypto.schemes import SigningKey
from bflmec.errors import EdgeUnavailableError, SessionError
from bflmec.ledger.participants import EdgeNode
from bflmec.transport.binding import Binding, Purpose
from bflmec.transport.edge_api import AsyncEdgeApi
from bflmec.transport.handshake import Initiation, encode_opening
from bflmec.transport.peer_messages import Answer, Request, decode_answer, encode
from bflmec.transport.sessions import Session

ASK_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class LinkIdentity:
    """Who this edge node is to its peers: registry id, ledger, and the ML-DSA key that signs handshakes."""

    edge_node: int
    chain_id: int
    ledger: bytes
    key: SigningKey


class Link:
    """Asks one peer. `verify` is httpx's, for TLS. Raises EdgeUnavailableError if the registered endpoint is no URL."""

    def __init__(self, identity: LinkIdentity, peer: EdgeNode, longest: float, verify: Any = True) -> None:
        self.peer = peer
        self._identity = identity
        self._api = AsyncEdgeApi(peer.endpoint, timeout=longest, verify=verify)
        self._session: Session | None = None
        self._opening = asyncio.Lock()

    async def ask(self, request: Request, timeout: float = ASK_SECONDS) -> Answer:
        """The peer's answer; a session that the peer has lost is opened anew.

        Raises EdgeUnavailableError if it does not answer in time, SessionError if it refuses, EncryptionError or
        MessageError if its answer is none.
        """
        data = encode(request)
        try:
            async with asyncio.timeout(timeout):
                session = await self._live_session(None)
                try:
                    return await self._send(session, data)
                except SessionError:
                    return await self._send(await self._live_session(session), data)
        except TimeoutError:
            raise EdgeUnavailableError(f"edge node {self.peer.id} does not answer within {timeout} s") from None

    async def _send(self, session: Session, data: bytes) -> Answer:
        counter, message = session.encrypt(data)
        return decode_answer(session.decrypt(counter, await self._api.message(message)))

    async def _live_session(self, refused: Session | None) -> Session:
        """The session, opened if there is none but the refused one."""
        async with self._opening:
            if self._session is None or self._session is refused or self._session.is_over(monotonic()):
                self._session = None
                self._session = await self._open()
            return self._session

    async def _open(self) -> Session:
        info = await self._api.node()
        recipient = info.recipient(self.peer.signature_key_digest, self.peer.encapsulation_key_digest)
        own = self._identity
        binding = Binding(own.chain_id, own.ledger, self.peer.id, Purpose.SESSION)
        initiation = Initiation(own.edge_node, own.key, binding, recipient.encapsulation_key, info.challenge_bytes)
        answer = await self._api.open_session(encode_opening(initiation.opening))
        return Session(initiation.finish(answer), monotonic())

    async def close(self) -> None:
        await self._api.close()
