"""Where the contracts keep what: contracts/storage-layout.json, from what Foundry has built.

    python scripts/storage_layout.py            # write
    python scripts/storage_layout.py --check    # end with 1 if the committed file is not current

A changed line is a changed meaning of storage that is out there; contracts here are never upgraded in place, so it is
for whoever reads storage directly, such as proofs of a light client.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bflmec.ledger.artifacts import CONTRACTS

ROOT = Path(__file__).resolve().parents[1]
LAYOUT = ROOT / "contracts" / "storage-layout.json"


def layout() -> dict[str, list[str]]:
    """`slot+offset label: type` of every variable, by contract."""
    return {name: [_line(entry, built) for entry in built["storage"]] for name in CONTRACTS if (built := _built(name))}


def _built(name: str) -> dict[str, object]:
    path = ROOT / "build" / "foundry" / f"{name}.sol" / f"{name}.json"
    try:
        content: dict[str, object] = json.loads(path.read_text("utf-8"))["storageLayout"]
    except (OSError, KeyError):
        raise SystemExit(f"{path} is missing: run `make contracts-check`") from None
    return content


def _line(entry: dict[str, object], built: dict[str, object]) -> str:
    types = built["types"]
    assert isinstance(types, dict)
    return f"{entry['slot']}+{entry['offset']} {entry['label']}: {types[entry['type']]['label']}"


def main(arguments: list[str]) -> int:
    text = json.dumps(layout(), indent=2) + "\n"
    if "--check" not in arguments:
        LAYOUT.write_text(text, "utf-8")
    elif not LAYOUT.exists() or LAYOUT.read_text("utf-8") != text:
        print("contracts/storage-layout.json is not current: run python scripts/storage_layout.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
