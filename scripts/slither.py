"""Slither's findings, against the ones that foundry/slither.toml explains. Ends with 1 if the two differ.

    make contracts-slither

Runs in `.venv-contracts` (scripts/contracts-env): slither pins much, and is no dependency of anything else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXPLAINED = ROOT / "foundry" / "slither.toml"
FORGE = ROOT / "node_modules" / ".bin" / "forge"


def findings() -> dict[str, str]:
    """What slither says at least about low impact, by `detector Contract.function`."""
    environment = os.environ | {"FOUNDRY_PROFILE": "slither", "PATH": f"{FORGE.parent}:{os.environ['PATH']}"}
    subprocess.run([FORGE, "build", "--build-info"], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    arguments = [
        "--ignore-compile",
        "--foundry-out-directory",
        "build/foundry-slither",
        "--filter-paths",
        "node_modules",
    ]
    quiet = ["--exclude-informational", "--exclude-optimization", "--json", "-"]
    command = [Path(sys.executable).with_name("slither"), ".", *arguments, *quiet]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    if not report["success"]:
        raise SystemExit(f"slither failed: {report['error']}")
    return {_name(finding): finding["description"].strip() for finding in report["results"].get("detectors", [])}


def _name(finding: dict[str, object]) -> str:
    elements = finding["elements"]
    assert isinstance(elements, list)
    element = elements[0]
    parent = element["type_specific_fields"]["parent"]["name"]
    return f"{finding['check']} {parent}.{element['name']}"


def main() -> int:
    explained = tomllib.loads(EXPLAINED.read_text("utf-8"))
    found = findings()
    for name in found.keys() - explained.keys():
        print(f"not explained: {name}\n  {found[name]}", file=sys.stderr)
    for name in explained.keys() - found.keys():
        print(f"explained, but not found any more: {name}", file=sys.stderr)
    print(f"{len(found)} findings, {len(found.keys() & explained.keys())} of them explained in {EXPLAINED.name}")
    return int(found.keys() != explained.keys())


if __name__ == "__main__":
    sys.exit(main())
