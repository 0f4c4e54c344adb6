"""What the end-to-end tests share: the command line in this process or in one that may be killed, and tiny runs.

Nothing is replaced: the chain executes, the signatures are ML-DSA, the files are files.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

from bflmec.runs.directory import RunDirectory
from bflmec.runs.ledger_access import open_ledger
from bflmec.runs.metrics import Metrics, read_metrics
from bflmec.storage import Cid

TINY = {
    "dataset": "digits",
    "partition": "iid",
    "clients": "6",
    "samples_per_client": "60",
    "data_threshold": "30",
    "aggregation_threshold": "4",
    "record_after": "5",
    "aggregations": "3",
    "ledger.difficulty": "16",
    "chain.difficulty": "16",
}
"""A run of about half a second: three global updates of four local gradients, some blocks in between."""

DETERMINISTIC = TINY | {"aggregations": "2", "signatures.backend": "dilithium-py"}
"""A shorter one with signatures that are the same bytes every time."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of an error. Fails if there is none, or a traceback."""
        assert "Traceback" not in self.err, self.err
        last = self.err.rstrip("\n").rsplit("\n", 1)[-1]
        assert last.startswith("bflmec: "), self.err
        return last


def bflmec(*arguments: str | Path) -> Outcome:
    """The command line, in this process."""
    from bflmec.cli import main

    out, err = io.StringIO(), io.StringIO()
    argv = ["bflmec", *map(str, arguments)]
    with patch.object(sys, "argv", argv), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())


def run_command(path: Path, settings: Mapping[str, str]) -> list[str]:
    return ["run", "--out", str(path), *(word for item in settings.items() for word in ("--set", "=".join(item)))]


def run(path: Path, settings: Mapping[str, str] = TINY) -> Outcome:
    return bflmec(*run_command(path, settings))


def resume(path: Path) -> Outcome:
    return bflmec("run", "--resume", path)


def verify(path: Path) -> Outcome:
    return bflmec("verify", path)


def metrics(path: Path) -> Metrics:
    return read_metrics(RunDirectory(path).metrics_file)


def result(path: Path) -> list[tuple[object, ...]]:
    """What the same seed has to give again, block by block: everything but hashes and gas, which signatures change."""
    return [
        (block.number, block.time, block.edge_node, block.transactions, block.update) for block in metrics(path).blocks
    ]


def global_digests(path: Path) -> list[str]:
    with open_ledger(RunDirectory(path)) as (ledger, _, _):
        return [str(ledger.anchor_by_index(index).content) for index in range(ledger.anchor_count())]


def block_hashes(path: Path) -> list[str]:
    """Hashes of the ledger's blocks, then those of the chain's."""
    with open_ledger(RunDirectory(path)) as (ledger, chain, _):
        own = [recorded.block.header.hash for recorded in ledger.blocks(1, ledger.head_number())]
        numbers = range(chain.head.number + 1)
        return [digest.hex() for digest in [*own, *(chain.block(number).hash for number in numbers)]]


def body_files(path: Path) -> list[Path]:
    """The files of the block bodies, oldest first."""
    with open_ledger(RunDirectory(path)) as (ledger, _, _):
        recorded = list(ledger.blocks(1, ledger.head_number()))
    return [_block_file(path, each.block.header.body_digest) for each in recorded]


def global_gradient_file(path: Path) -> Path:
    """The file of the newest global gradient."""
    return _block_file(path, Cid.parse(global_digests(path)[-1]).digest)


def _block_file(path: Path, digest: bytes) -> Path:
    files = (path / "blobs" / "blocks").rglob("*.data")
    return next(file for file in files if sha256(file.read_bytes()).digest() == digest)


def edit_config(path: Path, key: str, value: object) -> None:
    """Changes the first key of that name in the configuration of a run directory."""
    file = RunDirectory(path).config_file
    text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", file.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1
    file.write_text(text)


def contents(path: Path) -> dict[str, bytes]:
    """Digest of every file below a directory, but for the lock, which is empty."""
    files = (file for file in sorted(path.rglob("*")) if file.is_file() and file.name not in (".lock", "lock"))
    return {str(file.relative_to(path)): sha256(file.read_bytes()).digest() for file in files}


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """Fails if the block leaves another content behind, but for blobs that nothing refers to."""
    before = contents(path)
    yield
    after = contents(path)
    assert {name: after.get(name) for name in before} == before
    assert all(name.startswith("blobs/") for name in after.keys() - before.keys())


# ---------------------------------------------------------------- processes that may be killed

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["bflmec.cli.main", "bflmec.runs.runner", "bflmec.runs.figures"])


@dataclass(frozen=True)
class KilledAtHeight:
    """kill -9 when the chain's block of that number is about to be written, or has just been."""

    height: int
    written: bool

    def arm(self) -> None:
        from bflmec.devchain.database import ChainFile

        append = ChainFile.append

        def deadly(file, block, *rest):  # type: ignore[no-untyped-def]
            if block.number == self.height and not self.written:
                os.kill(os.getpid(), signal.SIGKILL)
            append(file, block, *rest)
            if block.number == self.height:
                os.kill(os.getpid(), signal.SIGKILL)

        ChainFile.append = deadly  # type: ignore[method-assign]


@dataclass(frozen=True)
class KilledAfter:
    """Dies without a word after so many seconds of its own CPU time."""

    seconds: float

    def arm(self) -> None:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, self.seconds)


@dataclass(frozen=True)
class Undisturbed:
    def arm(self) -> None: ...


@dataclass(frozen=True)
class FileLimit:
    """No file may grow beyond so many bytes, as on a disk that is full."""

    size: int

    def arm(self) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, resource.RLIM_INFINITY))


Fate = KilledAtHeight | KilledAfter | Undisturbed | FileLimit


@dataclass
class Child:
    """A `bflmec` process."""

    process: BaseProcess
    log: Path

    def wait_until(self, happened: Callable[[], bool]) -> None:
        """Fails if the process ends before it happened."""
        while not happened():
            assert self.process.is_alive(), self.wait().err
            time.sleep(0.02)

    def has_said(self, text: str) -> bool:
        file = self.log.with_suffix(".err")
        return file.exists() and text in file.read_text()

    def wait(self) -> Outcome:
        self.process.join()
        code = self.process.exitcode
        assert code is not None
        return Outcome(code, self.log.with_suffix(".out").read_text(), self.log.with_suffix(".err").read_text())

    def signal(self, number: int) -> None:
        assert self.process.pid is not None
        with suppress(ProcessLookupError):  # it has ended by itself already; `wait` says how
            os.kill(self.process.pid, number)


def start(log: Path, arguments: list[str], fate: Fate = Undisturbed()) -> Child:
    """Starts the command line in a process of its own, which prints into two files beside `log`."""
    process = _processes.Process(target=_child, args=(log, arguments, fate))
    process.start()
    return Child(process, log)


def _child(log: Path, arguments: list[str], fate: Fate) -> None:
    from bflmec.cli import main

    for descriptor, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(log.with_suffix(suffix), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = ["bflmec", *arguments]
    # Where the tests run in the background of a script, Ctrl-C is ignored, and so it would be here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fate.arm()
    main()
