"""The certifier of an edge node, for the kind of certificates that its ledger was deployed with."""

from __future__ import annotations

from pathlib import Path

from bflmec.crypto.keys import account_address
from bflmec.ledger.certificate_entries import entries_of
from bflmec.ledger.certificates import ECDSACertifier, signers
from bflmec.ledger.client import LedgerClient
from bflmec.ledger.events import RecordedBlock
from bflmec.ledger.xmss_certificates import CertificateKeys, Entry, XMSSCertificatesClient, XMSSCertifier


def create_certifier(
    ledger: LedgerClient, account_key: bytes, seed: bytes, folder: Path
) -> XMSSCertifier | ECDSACertifier:
    """Certifies blocks of that ledger. One-time keys follow from `seed` (32 bytes) and keep their journal in `folder`;
    with ECDSA certificates it is the account's key (32 bytes) that signs, and neither is used."""
    if ledger.deployment.parameters.certificate_scheme == "ecdsa":
        return ECDSACertifier(account_key)
    keys = certificate_keys(ledger, account_address(account_key), seed, folder)
    return XMSSCertifier(keys, trees_of(ledger), ledger.deployment.ledger)


def certificate_keys(ledger: LedgerClient, account: bytes, seed: bytes, folder: Path) -> CertificateKeys:
    """Where an edge node's one-time keys live."""
    place = ledger.deployment
    return CertificateKeys(place.chain_id, place.certificates, account, seed, folder)


def trees_of(ledger: LedgerClient) -> XMSSCertificatesClient:
    """The contract that knows all edge nodes' trees."""
    return XMSSCertificatesClient(ledger.sender, ledger.deployment.certificates)


def enroll_tree(ledger: LedgerClient, keys: CertificateKeys, height: int) -> None:
    """Give an edge node its first tree, unless it has one (the registry's owner)."""
    trees = trees_of(ledger)
    if trees.tree(keys.account).epoch:
        return
    with keys.open(1, height) as opened:
        trees.enroll(keys.account, opened.root, height)


def signers_of(ledger: LedgerClient, recorded: RecordedBlock) -> tuple[bytes, ...]:
    """Accounts of the edge nodes in a recorded block's certificate, ascending; every signature is checked.

    Raises SignatureError if one does not hold, LedgerError if the certificate can't be read.
    """
    certificate, block = ledger.certificate(recorded), recorded.block.header.hash
    if ledger.deployment.parameters.certificate_scheme == "ecdsa":
        return signers(block, certificate)
    entries = entries_of(certificate, block, ledger.deployment, ledger.sender)
    return tuple(Entry.decode(entry).account for entry in entries)
