"""The process that searches nonces for an edge node: `python -m bflmec.edge.nonce_search`.

It reads a line `digest difficulty` (hex, decimal) and answers with `digest nonce`; another line makes it drop what it
searched for, `stop` makes it wait, and the end of its input, as when its edge node dies, ends it.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import sys

from bflmec.crypto.seal import NONCE_LIMIT, search

CHUNK = 20_000
"""Nonces between two looks at the input: some hundredths of a second."""


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the edge node ends in order
    os.nice(5)
    task: tuple[bytes, int, int] | None = None
    received = b""
    while True:
        if task is None or select.select([0], [], [], 0)[0]:
            data = os.read(0, 4096)
            if not data:
                return
            *lines, received = (received + data).split(b"\n")
            if lines:
                task = _task(lines[-1])
        else:
            task = _searched(*task)


def _task(line: bytes) -> tuple[bytes, int, int] | None:
    words = line.split()
    if len(words) != 2:
        return None
    # A random start: two edge nodes that seal the same digest, or one that begins again, do not repeat each other.
    return bytes.fromhex(words[0].decode()), int(words[1]), secrets.randbelow(NONCE_LIMIT // 2)


def _searched(digest: bytes, difficulty: int, start: int) -> tuple[bytes, int, int] | None:
    nonce = search(digest, difficulty, start, CHUNK)
    if nonce is None:
        return digest, difficulty, start + CHUNK
    sys.stdout.write(f"{digest.hex()} {nonce}\n")
    sys.stdout.flush()
    return None


if __name__ == "__main__":
    main()
