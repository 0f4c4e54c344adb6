"""Post-quantum secure, fully asynchronous, blockchain-based federated learning for mobile edge computing."""

import sys

# py_ecc, which comes with Ethereum's libraries, raises Python's recursion limit so far that hostile JSON, nested deeply
# enough, overflows the C stack and kills the process. What it does is undone; where it was imported before, the limit
# becomes the one that py-evm asks for.
_limit = min(sys.getrecursionlimit(), 1024 * 12) if "py_ecc" in sys.modules else sys.getrecursionlimit()
import py_ecc  # noqa: E402, F401  (for its side effect, which is undone at once)

sys.setrecursionlimit(_limit)

__version__ = "0.1.0"
