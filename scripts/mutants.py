"""Mutation testing of the ledger: each small fault that is put into BFLLedger.sol has to fail a test.

    python scripts/mutants.py                # all of them: about ten seconds each
    python scripts/mutants.py --list
    python scripts/mutants.py 12 40          # only those

A mutant that survives is explained in foundry/mutants.toml, by the line that it changes; one that is not ends with 1.
Works in a copy of the checkout.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = "contracts/BFLLedger.sol"
EXPLAINED = ROOT / "foundry" / "mutants.toml"
TESTS = [
    f"tests/contracts/test_contract_{name}.py" for name in ("append", "ledger", "agreement", "reward_token", "machine")
]
COMPILE = """
from bflmec.ledger import compile
compile.CONTRACTS = ("BFLLedger",)
(artifact,) = compile.compile_all()
(compile.directory() / "BFLLedger.json").write_text(artifact.dumps(), "utf-8")
"""
OPERATORS = (
    (r" == ", " != "),
    (r" != ", " == "),
    (r" < ", " <= "),
    (r" <= ", " < "),
    (r" > ", " >= "),
    (r" >= ", " > "),
    (r" && ", " || "),
    (r" \|\| ", " && "),
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r" \* ", " / "),
    (r" / ", " * "),
    (r" % ", " / "),
    (r" \+= ", " = "),
    (r"\+\+next", "next"),
    (r"\bif \((?!!)", "if (false && "),
    (r"\btrue\b", "false"),
    (r"\bfalse\b", "true"),
    (r" \? ([^()?]+) : ([^()?]+);", r" ? \2 : \1;"),
    (r"(?<=[=(] )1\b", "2"),
    (r"(?<== )0;", "1;"),
)
STATEMENT = re.compile(r"^\s+(?!return|revert|emit|\w+ memory|uint|bool|bytes|address|mapping)[\w.\[\]()]+ ?(=|\().*;$")


@dataclass(frozen=True)
class Mutant:
    """One changed line."""

    number: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.before.strip()}  ->  {self.after.strip() or '(nothing)'}"


def mutants(source: str) -> Iterator[Mutant]:
    """Every operator at every place, and every statement left out."""
    for number, line in enumerate(source.splitlines(), 1):
        if line.strip().startswith(("//", "///", "import", "pragma", "*")) or not line.strip():
            continue
        code = line.split("//")[0].rstrip()
        for pattern, replacement in OPERATORS:
            for match in re.finditer(pattern, code):
                changed = code[: match.start()] + match.expand(replacement) + code[match.end() :]
                yield Mutant(number, line, changed)
        if STATEMENT.match(code) and not code.strip().startswith("if "):
            yield Mutant(number, line, "")


def killed(mutant: Mutant, copy: Path) -> str | None:
    """What noticed the mutant, None if nothing did."""
    lines = (ROOT / SOURCE).read_text("utf-8").splitlines()
    lines[mutant.number - 1] = mutant.after
    (copy / SOURCE).write_text("\n".join(lines) + "\n", "utf-8")
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    if subprocess.run([sys.executable, "-c", COMPILE], cwd=copy, env=environment, capture_output=True).returncode:
        return "the compiler"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *TESTS]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) \S+::(\S+)", done.stdout, re.MULTILINE)
    return failed[1] if failed else "a test that could not be read"


def main(arguments: list[str]) -> int:
    every = list(mutants((ROOT / SOURCE).read_text("utf-8")))
    wanted = [every[int(number)] for number in arguments if number.isdigit()] or every
    if "--list" in arguments:
        print("\n".join(f"{index:3} {mutant}" for index, mutant in enumerate(every)))
        return 0
    explained = tomllib.loads(EXPLAINED.read_text("utf-8")) if EXPLAINED.exists() else {}
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        for name in ("bflmec", "contracts", "tests/contracts"):
            shutil.copytree(ROOT / name, copy / name)
        for name in ("package.json", "pyproject.toml", "tests/conftest.py"):
            shutil.copy(ROOT / name, copy / name)
        for name in ("node_modules", "scripts"):
            (copy / name).symlink_to(ROOT / name)
        for mutant in wanted:
            by = killed(mutant, copy)
            print(f"{'SURVIVED' if by is None else 'killed':8} {mutant}" + (f"   by {by}" if by else ""), flush=True)
            if by is None:
                survivors.append(mutant)
    unexplained = [
        mutant for mutant in survivors if f"{mutant.before.strip()} -> {mutant.after.strip()}" not in explained
    ]
    print(f"{len(wanted)} mutants, {len(survivors)} survived, {len(unexplained)} of these unexplained")
    return int(bool(unexplained))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
