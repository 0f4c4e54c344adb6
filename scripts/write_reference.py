"""Write the pages of docs/reference that follow from the code: configuration, errors, contracts.

python scripts/write_reference.py            # write
python scripts/write_reference.py --check    # end with 1 if a page is not current
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bflmec import errors
from bflmec.configuration import Config, load
from bflmec.configuration.schema import NONE, bounds, help_texts, keys, sections

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference"
INTERFACES = ROOT / "contracts" / "interfaces"
GAS = ROOT / "tests" / "contracts" / "gas_snapshot.json"
NOTE = "<!-- Written by scripts/write_reference.py; change the code, then run it again. -->"


def configuration() -> str:
    default, paper = load(), load(settings=["preset=paper"])
    lines = ["# Configuration keys", "", NOTE, "", _CONFIGURATION]
    for section, kind in sections().items():
        lines += ["", f"## [{section}]", "", (kind.__doc__ or "").split("\n")[0], ""]
        lines += ['| key | default | `preset = "paper"` | range | meaning |', "|---|---|---|---|---|"]
        for name in keys(section):
            ours, theirs = _value(default, section, name), _value(paper, section, name)
            text = help_texts(section).get(name, "")
            cells = f"`{name}`", ours, "" if ours == theirs else theirs, _range(section, name), text
            lines.append(_row(*cells))
    return _page(lines)


_CONFIGURATION = """\
`bflmec config` prints all of this as a commented TOML file; `--set key=value` changes one key, `--set
section.key=value` where two sections have a key of that name. A key that is unknown, of another type or out of
range is refused with exit code 10 and the nearest known key. A key without a value is written `"none"`.

`preset`, above all sections, chooses the defaults: `default`, or `paper` for [the paper's literal
reading](../explanation/paper.md). An empty cell means: as in the default.
"""


def _value(config: Config, section: str, name: str) -> str:
    value = getattr(getattr(config, section), name)
    if value is None:
        return f'`"{NONE}"`'
    return f"`{json.dumps(value)}`"


def _range(section: str, name: str) -> str:
    limits = bounds(section, name)
    if limits is None:
        return ""
    least, most = limits
    return f"≥ {least:g}" if most == float("inf") else f"{least:g} … {most:g}"


def error_page() -> str:
    lines = ["# Errors and exit codes", "", NOTE, "", _ERRORS]
    lines += ["| exit code | error | also a | when |", "|---|---|---|---|"]
    for kind in sorted(_error_classes(), key=lambda kind: kind.exit_code):
        builtin = next(base for base in kind.__mro__ if base.__module__ == "builtins")
        also = "" if builtin is Exception else f"`{builtin.__name__}`"
        parents = [base for base in kind.__bases__ if issubclass(base, errors.BFLMECError)]
        of = "" if parents in ([], [errors.BFLMECError]) else f", `{parents[0].__name__}`"
        text = " ".join((kind.__doc__ or "").split())
        lines.append(_row(str(kind.exit_code), f"`{kind.__name__}`", (also + of).removeprefix(", "), text))
    return _page(lines)


_ERRORS = """\
Everything that BFL-MEC raises on purpose is a `BFLMECError` from `bflmec/errors.py`. The message says what was
wrong and what to do next. Each class is also the builtin that a Python user would catch. When an error reaches the
command line, its message is the last line on stderr and its exit code ends the process:

```console
$ bflmec run --set clinets=20; echo $?
bflmec: unknown key 'clinets'; did you mean 'clients'?
10
```

Besides, 0 means success, 2 a wrong use of the command line (see `--help`), 130 an interruption by Ctrl-C.
"""


def _error_classes() -> Iterator[type[errors.BFLMECError]]:
    for item in vars(errors).values():
        if isinstance(item, type) and issubclass(item, errors.BFLMECError):
            yield item


def contracts() -> str:
    lines = ["# Contracts", "", NOTE, "", _CONTRACTS]
    for name in _INTERFACES:
        text = (INTERFACES / f"{name}.sol").read_text("utf-8")
        lines += ["", f"## {name.removeprefix('I')}", "", *_interface_notice(text)]
        for kind, title in _KINDS.items():
            members = [member for member in _members(text) if member.kind == kind]
            if members:
                lines += ["", f"### {name.removeprefix('I')}: {title}", ""]
                lines += [f"- `{member.signature}`  \n  {member.text}" for member in members]
    lines += ["", "## Gas", "", _GAS, "| transaction | gas |", "|---|---|"]
    lines += [f"| {what} | {gas:,} |" for what, gas in json.loads(GAS.read_text("utf-8")).items()]
    return _page(lines)


_INTERFACES = (
    "IBFLLedger",
    "IParticipants",
    "IGovernment",
    "ICertificates",
    "IXMSSCertificates",
    "IRewardToken",
    "IChallenges",
)
_CONTRACTS = """\
`BFLLedger` holds blocks, anchors and the rewards root; `Participants` knows who may take part, and the digests of
their post-quantum keys; `ECDSACertificates` or, chosen at deployment, `XMSSCertificates` alone knows how certificates
are signed; `Government` owns the registry once the set-up has ended, and does what the quorum of edge nodes decides;
`RewardToken` is the ERC-20 in which rewards are claimed; `Challenges`, which a ledger can do without, holds stakes of
edge nodes. Nothing in them computes on gradients, and no loop grows
with the number of participants. The texts below are those of `contracts/interfaces/`. The bytecode is for `paris`, so
that it runs on every Ethereum network, old proof-of-work ones included.

`RewardToken` is besides an ERC-20 of OpenZeppelin, `Participants` an `Ownable2Step`: their functions are not
repeated here. [How to deploy](../how-to/deploy-contracts.md), [how the bytes are laid out](messages.md).
"""
_GAS = """\
As committed in `tests/contracts/gas_snapshot.json`; a test names every transaction that costs more than that.
`append` includes calldata, two signatures in the certificate, transactions, rewards and the global update.
"""
_KINDS = {"function": "functions", "event": "events", "error": "errors", "struct": "structs"}


@dataclass(frozen=True)
class Member:
    """A function, event, error or struct of an interface, with its documentation as one line."""

    kind: str
    signature: str
    text: str


_MEMBER = re.compile(
    r"((?:^ +///[^\n]*\n)*)^ {4}(function|event|error|struct) (\w+\s*(?:\{[^}]*\}|\([^)]*\)[^;]*))", re.MULTILINE
)


def _members(source: str) -> Iterator[Member]:
    for match in _MEMBER.finditer(source):
        comment, kind, declaration = match.groups()
        declaration = " ".join(declaration.split()).replace("( ", "(").replace(" )", ")")
        yield Member(kind, declaration, _natspec(comment))


def _natspec(comment: str) -> str:
    text = " ".join(line.strip().removeprefix("///").strip() for line in comment.splitlines())
    text = text.replace("@notice ", "")
    return re.sub(r"@(?:param|return) (\w+) ", r"· *\1*: ", text)


def _interface_notice(source: str) -> list[str]:
    comment = source[: source.index("\ninterface")]
    text = " ".join(line.removeprefix("///").strip() for line in comment.splitlines() if line.startswith("///"))
    return [text.replace("@title ", "").replace(" @notice ", ". ")]


def _page(lines: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


PAGE_WRITERS: dict[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "errors.md": error_page,
    "contracts.md": contracts,
}


def main(arguments: list[str]) -> int:
    stale = [name for name, write in PAGE_WRITERS.items() if not _is_current(PAGES / name, write())]
    if "--check" in arguments:
        for name in stale:
            print(f"docs/reference/{name} is not current: run python scripts/write_reference.py", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (PAGES / name).write_text(PAGE_WRITERS[name](), "utf-8")
        print(f"wrote docs/reference/{name}")
    return 0


def _is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text("utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
