"""The one signature scheme that a ledger's clients use."""

from __future__ import annotations

from bflmec.crypto.schemes import SignatureScheme
from bflmec.protocol.ports import Verifier


def verifier_of(own: SignatureScheme) -> Verifier:
    """Checks signatures of that one scheme; those of any other do not hold."""

    def verify(scheme: str, public_key: bytes, message: bytes, signature: bytes, context: bytes) -> bool:
        return scheme == own.name and own.verify(public_key, message, signature, context)

    return verify
