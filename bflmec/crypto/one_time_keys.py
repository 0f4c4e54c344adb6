"""A tree of one-time keys that signs: seed, tree and journal together, so that no key ever signs two messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bflmec.crypto import xmss
from bflmec.crypto.key_journal import KeyJournal
from bflmec.crypto.schemes import Unpicklable

SPARE: Final = 1
"""Keys kept back for the signature over the next tree."""


@dataclass(frozen=True, slots=True)
class OneTimeSignature:
    """A signature (2,144 bytes and 32 for each level), the key that made it and the salt that it chose."""

    index: int
    salt: int
    signature: bytes


class OneTimeKeys(Unpicklable):
    """The keys of one seed (32 bytes) in one context (24 bytes), kept in `folder`: the tree, and which keys were used.

    The first use makes the tree: three seconds at height 12, and twice that for each further level. `report` hears how
    many keys are ready. Several processes may share the folder. Raises KeystoreError if its files are damaged or
    readable by others.
    """

    def __init__(
        self, seed: bytes, context: bytes, height: int, folder: Path, report: Callable[[int], None] | None = None
    ) -> None:
        name = context.hex()
        self._seed = seed
        self._journal = KeyJournal(folder / f"{name}.keys", 1 << height)
        try:
            tree = xmss.load_tree(folder / f"{name}.tree", context, height)
            if tree is None:
                tree = xmss.grow(seed, context, height, report)
                xmss.save_tree(folder / f"{name}.tree", tree)
        except BaseException:
            self._journal.close()
            raise
        self._tree = tree

    @property
    def root(self) -> bytes:
        """The public key, 32 bytes."""
        return self._tree.root

    @property
    def height(self) -> int:
        return self._tree.height

    @property
    def remaining(self) -> int:
        """How many messages can still be signed, without the one for the next tree."""
        return max(0, (1 << self._tree.height) - self._journal.next_index - SPARE)

    def sign(self, asker: bytes, message: bytes, least: int = 0) -> OneTimeSignature:
        """Sign a message (32 bytes) for a contract (20 bytes), with a key from index `least` on. Signing it again gives
        the same signature, as long as its key is not below `least`. Raises KeysExhaustedError or KeystoreError."""
        return self._sign(asker, message, least, SPARE)

    def sign_successor(self, asker: bytes, message: bytes, least: int = 0) -> OneTimeSignature:
        """`sign`, with the last key if need be: for the message that names the next tree."""
        return self._sign(asker, message, least, 0)

    def close(self) -> None:
        self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _sign(self, asker: bytes, message: bytes, least: int, spare: int) -> OneTimeSignature:
        index = self._journal.reserve(sha256(asker + message).digest(), least, spare)
        context = self._tree.context
        salt = xmss.short_salt(context, index, asker, message)
        digest = xmss.message_digest(context, index, salt, asker, message)
        return OneTimeSignature(index, salt, xmss.sign(self._seed, self._tree, index, digest))
