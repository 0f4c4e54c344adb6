"""Raw transactions from outside: accepted forms, and refusals that change nothing."""

from __future__ import annotations

import pytest
import rlp
from chain_tools import ALICE, PROBE, RECIPIENT, address, genesis, legacy_transfer, ticking_clock, transfer
from eth_account import Account
from eth_keys import keys
from hypothesis import given, settings
from hypothesis import strategies as st

from bflmec.devchain import DevChain
from bflmec.devchain.transactions import MAX_TRANSACTION_SIZE, decode_transaction
from bflmec.errors import ChainError


@pytest.fixture(scope="module")
def chain() -> DevChain:
    return DevChain.create(None, genesis(), clock=ticking_clock())


def unprotected() -> bytes:
    """A legacy transaction signed without a chain id, as before EIP-155."""
    fields = [0, 10**10, 21_000, RECIPIENT, 1, b""]
    signature = keys.PrivateKey(bytes(ALICE.key)).sign_msg(rlp.encode(fields))
    return bytes(rlp.encode([*fields, signature.v + 27, signature.r, signature.s]))


def high_s() -> bytes:
    """The same transfer with the other one of the two valid signatures (EIP-2)."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    *fields, parity, r, s = rlp.decode(transfer(ALICE, 0)[1:])
    flipped = b"" if parity else b"\x01"
    return b"\x02" + bytes(rlp.encode([*fields, flipped, r, order - int.from_bytes(s, "big")]))


ACCESSED = {"address": "0x" + "11" * 20, "storageKeys": ["0x" + "00" * 32]}

REFUSED = {
    "empty": (b"", "malformed"),
    "noise": (b"\x99" * 40, "malformed"),
    "cut off": (transfer(ALICE, 0)[:-3], "malformed"),
    "trailing bytes": (transfer(ALICE, 0) + b"\0", "malformed"),
    "unknown type": (b"\x7f" + transfer(ALICE, 0)[1:], "malformed"),
    "blob": (b"\x03" + transfer(ALICE, 0)[1:], "blob transactions are not supported"),
    "too large": (transfer(ALICE, 0, data=bytes(MAX_TRANSACTION_SIZE), gas=30_000_000), "oversized"),
    "another chain": (transfer(ALICE, 0, chainId=1), "signed for chain 1, this is chain 1337"),
    "another chain, legacy": (legacy_transfer(ALICE, 0, chainId=5), "signed for chain 5"),
    "no chain": (unprotected(), "EIP-155"),
    "not enough gas": (transfer(ALICE, 0, gas=20_999), "intrinsic gas too low|Insufficient gas"),
    "below the calldata floor": (transfer(ALICE, 0, data=b"\1" * 1000, gas=40_000), "61000 needed"),
    "more gas than a block": (transfer(ALICE, 0, gas=30_000_001), "exceeds block gas limit"),
    "tip above fee": (transfer(ALICE, 0, maxPriorityFeePerGas=2 * 10**10), "higher than max fee"),
    "fee below base fee": (transfer(ALICE, 0, maxFeePerGas=10, maxPriorityFeePerGas=1), "less than block base fee"),
    "unaffordable": (transfer(ALICE, 0, value=10**24), "insufficient funds"),
    "no money": (transfer(Account.from_key(b"\x09" * 32), 0), "insufficient funds"),
    "nonce ahead": (transfer(ALICE, 1), "nonce too high"),
    "high s": (high_s(), "not valid now|malformed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(chain: DevChain, name: str) -> None:
    raw, reason = REFUSED[name]
    before = chain.head.hash, chain.next_nonce(address(ALICE))
    with pytest.raises(ChainError, match=reason):
        chain.send(raw)
    assert (chain.head.hash, chain.next_nonce(address(ALICE))) == before


def test_a_nonce_is_used_once() -> None:
    chain = DevChain.create(None, genesis(), clock=ticking_clock())
    chain.send(transfer(ALICE, 0))
    with pytest.raises(ChainError, match="nonce too low"):
        chain.send(transfer(ALICE, 0, value=2))
    with pytest.raises(ChainError, match="already known"):
        chain.send(transfer(ALICE, 0))


@pytest.mark.parametrize(
    "raw",
    [
        legacy_transfer(ALICE, 0),
        legacy_transfer(
            ALICE, 0, type=1, accessList=[{"address": "0x" + "11" * 20, "storageKeys": ["0x" + "00" * 32]}], gas=30_000
        ),
        transfer(ALICE, 0),
        transfer(ALICE, 0, to=b"", data=PROBE["bytecode"], gas=1_000_000, value=0),
        transfer(
            ALICE,
            0,
            gas=100_000,
            authorizationList=[ALICE.sign_authorization({"chainId": 1337, "address": RECIPIENT, "nonce": 1})],
        ),
    ],
    ids=["legacy", "access list", "dynamic fee", "creation", "set code"],
)
def test_accepted(raw: bytes) -> None:
    chain = DevChain.create(None, genesis(), clock=ticking_clock())
    position = chain.position(chain.send(raw))
    assert position is not None
    assert position.receipt.state_root == b"\x01"
    assert chain.verify() == 1


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_typed_error(raw: bytes) -> None:
    with pytest.raises(ChainError):
        decode_transaction(raw, 1337)


@settings(deadline=None)
@given(st.data())
def test_damaged_transactions_give_a_typed_error_or_another_transaction(data: st.DataObject) -> None:
    original = data.draw(st.sampled_from([transfer(ALICE, 0), legacy_transfer(ALICE, 0)]))
    position = data.draw(st.integers(0, len(original) - 1))
    damaged = bytearray(original)
    damaged[position] ^= data.draw(st.integers(1, 255))
    try:
        transaction = decode_transaction(bytes(damaged), 1337)
    except ChainError:
        return
    assert transaction.encode() == bytes(damaged)
    assert transaction.sender != address(ALICE)
