"""Lines of log files, as far as they are complete."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

PAUSE = 0.25
_LINE_LIMIT = 1 << 16


def last_lines(path: Path, count: int) -> list[str]:
    """The last so many lines; none if there is no such file."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=count)]
    except FileNotFoundError:
        return []


def follow_lines(paths: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """(name, line) of what is written from now on, without end; files may appear later."""
    offsets = {name: path.stat().st_size if path.exists() else 0 for name, path in paths.items()}
    while True:
        for name, path in paths.items():
            if not path.exists():
                continue
            with path.open("rb") as file:
                file.seek(offsets[name])
                while (line := file.readline(_LINE_LIMIT)).endswith(b"\n") or len(line) == _LINE_LIMIT:
                    offsets[name] = file.tell()
                    yield name, line.decode(errors="replace").rstrip("\n")
        time.sleep(PAUSE)
