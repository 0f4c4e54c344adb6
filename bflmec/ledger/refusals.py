"""What nodes and contracts refuse: as typed errors, and as what a sender can do about it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

from web3.exceptions import ContractLogicError, TimeExhausted, Web3Exception

from bflmec.errors import LedgerError, LedgerRevertedError
from bflmec.ledger.interface import decode_error


class Refusal(Enum):
    """Why a node did not take a transaction."""

    KNOWN = auto()
    """It has it already."""
    NONCE_USED = auto()
    """A transaction of that nonce is in a block."""
    OCCUPIED = auto()
    """Another transaction of that nonce waits, and pays too much to be replaced by this one."""
    CHEAP = auto()
    """It pays less than the node takes now."""
    OTHER = auto()
    """Another reason, which trying again does not change."""


# Texts of geth, anvil, reth, Besu, Nethermind, Erigon and the embedded chain: JSON-RPC has no codes for these.
_TEXTS = (
    (Refusal.KNOWN, r"already known|already imported|known transaction|already in (the )?(tx|mem)?pool|alreadyknown"),
    (Refusal.NONCE_USED, r"nonce (is |was )?too low|nonce has already been used|oldnonce|nonce below"),
    (
        Refusal.OCCUPIED,
        r"replacement (transaction|gas price|fee)|too low to replace|replacementnotallowed|nonce is already in|"
        r"could not replace",
    ),
    (
        Refusal.CHEAP,
        r"underpriced|less than block base fee|below (the )?(block )?base fee|lower than (the )?block base fee|"
        r"gas price (is )?(too low|below)|feetoolow|base fee .*exceed",
    ),
)


def refusal(error: Web3Exception) -> Refusal:
    """Why the node refused a transaction, from the text of its error."""
    text = error_text(error).lower()
    return next((kind for kind, pattern in _TEXTS if re.search(pattern, text)), Refusal.OTHER)


@contextmanager
def ledger_errors() -> Iterator[None]:
    """Turns what web3 and its transports raise into LedgerErrors."""
    try:
        yield
    except TimeExhausted:
        raise
    except ContractLogicError as error:
        raise _reverted(error) from error
    except Web3Exception as error:
        raise LedgerError(f"the chain refused a request: {error_text(error)}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise LedgerError(f"the chain's answer is not JSON ({error_text(error)}); check the URL") from error
    except OSError as error:
        raise LedgerError(f"the chain can't be reached: {error_text(error)}; check its URL and that it runs") from error


def error_text(error: Exception) -> str:
    """The first line of what a node or a transport says."""
    response = getattr(error, "rpc_response", None) or {}
    message = response.get("error", {}).get("message") if isinstance(response, dict) else None
    return (str(message or error).splitlines() or [type(error).__name__])[0][:300]


def _reverted(error: ContractLogicError) -> LedgerRevertedError:
    data = error.data
    known = None
    if isinstance(data, str) and data.startswith("0x"):
        try:
            known = decode_error(bytes.fromhex(data[2:]))
        except ValueError:
            known = None
    if known is None:
        return LedgerRevertedError(f"a contract refused: {error_text(error)}")
    name, arguments = known
    return LedgerRevertedError(f"a contract refused: {name}({', '.join(map(_shown, arguments))})", name, arguments)


def _shown(argument: object) -> str:
    return "0x" + argument.hex() if isinstance(argument, bytes) else str(argument)
