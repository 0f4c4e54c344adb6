"""The metrics of a run: JSON lines, one a block and one summary at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec

from bflmec.errors import RunDirectoryError
from bflmec.files import write_all, write_atomically

Amount = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,40}\Z")]
"""An amount in the token's smallest unit, which many readers of JSON would round as a number."""


class UpdateMetrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One global update, and its reward list by account in hex."""

    accuracy: float
    client_accuracy: float
    outcome: str
    high: int
    low: int
    rewards: dict[str, Amount]


class BlockMetrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="block", tag_field="kind"):
    """One block of the ledger, appended at `time` seconds of virtual time by the edge node of that id."""

    number: int
    time: float
    hash: str
    edge_node: int
    transactions: int
    gas: int
    update: UpdateMetrics | None = None


class Summary(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="summary", tag_field="kind"):
    """What a finished run comes to; `measurements` as in `bflmec.simulation.measurements`."""

    aggregations: int
    blocks: int
    local_gradients: int
    time: float
    accuracy: float
    client_accuracy: float
    rewards: Amount
    cpu_seconds: float
    peak_memory: int
    measurements: dict[str, Any]


_decoder: msgspec.json.Decoder[BlockMetrics | Summary] = msgspec.json.Decoder(BlockMetrics | Summary)
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True)
class Metrics:
    """The lines of a metrics file."""

    blocks: tuple[BlockMetrics, ...]
    summary: Summary | None

    @property
    def updates(self) -> Iterator[tuple[BlockMetrics, UpdateMetrics]]:
        return ((block, block.update) for block in self.blocks if block.update is not None)


def read_metrics(path: Path) -> Metrics:
    """The complete lines of the file; a torn last line, left by a crash, counts as not written.

    Raises RunDirectoryError if a line is no metrics line.
    """
    blocks: list[BlockMetrics] = []
    summary = None
    for number, line in enumerate(_complete_lines(path), start=1):
        try:
            entry = _decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RunDirectoryError(f"{path}, line {number}: {error}; delete the file and resume the run") from error
        if isinstance(entry, Summary):
            summary = entry
        else:
            blocks.append(entry)
    return Metrics(tuple(blocks), summary)


def _complete_lines(path: Path) -> list[bytes]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunDirectoryError(f"can't read {path}: {error.strerror}") from error
    return data[: data.rfind(b"\n") + 1].splitlines()


class MetricsWriter:
    """Appends to a metrics file. Lines that it has of blocks up to number `recorded` are skipped, so that a resumed run
    adds only what is new; until there is something new the file stays as it is.

    Raises RunDirectoryError if the file is damaged or can't be written.
    """

    def __init__(self, path: Path, recorded: int = 0) -> None:
        # A power cut may take the newest blocks from the chain file, and leave their lines here.
        self.blocks = list(read_metrics(path).blocks[:recorded])
        self._path = path
        self._file: BinaryIO | None = None
        self._next = 1

    @property
    def has_written(self) -> bool:
        """Whether the file has changed."""
        return self._file is not None

    def has_next(self) -> bool:
        """Whether the next block's line is there already."""
        return self._next <= len(self.blocks)

    def block(self, line: BlockMetrics) -> None:
        self._write(line)
        self.blocks.append(line)
        self._next += 1

    def skip(self, block_hash: bytes) -> BlockMetrics:
        """Passes over the next line. Raises RunDirectoryError if it is another block's."""
        line = self.blocks[self._next - 1]
        if line.hash != block_hash.hex():
            raise RunDirectoryError(
                f"block {line.number} of this run has another hash in metrics.jsonl; delete the file"
            )
        self._next += 1
        return line

    def summary(self, line: Summary) -> None:
        self._write(line)

    def _write(self, line: BlockMetrics | Summary) -> None:
        try:
            if self._file is None:
                self._file = self._open()
            write_all(self._file.fileno(), _encoder.encode(line) + b"\n")
        except OSError as error:
            raise RunDirectoryError(
                f"can't write {self._path}: {error.strerror}; make room for it and resume the run"
            ) from error

    def _open(self) -> BinaryIO:
        """Leaves out a torn last line, blocks that are gone and the summary of an earlier end."""
        write_atomically(self._path, b"".join(_encoder.encode(block) + b"\n" for block in self.blocks))
        return self._path.open("ab", buffering=0)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def as_json(line: BlockMetrics | Summary) -> str:
    """One line as it stands in the file."""
    return json.dumps(msgspec.to_builtins(line), separators=(",", ":"))
