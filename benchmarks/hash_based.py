"""What one-time signatures of edge nodes cost: CPU time of a tree, of a signature, of checking one.

python benchmarks/hash_based.py [HEIGHT]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from statistics import median

from bflmec.crypto import xmss
from bflmec.crypto.one_time_keys import OneTimeKeys

SEED, ASKER = bytes(range(32)), bytes([1]) * 20
CONTEXT = xmss.context_of(1, bytes([2]) * 20, bytes([3]) * 20, 1)
REPETITIONS = 200


def cpu(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def main(height: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        opened: list[OneTimeKeys] = []
        making = cpu(lambda: opened.append(OneTimeKeys(SEED, CONTEXT, height, Path(folder))))
        with opened[0] as keys:
            messages = [sha256(bytes([i])).digest() for i in range(min(REPETITIONS, keys.remaining))]
            signing, checking = [], []
            for message in messages:
                signing.append(cpu(lambda message=message: keys.sign(ASKER, message)))
                one = keys.sign(ASKER, message)
                digest = xmss.message_digest(CONTEXT, one.index, one.salt, ASKER, message)
                checking.append(
                    cpu(lambda one=one, digest=digest: xmss.recover(CONTEXT, one.index, digest, one.signature))
                )
        stored = sum(file.stat().st_size for file in Path(folder).iterdir())
    print(f"tree of height {height}: {1 << height} keys, {making:.1f} CPU s, {stored / 1000:.0f} kB on disk")
    print(f"signature: {30 + len(one.signature)} bytes with its head")
    print(f"sign:  {1000 * median(signing):.2f} CPU ms (median; salt, journal and check included)")
    print(f"check: {1000 * median(checking):.2f} CPU ms (median)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else xmss.DEFAULT_HEIGHT)
