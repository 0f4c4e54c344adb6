"""The documentation keeps to what the software does: links, commands, keys, errors, examples."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from bflmec import errors
from bflmec.cli.main import app
from bflmec.configuration import load
from bflmec.configuration.schema import keys, sections
from bflmec.learning.clustering import clusterings
from bflmec.learning.contribution import strategies, thetas
from bflmec.learning.datasets import DataFolders, datasets
from bflmec.learning.features import Distances, features
from bflmec.learning.models import models
from bflmec.learning.partition import partitions
from bflmec.learning.references import references
from bflmec.learning.rules import AggregationRules

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
INLINE_COMMAND = re.compile(r"`(bflmec [^`]+)`")
ENVIRONMENT = re.compile(r"[A-Z_]+=.*")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in FENCE.findall(page.read_text("utf-8")) if language in languages]


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """The fragments that headings give, as repository hosts make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def shell_lines(page: Path) -> Iterator[str]:
    """What a reader types: scripts, and the lines of a dialogue that begin with a prompt; commands within the text."""
    for block in blocks(page, "sh"):
        yield from block.replace("\\\n", " ").splitlines()
    for block in blocks(page, "console"):
        yield from (line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ "))
    yield from (" ".join(text.split()) for text in INLINE_COMMAND.findall(prose(page)))


def split(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;()<>")
    lexer.whitespace_split = True
    return list(lexer)


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of every `bflmec …` on a page."""
    for line in shell_lines(page):
        arguments: list[str] | None = None
        is_start = True
        for word in [*split(line), ";"]:
            if set(word) <= set("&|;()<>"):
                if arguments:
                    yield arguments
                arguments, is_start = None, True
            elif arguments is not None:
                arguments.append(word)
            elif is_start and not ENVIRONMENT.fullmatch(word):
                is_start = False
                arguments = [] if word.rpartition("/")[2] == "bflmec" else None


@cache
def command_line() -> Any:
    return typer.main.get_command(app)


def parse(arguments: list[str]) -> dict[str, Any]:
    """The parameters of the innermost subcommand. Raises what the command line raises on a wrong use."""
    command, context = command_line(), None
    while True:
        context = command.make_context(command.name or "bflmec", list(arguments), parent=context)
        if not hasattr(command, "resolve_command"):
            return dict(context.params)
        _, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])


def subcommands(command: Any, path: str = "bflmec") -> Iterator[tuple[str, Any]]:
    for name, child in getattr(command, "commands", {}).items():
        yield f"{path} {name}", child
        yield from subcommands(child, f"{path} {name}")


COMMANDS = [
    pytest.param(arguments, id=f"{name_of(page)}: {' '.join(arguments)}"[:120])
    for page in PAGES
    for arguments in commands(page)
    if arguments and arguments != ["…"]
]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_resolves(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{name_of(page)} links to {target}, which does not exist"
        if fragment:
            assert fragment in anchors(linked), f"{name_of(page)} links to {target}, which has no such heading"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, new = set(), {ROOT / "README.md"}
    while new:
        reached |= new
        targets = {
            (page.parent / target.partition("#")[0]).resolve()
            for page in new
            for target in LINK.findall(prose(page))
            if target.partition("#")[0].endswith(".md") and ":" not in target
        }
        new = targets - reached
    assert {page for page in PAGES if page not in reached} == set()


@pytest.mark.parametrize("arguments", COMMANDS)
def test_every_command_is_one_that_the_command_line_takes(arguments: list[str]) -> None:
    is_only_named = f"bflmec {' '.join(arguments)}" in dict(subcommands(command_line()))
    if is_only_named or arguments == ["--help"]:
        return
    parameters = parse(arguments)
    settings = parameters.get("settings") or []
    assert all("=" in setting for setting in settings)
    if settings != ["clinets=20"] and "KEY=VALUE" not in settings and "key=value" not in settings:
        load(None, settings)


@pytest.mark.parametrize(
    ("path", "command"), list(subcommands(command_line())), ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_command_line_page_names_every_option(path: str, command: Any) -> None:
    page = (DOCS / "reference" / "command-line.md").read_text("utf-8")
    assert f"`{path}" in page
    for parameter in command.params:
        for option in parameter.opts if parameter.param_type_name == "option" else []:
            assert f"`{option}" in page, f"{path} {option} is not in the page"


def test_the_generated_pages_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    writer = import_module("write_reference")
    for name, write in writer.PAGE_WRITERS.items():
        assert (DOCS / "reference" / name).read_text("utf-8") == write(), "run python scripts/write_reference.py"


def test_every_error_is_listed_with_its_exit_code() -> None:
    page = (DOCS / "reference" / "errors.md").read_text("utf-8")
    for item in vars(errors).values():
        if isinstance(item, type) and issubclass(item, errors.BFLMECError):
            assert f"| {item.exit_code} | `{item.__name__}` |" in page


def test_every_configuration_key_is_listed() -> None:
    page = (DOCS / "reference" / "configuration.md").read_text("utf-8")
    for section in sections():
        (table,) = re.findall(rf"^## \[{section}\]\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        for name in keys(section):
            assert f"| `{name}` |" in table


def test_every_plug_in_that_comes_along_is_listed() -> None:
    page = (DOCS / "how-to" / "plug-ins.md").read_text("utf-8")
    for registry in (clusterings, features, references, thetas, strategies, partitions, datasets, models):
        (row,) = re.findall(rf"^\| `{registry.kind}` \|.*$", page, re.MULTILINE)
        for name in registry.names():
            assert f"`{name}`" in row


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_every_python_example_compiles_and_its_imports_exist(page: Path) -> None:
    for text in blocks(page, "python"):
        compile(text, name_of(page), "exec")
        imports = [line for line in text.splitlines() if line.startswith(("from bflmec", "import bflmec"))]
        exec("\n".join(imports), {})


def test_the_tutorials_clustering_separates_the_near_from_the_far() -> None:
    (text, *_) = blocks(DOCS / "tutorial.md", "python")
    namespace: dict[str, Any] = {}
    exec(text, namespace)
    clusterer = namespace["Nearest"](AggregationRules(clustering="nearest", options={"reach": 2}))
    to_global = np.array([3, 4, 5, 90, 0])
    distances = Distances(np.abs(to_global[:, None] - to_global), 0)
    assert clusterer.deterministic
    assert clusterer.cluster(distances).tolist() == [0, 0, 0, -1, 0]


def test_the_how_tos_data_set_is_one() -> None:
    (text,) = blocks(DOCS / "how-to" / "own-data-set.md", "python")
    namespace: dict[str, Any] = {}
    exec(text, namespace)
    wine = namespace["load"](DataFolders.default(), print)
    assert (wine.features, wine.classes, len(wine.train_y) + len(wine.test_y)) == (13, 3, 178)


def test_the_how_tos_module_fits_the_digits() -> None:
    pytest.importorskip("torch")
    from bflmec.learning.torch_model import TorchModel

    (text,) = blocks(DOCS / "how-to" / "own-model.md", "python")
    namespace: dict[str, Any] = {}
    exec(text, namespace)
    assert TorchModel("cnn", namespace["cnn"], 64, 10).classes == 10
