"""Dependencies run one way: each package may import only what stands here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bflmec

ROOT = Path(bflmec.__file__).parent
BASE = {"errors", "files", "registry"}
SHARED = BASE | {"crypto", "storage", "learning", "protocol"}
ALLOWED = {
    "errors": set(),
    "files": set(),
    "registry": {"errors"},
    "crypto": BASE,
    "storage": BASE,
    "learning": BASE,
    "devchain": BASE | {"crypto"},
    "protocol": BASE | {"crypto", "storage", "learning"},
    "ledger": BASE | {"crypto", "storage", "protocol"},
    "configuration": BASE | {"learning"},
    "consortium": SHARED | {"ledger", "configuration"},
    "transport": BASE | {"crypto", "storage", "protocol"},
    "client": SHARED | {"ledger", "configuration", "consortium", "transport"},
    "edge": SHARED | {"ledger", "configuration", "consortium", "transport"},
    "devnet": SHARED | {"ledger", "devchain", "configuration", "consortium", "transport", "client", "edge"},
    "simulation": SHARED | {"ledger", "devchain", "configuration", "consortium"},
    "runs": SHARED | {"ledger", "devchain", "configuration", "consortium", "simulation"},
    "experiments": SHARED | {"configuration", "consortium", "simulation", "runs"},
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            if name.startswith("bflmec."):
                yield name


def package(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("name", ALLOWED)
def test_package_imports_only_what_stands_below_it(name: str) -> None:
    files = [ROOT / f"{name}.py"] if (ROOT / f"{name}.py").exists() else sorted((ROOT / name).rglob("*.py"))
    found = {
        (path.relative_to(ROOT).as_posix(), imported)
        for path in files
        for imported in imports(path)
        if imported.split(".")[1] not in ALLOWED[name] | {name}
    }
    assert not found


def test_every_package_has_its_place() -> None:
    known = ALLOWED.keys() | {"cli", "__init__", "__main__"}
    assert {package(path) for path in ROOT.rglob("*.py")} <= known


def test_ledger_client_knows_nothing_of_learning() -> None:
    """The parts of the protocol that the ledger client shares must not lead to learning either."""
    seen: set[str] = set()
    waiting = ["bflmec.ledger.client", "bflmec.ledger.deployment"]
    while waiting:
        module = waiting.pop()
        path = ROOT.parent / (module.replace(".", "/") + ".py")
        if module in seen or not path.exists():
            continue
        seen.add(module)
        waiting += imports(path)
    assert not [module for module in seen if module.startswith("bflmec.learning")]
