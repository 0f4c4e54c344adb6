"""Development accounts: funded in block 0, and known to everybody."""

from __future__ import annotations

from dataclasses import dataclass, field

from bflmec.devchain.genesis import Genesis
from bflmec.errors import ChainError

MNEMONIC = "test test test test test test test test test test test junk"  # what other development networks use, too
BALANCE = 10_000 * 10**18  # wei
MAX_ACCOUNTS = 100


@dataclass(frozen=True, slots=True)
class DevAccount:
    """20 and 32 bytes. The key is no secret: never use it on a network of value."""

    address: bytes
    key: bytes = field(repr=False)


def dev_accounts(count: int) -> tuple[DevAccount, ...]:
    """The first accounts of MNEMONIC at m/44'/60'/0'/0/i (BIP-44). Raises ChainError for more than MAX_ACCOUNTS."""
    from eth_account.hdaccount import key_from_seed, seed_from_mnemonic
    from eth_keys.datatypes import PrivateKey

    if not 0 <= count <= MAX_ACCOUNTS:
        raise ChainError(f"there are 0 to {MAX_ACCOUNTS} development accounts, not {count}")
    seed = seed_from_mnemonic(MNEMONIC, "")
    keys = [key_from_seed(seed, f"m/44'/60'/0'/0/{index}") for index in range(count)]
    return tuple(DevAccount(PrivateKey(key).public_key.to_canonical_address(), key) for key in keys)


def funded(genesis: Genesis) -> tuple[DevAccount, ...]:
    """The development accounts that block 0 gives ether to."""
    return tuple(account for account in dev_accounts(MAX_ACCOUNTS) if account.address in genesis.balances)
