"""A client's entry in the registry of participants, and how its ML-DSA key is replaced."""

from __future__ import annotations

from bflmec.client.directory import WalletDirectory, WalletKeys
from bflmec.client.ledger_access import LedgerAccess
from bflmec.errors import NotRegisteredError, WalletError


def register(access: LedgerAccess, account: bytes, key_digest: bytes) -> bool:
    """See `Wallet.register`."""
    participants = access.client.participants
    registered = participants.client_key_digest(account)
    if registered == key_digest:
        return False
    if registered is None and not (participants.open_registration() or participants.is_client_allowed(account)):
        raise NotRegisteredError(
            f"0x{account.hex()} may not register yet; ask an operator of the ledger to allow this account"
        )
    participants.register_client(key_digest)
    return True


def rotate(
    directory: WalletDirectory, access: LedgerAccess, account: bytes, password: bytes | None, *, light: bool
) -> WalletKeys:
    """See `Wallet.rotate_key`. The new key is on disk before the ledger hears of it, and takes the old one's place
    after; whatever interrupts that, the key that the ledger names is never lost."""
    if password is None:
        password, light = directory.password(), True
    directory.begin_rotation(password, light=light)
    keys = directory.next_keys(password)
    if keys is None:
        raise WalletError(f"the next key has vanished from {directory.path}; try again")
    participants = access.client.participants
    if participants.client_key_digest(account) != keys.key_digest:
        participants.register_client(keys.key_digest)
    directory.finish_rotation()
    return keys
