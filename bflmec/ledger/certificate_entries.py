"""The entries of a certificate, whichever scheme it is of."""

from __future__ import annotations

from bflmec.crypto import xmss
from bflmec.crypto.wots import SIGNATURE_SIZE
from bflmec.errors import SignatureError
from bflmec.ledger.certificates import ENTRY_SIZE
from bflmec.ledger.deployment import Deployment
from bflmec.ledger.sender import Sender
from bflmec.ledger.xmss_certificates import HEAD_SIZE, Entry, XMSSCertificatesClient


def entries_of(certificate: bytes, block: bytes, deployment: Deployment, sender: Sender) -> tuple[bytes, ...]:
    """The entries of a certificate over a block's hash. Raises SignatureError if that is not what the bytes are."""
    if deployment.parameters.certificate_scheme == "xmss":
        return _hash_based(certificate, block, deployment, XMSSCertificatesClient(sender, deployment.certificates))
    if not certificate or len(certificate) % ENTRY_SIZE:
        raise SignatureError(f"a certificate is whole entries of {ENTRY_SIZE} bytes, not {len(certificate)} bytes")
    return tuple(certificate[start : start + ENTRY_SIZE] for start in range(0, len(certificate), ENTRY_SIZE))


def _hash_based(
    certificate: bytes, block: bytes, deployment: Deployment, trees: XMSSCertificatesClient
) -> tuple[bytes, ...]:
    entries = []
    while certificate:
        entry = _first(certificate, block, deployment, trees)
        entries.append(entry)
        certificate = certificate[len(entry) :]
    return tuple(entries)


def _first(certificate: bytes, block: bytes, deployment: Deployment, trees: XMSSCertificatesClient) -> bytes:
    """An entry does not say how high its tree was, and the account may have another one by now: the root tells."""
    for height in range(xmss.MIN_HEIGHT, xmss.MAX_HEIGHT + 1):
        data = certificate[: HEAD_SIZE + SIGNATURE_SIZE + 32 * height]
        entry = Entry.decode(data)
        root = entry.root(deployment.chain_id, deployment.certificates, deployment.ledger, block)
        if root == trees.root_at(entry.account, entry.epoch):
            return data
    raise SignatureError("the certificate holds no signature over that block")
