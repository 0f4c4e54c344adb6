"""Trees of one-time keys: paths, roots, files."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bflmec.crypto import wots, xmss
from bflmec.errors import KeystoreError, SignatureError

SEED = bytes(range(32))
ASKER, ACCOUNT, CONTRACT = bytes([1]) * 20, bytes([2]) * 20, bytes([3]) * 20
CONTEXT = xmss.context_of(31337, CONTRACT, ACCOUNT, 1)
TREE = xmss.grow(SEED, CONTEXT, 4)
MESSAGE = sha256(b"block").digest()


def signed(leaf: int, message: bytes = MESSAGE) -> tuple[bytes, bytes]:
    """Digest and signature."""
    digest = xmss.message_digest(CONTEXT, leaf, 0, ASKER, message)
    return digest, xmss.sign(SEED, TREE, leaf, digest)


def test_root_is_the_hash_tree_over_all_keys() -> None:
    level = [wots.public_key(SEED, CONTEXT, leaf) for leaf in range(16)]
    for height in range(1, 5):
        level = [
            wots.keccak(CONTEXT + index.to_bytes(4, "big") + bytes([2, height, 0, 0]) + level[2 * index] + right)
            for index, right in enumerate(level[1::2])
        ]
    assert [TREE.root] == level


@pytest.mark.parametrize("leaf", range(16))
def test_every_key_signs(leaf: int) -> None:
    digest, signature = signed(leaf)
    assert len(signature) == 2144 + 4 * 32
    assert xmss.recover(CONTEXT, leaf, digest, signature) == TREE.root


def test_a_signature_holds_for_its_own_key_only() -> None:
    digest, signature = signed(5)
    assert all(xmss.recover(CONTEXT, leaf, digest, signature) != TREE.root for leaf in range(32) if leaf != 5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 8 * (2144 + 128) - 1))
def test_a_flipped_bit_leads_to_another_root(bit: int) -> None:
    digest, signature = signed(9)
    damaged = bytearray(signature)
    damaged[bit // 8] ^= 1 << bit % 8
    assert xmss.recover(CONTEXT, 9, digest, bytes(damaged)) != TREE.root


@settings(max_examples=15, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(0, 15))
def test_short_salt_makes_verification_short(message: bytes, leaf: int) -> None:
    salt = xmss.short_salt(CONTEXT, leaf, ASKER, message)
    assert salt == xmss.short_salt(CONTEXT, leaf, ASKER, message)
    assert wots.steps(xmss.message_digest(CONTEXT, leaf, salt, ASKER, message)) <= xmss.SHORT


def test_message_digest_binds_everything() -> None:
    other = xmss.context_of(1, CONTRACT, ACCOUNT, 1)
    digests = {
        xmss.message_digest(CONTEXT, 0, 0, ASKER, MESSAGE),
        xmss.message_digest(other, 0, 0, ASKER, MESSAGE),
        xmss.message_digest(CONTEXT, 1, 0, ASKER, MESSAGE),
        xmss.message_digest(CONTEXT, 0, 1, ASKER, MESSAGE),
        xmss.message_digest(CONTEXT, 0, 0, CONTRACT, MESSAGE),
        xmss.message_digest(CONTEXT, 0, 0, ASKER, bytes(32)),
    }
    assert len(digests) == 6


def test_context_binds_chain_contract_account_and_epoch() -> None:
    places = [(1, CONTRACT, ACCOUNT, 1), (2, CONTRACT, ACCOUNT, 1), (1, ASKER, ACCOUNT, 1), (1, CONTRACT, ASKER, 1)]
    assert len({xmss.context_of(*place) for place in [*places, (1, CONTRACT, ACCOUNT, 2)]}) == 5


@pytest.mark.parametrize("height", [0, 3, 21])
def test_grow_refuses_an_impossible_height(height: int) -> None:
    with pytest.raises(SignatureError, match="height of 4 to 20"):
        xmss.grow(SEED, CONTEXT, height)


@pytest.mark.parametrize(("seed", "context"), [(b"", CONTEXT), (SEED, b"")])
def test_grow_refuses_other_sizes(seed: bytes, context: bytes) -> None:
    with pytest.raises(SignatureError, match="seed of 32 bytes"):
        xmss.grow(seed, context, 4)


def test_grow_reports_every_key() -> None:
    ready: list[int] = []
    xmss.grow(SEED, CONTEXT, 4, ready.append)
    assert ready == list(range(1, 17))


@pytest.mark.parametrize("leaf", [-1, 16])
def test_sign_refuses_a_key_that_the_tree_does_not_have(leaf: int) -> None:
    with pytest.raises(SignatureError, match="no key"):
        xmss.sign(SEED, TREE, leaf, bytes(32))


def test_sign_gives_nothing_out_when_the_tree_is_damaged() -> None:
    damaged = xmss.Tree(CONTEXT, 4, bytes(32) + TREE.nodes[32:])
    with pytest.raises(SignatureError, match="damaged"):
        xmss.sign(SEED, damaged, 1, bytes(32))


@pytest.mark.parametrize("path", [1, 31, 33, 32 * 21])
def test_recover_refuses_a_path_of_another_size(path: int) -> None:
    digest, signature = signed(0)
    with pytest.raises(SignatureError):
        xmss.recover(CONTEXT, 0, digest, signature[:2144] + bytes(path))


def test_a_tree_survives_its_file(tmp_path: Path) -> None:
    xmss.save_tree(tmp_path / "t", TREE)
    assert xmss.load_tree(tmp_path / "t", CONTEXT, 4) == TREE
    assert (tmp_path / "t").stat().st_mode & 0o777 == 0o600


def test_a_missing_file_is_no_tree(tmp_path: Path) -> None:
    assert xmss.load_tree(tmp_path / "t", CONTEXT, 4) is None


@pytest.mark.parametrize("at", [0, 25, 44, 45, 46, 500, -1])
def test_a_changed_byte_of_the_file_is_noticed(tmp_path: Path, at: int) -> None:
    xmss.save_tree(tmp_path / "t", TREE)
    data = bytearray((tmp_path / "t").read_bytes())
    data[at] ^= 1
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(KeystoreError, match="damaged or of another tree"):
        xmss.load_tree(tmp_path / "t", CONTEXT, 4)


@pytest.mark.parametrize(("context", "height"), [(CONTEXT, 5), (CONTEXT[::-1], 4)])
def test_the_file_of_another_tree_is_noticed(tmp_path: Path, context: bytes, height: int) -> None:
    xmss.save_tree(tmp_path / "t", TREE)
    with pytest.raises(KeystoreError, match="damaged or of another tree"):
        xmss.load_tree(tmp_path / "t", context, height)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    xmss.save_tree(tmp_path / "t", TREE)
    (tmp_path / "t").chmod(0o640)
    with pytest.raises(KeystoreError, match="chmod 600"):
        xmss.load_tree(tmp_path / "t", CONTEXT, 4)
